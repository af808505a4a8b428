import { isUtf8 } from 'node:buffer'
import type { KafkaRecord, TopicPartition } from '../../clients/kafka/group.ts'
import type { KafkaKeyType } from '../../crds/kafka-source.ts'
import { hasForbiddenCharacter, noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { withAttributes } from '../../event/http.ts'
import { isJson } from '../../event/json.ts'
import { contentModeOf, isMediaType } from '../../event/media-type.ts'
import { readProperties } from '../../event/properties.ts'

/** What an event is called that is not a CloudEvent already (Knative KafkaSource). */
export const KAFKA_EVENT_TYPE = 'dev.knative.kafka.event'

export interface FromTopic {
  /** `source` of events that bring none of their own, up to the topic: `/apis/v1/namespaces/shop/kafkasources/orders`. */
  readonly source: string
  readonly keyType: KafkaKeyType
  readonly extensions: Readonly<Record<string, string>>
}

/**
 * The event of a record (Knative KafkaSource). A record that is a CloudEvent keeps its attributes and every byte, in
 * structured or in binary mode (CloudEvents Kafka binding §3). One that claims to be one and is none is wrapped like any
 * other. All of them get their place: `knativekafkapartition` and `knativekafkaoffset`. Never throws.
 */
export function toEvent(record: KafkaRecord, at: TopicPartition, from: FromTopic): CloudEvent {
  const added = {
    knativekafkapartition: String(at.partition),
    knativekafkaoffset: String(record.offset),
    ...from.extensions,
  }
  const event = cloudEventIn(record)
  return event === undefined ? wrap(record, at, from, added) : withAttributes(event, added)
}

const CONTENT_TYPE = 'content-type'
const PREFIX = 'ce_'
const NOTHING = Buffer.alloc(0)

function cloudEventIn({ headers, value = NOTHING }: KafkaRecord): CloudEvent | undefined {
  if (headers.size === 0) return undefined
  const attributes = noAttributes()
  for (const [name, text] of headers)
    if (name.startsWith(PREFIX)) attributes[name.slice(PREFIX.length)] = text.toString()
  const read = readProperties({ contentType: contentTypeOf(headers), attributes, body: value })
  return read.kind === 'event' ? read.event : undefined
}

function contentTypeOf(headers: ReadonlyMap<string, Buffer>): string | undefined {
  for (const [name, text] of headers) if (name.toLowerCase() === CONTENT_TYPE) return text.toString()
  return undefined
}

function wrap(
  { timestampMs, key, value = NOTHING, headers }: KafkaRecord,
  { topic, partition }: TopicPartition,
  from: FromTopic,
  added: Readonly<Record<string, string>> & { readonly knativekafkaoffset: string },
) {
  // The text of it, which is made once: that of a bigint is not cheap.
  const offset = added.knativekafkaoffset
  const attributes = noAttributes()
  attributes.specversion = '1.0'
  attributes.id = `partition:${partition}/offset:${offset}`
  attributes.source = `${from.source}#${topic}`
  attributes.type = KAFKA_EVENT_TYPE
  attributes.subject = `partition:${partition}#${offset}`
  if (timestampMs !== undefined) attributes.time = new Date(timestampMs).toISOString()
  const dataType = dataTypeOf(contentTypeOf(headers), value)
  if (dataType !== undefined) attributes.datacontenttype = dataType
  for (const [name, text] of headers) {
    const plain = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
    if (plain !== '' && name.toLowerCase() !== CONTENT_TYPE) attributes[`kafkaheader${plain}`] = textOf(text)
  }
  if (key !== undefined && key.byteLength > 0) {
    attributes.key = keyOf(key, from.keyType)
    attributes.partitionkey = attributes.key
  }
  return { mode: 'binary', attributes: Object.assign(attributes, added), body: value } as const
}

/** Data that says it is a CloudEvent and could not be read as one must not say so again. A Broker refuses what is no media type. */
function dataTypeOf(contentType: string | undefined, body: Uint8Array): string | undefined {
  if (contentType === undefined || !isMediaType(contentType)) return undefined
  if (contentModeOf(contentType) === 'binary') return contentType.toLowerCase()
  return isJson(body) ? 'application/json' : 'application/octet-stream'
}

/** A key that is not what it should be is text. */
function keyOf(key: Buffer, type: KafkaKeyType): string {
  if (type === 'byte-array') return key.toString('base64')
  if (type === 'int' && key.byteLength === 4) return String(key.readInt32BE())
  if (type === 'float' && key.byteLength === 4) return shortestFloat(key.readFloatBE())
  if (type === 'float' && key.byteLength === 8) return String(key.readDoubleBE())
  return textOf(key)
}

/** The fewest digits that mean this number among those of 32 bits: 1.1, not 1.100000023841858. */
function shortestFloat(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const near = Number(value.toPrecision(digits))
    if (Math.fround(near) === value) return String(near)
  }
  return String(value)
}

/** A Broker refuses attributes with control characters, and would refuse the record for ever. */
function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) return bytes.toString('base64')
  const text = bytes.toString()
  return hasForbiddenCharacter(text) ? encodeURIComponent(text.toWellFormed()) : text
}
