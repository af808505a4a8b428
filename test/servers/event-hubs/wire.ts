import rhea, { type Connection, type Message, type Sender } from 'rhea'

const { message, types } = rhea

/** What a hub keeps of one event. */
export interface KeptEvent {
  readonly message: Message
  readonly sequence: number
  readonly enqueuedMs: number
}

/** One partition. */
export interface Log {
  events: KeptEvent[]
  /** The sequence number of the next event. */
  next: number
}

/** The message format of a batch: each data section is an encoded message. */
const BATCH_FORMAT = 0x80013700

/** `hub`, `hub/Partitions/1`, `hub/ConsumerGroups/group/Partitions/1`. */
export function partsOf(address: string) {
  const [hub = '', ...rest] = address.split('/')
  const after = (word: string) => rest[rest.indexOf(word) + 1] ?? ''
  const group = rest.includes('ConsumerGroups') ? after('ConsumerGroups') : ''
  return { hub, group, partition: rest.includes('Partitions') ? Number(after('Partitions')) : -1 }
}

export function factsOf(log: Log | undefined) {
  const { events = [], next = 0 } = log ?? {}
  const last = events.at(-1)
  return {
    begin_sequence_number: types.wrap_long(events[0]?.sequence ?? next),
    last_enqueued_sequence_number: types.wrap_long(next - 1),
    last_enqueued_offset: next === 0 ? '-1' : String((next - 1) * 100),
    last_enqueued_time_utc: types.wrap_timestamp(last?.enqueuedMs ?? 0),
    is_partition_empty: events.length === 0,
  }
}

/** Where the selector of a receiver begins: a sequence number, the first that it gets. */
export function startOf(sender: Sender, log: Log): number | { readonly wrong: string } {
  const selector = JSON.stringify(sender.source?.filter ?? {})
  const [, field, sign, text = ''] = /amqp\.annotation\.(x-opt-[a-z-]+) (>=?) '([^']*)'/.exec(selector) ?? []
  if (field === undefined) return 0
  if (text === '@latest') return log.next
  if (field === 'x-opt-enqueued-time')
    return log.events.find(one => one.enqueuedMs >= Number(text))?.sequence ?? log.next
  const given = field === 'x-opt-offset' ? Number(text) / 100 : Number(text)
  if (given >= log.next)
    return { wrong: `The supplied ${field} '${text}' is invalid. The last one in the system is '${log.next - 1}'` }
  if (text === '-1') return 0
  return sign === '>' ? given + 1 : given
}

export function creditOf(sender: Sender): number {
  return (sender as unknown as { credit: number }).credit
}

export function epochOf(sender: Sender): number | undefined {
  const { remote } = sender as unknown as { remote: { attach: { properties?: Record<string, unknown> } } }
  const epoch = remote.attach.properties?.['com.microsoft:epoch']
  return epoch === undefined ? undefined : Number(epoch)
}

/** The envelope and the events in it. */
export function unpack(one: Message, format: number): [Message, Message[]] {
  const decode = message.decode as unknown as (bytes: Buffer) => Message
  const envelope = Buffer.isBuffer(one) ? decode(one) : one
  if (format !== BATCH_FORMAT) return [envelope, [envelope]]
  const { content } = envelope.body as { content: Buffer | Buffer[] }
  return [envelope, [content].flat().map(bytes => decode(bytes))]
}

/** After what is being handled now: a link must be open before it can be closed. */
export function later(connection: Connection, action: () => void): void {
  setImmediate(() => {
    if (connection.is_open()) action()
  })
}

export function close(
  link: { is_open(): boolean; close(error: object): void },
  condition: string,
  description: string,
): void {
  if (link.is_open()) link.close({ condition, description })
}
