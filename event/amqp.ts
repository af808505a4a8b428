import type { CloudEvent } from './event.ts'
import { type PropertiesRead, readProperties, writeProperties } from './properties.ts'

/** A message of AMQP 1.0, as far as the binding for CloudEvents knows it (CloudEvents AMQP binding §3). */
export interface AmqpMessage {
  /** The `content-type` of the section `properties`. */
  readonly contentType: string | undefined
  /** The section `application-properties`, its values as the client reads AMQP types: text, numbers, booleans, dates. */
  readonly properties: Readonly<Record<string, unknown>>
  /** The bytes of the section `data`. */
  readonly body: Uint8Array
}

/** In the order in which they win where an attribute is there twice: JMS cannot name the other (AMQP binding §3.1.3.1). */
const PREFIXES = ['cloudEvents_', 'cloudEvents:'] as const

/**
 * Reads a CloudEvent out of an AMQP message, in binary or structured mode. A property that has no value counts as absent.
 * Properties without the prefix count for nothing. Never throws.
 */
export function readAmqp({ contentType, properties, body }: AmqpMessage): PropertiesRead {
  const attributes = new Map<string, string>()
  // From the last prefix to the first, so that the first has the last word.
  for (const prefix of PREFIXES.toReversed()) {
    for (const [name, value] of Object.entries(properties)) {
      if (!name.startsWith(prefix) || value === null || value === undefined) continue
      // What has no canonical text is made one that no attribute may have, and so is refused by its name.
      attributes.set(name.slice(prefix.length), canonicalText(value) ?? '\0')
    }
  }
  return readProperties({ contentType, attributes: Object.fromEntries(attributes), body })
}

/**
 * The message for `event`: in its own mode, or in the one asked for. Attributes are written as text, which receivers must
 * take for every type (AMQP binding §3.1.3.2).
 */
export function writeAmqp(event: CloudEvent, format?: 'binary' | 'structured'): AmqpMessage {
  const { contentType, attributes, body } = writeProperties(event, format)
  const properties: Record<string, string> = {}
  for (const [name, value] of Object.entries(attributes)) properties[`cloudEvents_${name}`] = value
  return { contentType, properties, body }
}

/** An AMQP value in the canonical text of the CloudEvents type system (CloudEvents 1.0 §3.2); undefined where it has none. */
export function canonicalText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return value
    case 'boolean':
    case 'bigint':
      return String(value)
    case 'number':
      return Number.isSafeInteger(value) ? String(value) : undefined
    case 'object':
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString()
      return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : undefined
    default:
      return undefined
  }
}
