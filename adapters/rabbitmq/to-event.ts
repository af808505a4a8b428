import type { RabbitMessage, Received } from '../../clients/rabbitmq/message.ts'
import { hasForbiddenCharacter, isAttributeName, noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { withAttributes } from '../../event/http.ts'
import { isJson } from '../../event/json.ts'
import { contentModeOf, isMediaType } from '../../event/media-type.ts'
import { readProperties } from '../../event/properties.ts'

/** What an event is called that is not a CloudEvent already (Knative RabbitmqSource). */
export const RABBITMQ_EVENT_TYPE = 'dev.knative.rabbitmq.event'

export interface FromQueue {
  /** `source` of events that bring none of their own. */
  readonly source: string
  /** For messages that bring none: random, and so another one at every delivery. */
  readonly newId: () => string
  readonly extensions: Readonly<Record<string, string>>
}

/**
 * The event of a message (Knative RabbitmqSource). A message that is a CloudEvent keeps its attributes and every byte: in
 * structured mode by its content type, in binary mode by headers `cloudEvents:…`, `cloudEvents_…`, `ce-…`, `ce_…`, or without
 * a prefix. One that claims to be a CloudEvent and is none is wrapped like any other.
 */
export function toEvent(received: Pick<Received, 'message' | 'redelivered'>, from: FromQueue): CloudEvent {
  const event = cloudEventIn(received.message, from.source) ?? wrap(received, from)
  return withAttributes(event, from.extensions)
}

/** As RabbitMQ shows application properties of AMQP 1.0 (CloudEvents AMQP binding §3.1.3.1), and as Knative writes them. */
const PREFIXES = ['cloudEvents:', 'cloudEvents_', 'ce-', 'ce_']

function cloudEventIn({ contentType, headers, body }: RabbitMessage, source: string): CloudEvent | undefined {
  const attributes = attributesIn(headers)
  if (attributes.specversion !== undefined) attributes.source ??= source
  const read = readProperties({ contentType: usable(contentType), attributes, body })
  return read.kind === 'event' ? read.event : undefined
}

function attributesIn(headers: Readonly<Record<string, string>>): Record<string, string> {
  for (const prefix of PREFIXES) {
    const found = noAttributes()
    for (const [name, value] of Object.entries(headers))
      if (name.startsWith(prefix)) found[name.slice(prefix.length).toLowerCase()] = value
    if (found.specversion !== undefined) return found
  }
  return plainAttributesIn(headers)
}

/** Headers of any program: only with all that makes an event, and only those that can be attributes. */
function plainAttributesIn(headers: Readonly<Record<string, string>>): Record<string, string> {
  const found = noAttributes()
  if (['specversion', 'id', 'type', 'source'].some(name => !headers[name])) return found
  for (const [name, value] of Object.entries(headers))
    if (isAttributeName(name) && !TRACE.includes(name) && !hasForbiddenCharacter(value)) found[name] = value
  return found
}

const TRACE = ['traceparent', 'tracestate', 'baggage']

function wrap({ message, redelivered }: Pick<Received, 'message' | 'redelivered'>, from: FromQueue): CloudEvent {
  const { messageId, contentType, timestampMs, body } = message
  const attributes = noAttributes()
  attributes.specversion = '1.0'
  attributes.id = messageId === undefined ? from.newId() : printable(messageId)
  attributes.source = from.source
  attributes.type = RABBITMQ_EVENT_TYPE
  attributes.subject = attributes.id
  if (timestampMs !== undefined) attributes.time = new Date(timestampMs).toISOString()
  const dataType = dataTypeOf(contentType, body)
  if (dataType !== undefined) attributes.datacontenttype = dataType
  // Without an id of its own nothing else says that this may have come before.
  if (messageId === undefined && redelivered) attributes.redelivered = 'true'
  return { mode: 'binary', attributes, body }
}

/** One that is no media type counts as not set: a Broker would refuse it, and so the message for ever. */
function usable(contentType: string | undefined): string | undefined {
  const type = contentType?.trim()
  return type !== undefined && isMediaType(type) ? type : undefined
}

/** Data that says it is a CloudEvent and could not be read as one must not say so again. */
function dataTypeOf(contentType: string | undefined, body: Uint8Array): string | undefined {
  const type = usable(contentType)
  if (type === undefined || contentModeOf(type) === 'binary') return type
  return isJson(body) ? 'application/json' : 'application/octet-stream'
}

/** A Broker refuses attributes with control characters, and would refuse the message for ever. */
function printable(text: string): string {
  return hasForbiddenCharacter(text) ? encodeURIComponent(text.toWellFormed()) : text
}

/** A UUID, version 4 (RFC 9562 §5.4), out of `random`. */
export function randomId(random: () => number): string {
  const bytes = Buffer.from(Array.from({ length: 16 }, () => Math.floor(random() * 256)))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
