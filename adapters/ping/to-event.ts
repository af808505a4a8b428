import type { PingSourceResource } from '../../crds/ping-source.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'

/** As Knative's PingSource calls its events. */
export const PING_TYPE = 'dev.knative.sources.ping'

/**
 * The event of one due time. `id` is that time, so that a source that runs twice, or is started anew within the second,
 * makes the same event and no second one. Pure.
 */
export function toEvent({ metadata, spec }: PingSourceResource, dueMs: number): CloudEvent {
  const due = new Date(dueMs).toISOString()
  const attributes = noAttributes()
  attributes.specversion = '1.0'
  attributes.id = due
  attributes.source = `/apis/v1/namespaces/${metadata.namespace}/pingsources/${metadata.name}`
  attributes.type = PING_TYPE
  attributes.time = due
  if (spec.contentType !== undefined) attributes.datacontenttype = spec.contentType
  Object.assign(attributes, spec.extensions)
  return { mode: 'binary', attributes, body: dataOf(spec) }
}

function dataOf({ data, dataBase64 }: PingSourceResource['spec']): Uint8Array {
  return dataBase64 === undefined ? Buffer.from(data ?? '', 'utf8') : Buffer.from(dataBase64, 'base64')
}
