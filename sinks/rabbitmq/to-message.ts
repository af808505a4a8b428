import type { Outgoing } from '../../clients/rabbitmq/publisher.ts'
import type { RabbitmqSinkResource } from '../../crds/rabbitmq-sink.ts'
import type { CloudEvent } from '../../event/event.ts'
import { writeProperties } from '../../event/properties.ts'

export type Written =
  | { readonly kind: 'message'; readonly message: Outgoing }
  /** The protocol has no room for it. */
  | { readonly kind: 'unfit'; readonly reason: string }

/** AMQP 0-9-1 §4.2.5.3: what a short string holds. */
const SHORT_STRING_BYTES = 255

/**
 * The message of an event. Binary: the data as the body, every attribute as a header `ce-…`, which Knative's RabbitmqSource
 * and ours read; AMQP 0-9-1 has no binding of CloudEvents of its own. `messageId` and `timestamp` are those of the event.
 */
export function toMessage(
  event: CloudEvent,
  spec: Pick<RabbitmqSinkResource['spec'], 'exchange' | 'routingKey' | 'contentMode'>,
): Written {
  const { contentType, attributes, body } = writeProperties(event, spec.contentMode)
  const routingKey = spec.routingKey.replace(/\{([a-z0-9]+)\}/g, (_, name: string) => event.attributes[name] ?? '')
  if (!isShort(routingKey)) return unfit('its routing key')
  if (contentType !== undefined && !isShort(contentType)) return unfit('its datacontenttype')
  const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]))
  if (!Object.keys(headers).every(isShort)) return unfit('the name of an attribute')
  const { id = '', time } = event.attributes
  const ms = time === undefined ? Number.NaN : Date.parse(time)
  const properties = {
    headers,
    ...(contentType !== undefined && { contentType }),
    // The id is among the headers in any case.
    ...(isShort(id) && { messageId: id }),
    ...(ms >= 0 && { timestamp: Math.floor(ms / 1000) }),
  }
  return { kind: 'message', message: { exchange: spec.exchange, routingKey, body, properties } }
}

function unfit(what: string): Written {
  return { kind: 'unfit', reason: `${what} is longer than the ${SHORT_STRING_BYTES} bytes that AMQP 0-9-1 has for it` }
}

function isShort(text: string): boolean {
  return Buffer.byteLength(text) <= SHORT_STRING_BYTES
}
