import type { Message } from 'amqplib'

/** A message as AMQP 0-9-1 carries it (basic class, §1.8), put into plain types. */
export interface RabbitMessage {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly messageId: string | undefined
  /** Undefined where it is not set, or is no time. */
  readonly timestampMs: number | undefined
  /** Every header that has a value of its own, as text; tables and lists of values are left out. */
  readonly headers: Readonly<Record<string, string>>
}

/** What came of a queue. */
export interface Received {
  readonly message: RabbitMessage
  readonly redelivered: boolean
  /** How often a quorum queue has delivered it before; 0 where the queue does not count. */
  readonly deliveries: number
  /** Its queue is a stream: nothing is taken away by acknowledging. */
  readonly inStream: boolean
}

export function received({ content, properties, fields }: Message): Received {
  const headers: Readonly<Record<string, unknown>> = properties.headers ?? {}
  const count = headers['x-delivery-count']
  return {
    message: {
      body: content,
      contentType: textOf(properties.contentType),
      messageId: textOf(properties.messageId),
      timestampMs: timeOf(properties.timestamp),
      headers: textsOf(headers),
    },
    redelivered: fields.redelivered,
    deliveries: typeof count === 'number' && count > 0 ? count : 0,
    inStream: 'x-stream-offset' in headers,
  }
}

function textsOf(headers: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const texts = Object.entries(headers).flatMap(([name, value]) => {
    const text = valueText(value)
    return text === undefined ? [] : [[name, text] as const]
  })
  // `fromEntries` makes own properties of all names, `__proto__` too.
  return Object.fromEntries(texts)
}

function valueText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Buffer.isBuffer(value)) return value.toString('base64')
  // The library's way to say that a number is a time, in seconds.
  const isTime = typeof value === 'object' && value !== null && '!' in value && value['!'] === 'timestamp'
  const ms = isTime && 'value' in value ? timeOf(value.value) : undefined
  return ms === undefined ? undefined : new Date(ms).toISOString()
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Seconds by the protocol. So many of them that the year has five digits are milliseconds, as some programs write them. */
const MOST_SECONDS = 253_402_300_800

function timeOf(value: unknown): number | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) return undefined
  const ms = value < MOST_SECONDS ? value * 1000 : value
  return ms < MOST_SECONDS * 1000 ? ms : undefined
}
