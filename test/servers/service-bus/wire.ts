import rhea, { type Delivery, type Message, type Sender } from 'rhea'

/** What the typings of rhea leave out. */
interface Outcomes {
  accepted(): { described(): unknown }
  rejected(fields: object): { described(): unknown }
}

const outcomes = rhea.message as unknown as Outcomes

/** Settles a delivery that we sent, in answer to what the receiver said of it. */
export function confirm(delivery: Delivery): void {
  delivery.update(true, outcomes.accepted().described())
}

/** Settles a delivery that we sent with a refusal: the receiver's call fails with `condition`. */
export function refuse(delivery: Delivery, condition: string, description: string): void {
  delivery.update(true, outcomes.rejected({ error: { condition, description } }).described())
}

/** Properties that go out with our half of an attach. */
export function setLinkProperties(sender: Sender, properties: object): void {
  const inner = sender as unknown as { local: { attach: { properties: object } } }
  inner.local.attach.properties = properties
}

/** A lock token as Service Bus puts it in the delivery tag: a GUID in the byte order of .NET. */
export function tagOf(token: string): Buffer {
  const bytes = Buffer.from(token.replaceAll('-', ''), 'hex')
  return Buffer.concat([
    bytes.subarray(0, 4).reverse(),
    bytes.subarray(4, 6).reverse(),
    bytes.subarray(6, 8).reverse(),
    bytes.subarray(8),
  ])
}

/** A lock token in a request, whose bytes are in the order of the network. */
export function tokenOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** A moment in .NET ticks, 100 ns since the year 1. */
export function ticks(ms: number): unknown {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(621_355_968_000_000_000n + BigInt(ms) * 10_000n)
  return rhea.types.wrap_long(bytes)
}

/** Message format of a batch: each data section is a message of its own. */
const BATCH_FORMAT = 0x80_01_37_00

/** The messages of one transfer. */
export function messagesIn(message: Message | Buffer, format: number | undefined): Message[] {
  if (format !== BATCH_FORMAT) return Buffer.isBuffer(message) ? [decode(message)] : [message]
  const batch = Buffer.isBuffer(message) ? decode(message) : message
  const parts: unknown[] = [batch.body.content].flat()
  return parts.filter(part => Buffer.isBuffer(part)).map(part => decode(part))
}

/** The bytes of a message's data, as text. */
export function textOf(message: Message): string {
  const content: unknown = message.body?.content ?? message.body
  if (Buffer.isBuffer(content)) return content.toString()
  return Array.isArray(content) ? Buffer.concat(content).toString() : String(content ?? '')
}

function decode(bytes: Buffer): Message {
  const message = rhea.message.decode(bytes)
  return { ...message, body: message.body }
}
