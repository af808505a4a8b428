import {
  attributesFault,
  type Fault,
  fault,
  hasForbiddenCharacter,
  isAttributeName,
  noAttributes,
  quotedName,
} from './attributes.ts'
import { modeToSend, toBinary, toStructured } from './convert.ts'
import { readEnvelope } from './envelope.ts'
import type { CloudEvent } from './event.ts'
import { contentModeOf } from './media-type.ts'

/** A message of a system that carries properties beside a body: what the bindings for Kafka, AMQP and NATS have in common. */
export interface PropertiesMessage {
  /** The system's own field for the type of the body; undefined where it is not set. */
  readonly contentType: string | undefined
  /** Context attributes by their plain names, the binding's prefix taken off; values as text, not percent-encoded. */
  readonly attributes: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export type PropertiesRead =
  | { readonly kind: 'event'; readonly event: CloudEvent }
  /** Nothing says that it is a CloudEvent: no `specversion`, and no content type of CloudEvents. */
  | { readonly kind: 'none' }
  /** It claims to be a CloudEvent and is none. */
  | Fault

/**
 * Reads a CloudEvent out of a message with properties (CloudEvents Kafka binding §3, AMQP binding §3): a content type of
 * CloudEvents decides for the structured mode, where properties count for nothing. Never throws.
 */
export function readProperties({ contentType, attributes: given, body }: PropertiesMessage): PropertiesRead {
  const mode = contentType === undefined ? 'binary' : contentModeOf(contentType)
  if (mode === 'structured-json') return readEnvelope(body)
  if (mode !== 'binary') return fault('unsupported-format', 'of the event formats only JSON is understood')
  if (given.specversion === undefined) return { kind: 'none' }
  const attributes = noAttributes()
  for (const [name, value] of Object.entries(given)) {
    if (!isAttributeName(name)) return fault('invalid-attribute-name', `${quotedName(name)} is not made of a-z and 0-9`)
    if (hasForbiddenCharacter(value))
      return fault('invalid-attribute-value', `${quotedName(name)} has a character that CloudEvents forbids`)
    attributes[name] = value
  }
  // The system's own field says it; a property of that name must not be there.
  delete attributes.datacontenttype
  if (contentType) attributes.datacontenttype = contentType
  return attributesFault(attributes) ?? { kind: 'event', event: { mode: 'binary', attributes, body } }
}

/**
 * The message for `event`, in its own mode or in the one asked for: structured with everything in the body, binary with
 * attributes as properties, `datacontenttype` only as the content type. See `modeToSend` for the exception.
 */
export function writeProperties(event: CloudEvent, format?: 'binary' | 'structured'): PropertiesMessage {
  if (modeToSend(event, format) === 'structured') {
    const { body } = toStructured(event)
    return { contentType: 'application/cloudevents+json; charset=utf-8', attributes: {}, body }
  }
  const { attributes, body } = toBinary(event)
  const { datacontenttype, ...rest } = attributes
  return { contentType: datacontenttype, attributes: rest, body }
}
