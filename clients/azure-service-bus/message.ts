import type { ServiceBusReceivedMessage } from '@azure/service-bus'

/** A message that is locked for us, or one of a session that is. */
export interface BusMessage {
  /** Its number in its entity: never given again, the same at every delivery. A decimal of up to 19 digits. */
  readonly sequence: string
  /** As the sender set it: two messages may have the same. */
  readonly messageId: string | undefined
  readonly sessionId: string | undefined
  readonly correlationId: string | undefined
  readonly partitionKey: string | undefined
  readonly contentType: string | undefined
  readonly enqueuedMs: number | undefined
  /** Earlier deliveries and this one. */
  readonly deliveries: number
  /** When the lock ends by the clock of the service. */
  readonly lockedUntilMs: number | undefined
  /** The application properties, AMQP types as JavaScript has them. */
  readonly properties: Readonly<Record<string, unknown>>
  readonly body: Uint8Array
  /** The client's own: what it settles and renews by. */
  readonly raw: ServiceBusReceivedMessage
}

export function messageOf(raw: ServiceBusReceivedMessage): BusMessage {
  return {
    sequence: raw.sequenceNumber?.toString() ?? '',
    messageId: textOf(raw.messageId),
    sessionId: raw.sessionId,
    correlationId: textOf(raw.correlationId),
    partitionKey: raw.partitionKey,
    contentType: raw.contentType,
    enqueuedMs: raw.enqueuedTimeUtc?.getTime(),
    deliveries: (raw.deliveryCount ?? 0) + 1,
    lockedUntilMs: raw.lockedUntilUtc?.getTime(),
    properties: raw.applicationProperties ?? {},
    body: bytesOf(raw.body),
    raw,
  }
}

/** The bytes of any body: data as it is, a value or a list (AMQP 1.0 §3.2.7, §3.2.8) as text or JSON. */
export function bytesOf(body: unknown): Uint8Array {
  if (body === undefined || body === null) return new Uint8Array()
  if (body instanceof Uint8Array) return body
  if (Array.isArray(body) && body.length > 0 && body.every(part => part instanceof Uint8Array))
    return Buffer.concat(body)
  if (typeof body === 'string') return Buffer.from(body)
  return Buffer.from(JSON.stringify(body, (_, value) => (typeof value === 'bigint' ? String(value) : value)) ?? '')
}

/** An id may be a number or a UUID in AMQP. */
function textOf(id: string | number | Buffer | undefined): string | undefined {
  if (id === undefined || id === '') return undefined
  return Buffer.isBuffer(id) ? id.toString('hex') : String(id)
}
