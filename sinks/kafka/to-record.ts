import type { OutRecord } from '../../clients/kafka/out.ts'
import type { CloudEvent } from '../../event/event.ts'
import { writeProperties } from '../../event/properties.ts'

/**
 * The record of an event (CloudEvents Kafka binding §3): attributes as headers `ce_…`, or all of it as JSON in the value. An
 * event without data has no value. The extension `partitionkey` is the key (CloudEvents partitioning extension).
 */
export function toRecord(event: CloudEvent, contentMode: 'binary' | 'structured'): OutRecord {
  const { contentType, attributes, body } = writeProperties(event, contentMode)
  const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce_${name}`, value]))
  if (contentType !== undefined) headers['content-type'] = contentType
  return { key: event.attributes.partitionkey, value: body.byteLength === 0 ? undefined : body, headers }
}
