import type { Server, Socket } from 'node:net'
import rhea, { type Connection, type EventContext, type Message, type Sender } from 'rhea'
import {
  close,
  creditOf,
  epochOf,
  factsOf,
  type KeptEvent,
  type Log,
  later,
  partsOf,
  startOf,
  unpack,
} from './event-hubs/wire.ts'
import { whenEnded } from './service-bus/links.ts'

const { create_container, message, types } = rhea

/** How the server misbehaves. All of it can be switched while it runs. */
export interface Faults {
  /** Every token is refused with 401, as of a key that was revoked. */
  refuseTokens: boolean
  /** Keeps every connection and takes new ones, but reads and writes nothing. */
  hang: boolean
  /** Events are taken and kept, and the answer never comes. */
  loseAnswers: boolean
  /** Every sender is told to come later, as by a namespace that is throttled. */
  busy: boolean
}

/** Azure Event Hubs over AMQP 1.0 on loopback, as far as the official client speaks with it; all is kept in memory. */
export interface EventHubsServer extends AsyncDisposable {
  readonly port: number
  /** Of the namespace; names no hub. */
  readonly connectionString: string
  readonly faults: Faults
  /** How many events readers of a partition let it send at once, at most. */
  readonly credit: (hub: string, partition: number) => number
  /** How often a receiver was cut off because another one took its partition. */
  readonly stolen: () => number
  make(hub: string, partitions: number): void
  remove(hub: string): void
  /** Appends as a producer would. @returns its sequence number */
  put(hub: string, partition: number, body: Uint8Array | string, more?: Partial<Message>): number
  kept(hub: string, partition: number): readonly KeptEvent[]
  /** Retention: the events before `sequence` are gone. */
  cut(hub: string, partition: number, sequence: number): void
  /** Resets every connection, as a network does. */
  drop(): void
  /** Resets every connection and listens no more; what it keeps stays. */
  kill(): Promise<void>
  start(): Promise<void>
}

/** Both keys of every emulator: no secret. */
const KEY = 'SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;'
/** Of the standard tier. */
const MESSAGE_MAX_BYTES = 1024 * 1024

interface Hub {
  readonly name: string
  readonly createdMs: number
  readonly partitions: Log[]
  turn: number
}

interface Reader {
  readonly sender: Sender
  readonly hub: Hub
  readonly partition: number
  readonly group: string
  readonly epoch: number | undefined
  next: number
}

/** Starts it on a free port, which it keeps when it is killed and started again. */
export async function openEventHubs(): Promise<EventHubsServer> {
  const running = new Running()
  await running.start()
  return running
}

class Running implements EventHubsServer {
  readonly faults: Faults = new Proxy<Faults>(
    { refuseTokens: false, hang: false, loseAnswers: false, busy: false },
    { set: (faults, name, value: boolean) => Reflect.set(faults, name, value) && this.#apply() },
  )
  readonly #hubs = new Map<string, Hub>()
  readonly #readers = new Set<Reader>()
  readonly #answers = new Map<string, Sender>()
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0
  #stolen = 0

  get port(): number {
    return this.#port
  }

  get connectionString(): string {
    return `Endpoint=sb://127.0.0.1:${this.#port};${KEY}`
  }

  stolen = () => this.#stolen

  credit = (hub: string, partition: number) => {
    const readers = [...this.#readers].filter(one => one.hub.name === hub && one.partition === partition)
    return Math.max(0, ...readers.map(one => creditOf(one.sender)))
  }

  make(hub: string, partitions: number): void {
    const logs = Array.from({ length: partitions }, () => ({ events: [], next: 0 }))
    this.#hubs.set(hub, { name: hub, createdMs: Date.now(), partitions: logs, turn: 0 })
  }

  remove(hub: string): void {
    this.#hubs.delete(hub)
    for (const reader of this.#readers)
      if (reader.hub.name === hub) close(reader.sender, 'amqp:not-found', `The messaging entity '${hub}' was deleted.`)
  }

  put(name: string, partition: number, body: Uint8Array | string, more: Partial<Message> = {}): number {
    const content = message.data_section(Buffer.from(body))
    return this.#keep(this.#hub(name), partition, { ...more, body: content as unknown })
  }

  kept(hub: string, partition: number): readonly KeptEvent[] {
    return this.#log(this.#hub(hub), partition).events
  }

  cut(hub: string, partition: number, sequence: number): void {
    const log = this.#log(this.#hub(hub), partition)
    log.events = log.events.filter(one => one.sequence >= sequence)
  }

  drop(): void {
    this.#readers.clear()
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async kill(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = new Promise(resolve => server.close(resolve))
    this.drop()
    await closed
  }

  async start(): Promise<void> {
    const container = create_container({
      id: 'event-hubs',
      receiver_options: { autoaccept: false, credit_window: 100, max_message_size: MESSAGE_MAX_BYTES },
    })
    container.on('receiver_open', (context: EventContext) => this.#senderCame(context))
    container.on('sender_open', (context: EventContext) => this.#receiverCame(context))
    container.on('message', (context: EventContext) => this.#took(context))
    for (const event of ['sendable', 'sender_flow'])
      container.on(event, ({ sender }: EventContext) => this.#pump(this.#readerOf(sender)))
    container.on('sender_close', ({ sender }: EventContext) => this.#gone(reader => reader.sender === sender))
    container.on('disconnected', ({ connection }: EventContext) =>
      this.#gone(reader => reader.sender.connection === connection),
    )
    container.on('connection_open', ({ connection }: EventContext) =>
      whenEnded(connection, () => endHeartbeat(connection)),
    )
    container.on('sender_draining', ({ sender }: EventContext) => sender?.set_drained(true))
    for (const event of ['connection_error', 'session_error', 'sender_error', 'receiver_error'])
      container.on(event, () => {})
    const server: Server = container.listen({ port: this.#port, host: '127.0.0.1' })
    server.on('connection', socket => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      this.#apply()
    })
    await new Promise<void>((resolve, reject) => server.once('listening', resolve).once('error', reject))
    const address = server.address()
    if (typeof address === 'object' && address !== null) this.#port = address.port
    this.#server = server
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  #apply(): boolean {
    for (const socket of this.#sockets) {
      if (this.faults.hang) {
        socket.pause()
        socket.cork()
      } else if (socket.isPaused()) {
        while (socket.writableCorked > 0) socket.uncork()
        socket.resume()
      }
    }
    return true
  }

  #hub(name: string): Hub {
    const hub = this.#hubs.get(name)
    if (hub === undefined) throw new Error(`there is no hub ${name}`)
    return hub
  }

  #log(hub: Hub, partition: number): Log {
    const log = hub.partitions[partition]
    if (log === undefined) throw new Error(`${hub.name} has no partition ${partition}`)
    return log
  }

  #keep(hub: Hub, partition: number, one: Message): number {
    const log = this.#log(hub, partition)
    const sequence = log.next++
    log.events.push({ message: one, sequence, enqueuedMs: Date.now() })
    for (const reader of this.#readers) this.#pump(reader)
    return sequence
  }

  #readerOf(sender: Sender | undefined): Reader | undefined {
    return [...this.#readers].find(reader => reader.sender === sender)
  }

  #gone(which: (reader: Reader) => boolean): void {
    for (const reader of this.#readers) if (which(reader)) this.#readers.delete(reader)
  }

  #senderCame({ receiver, connection }: EventContext) {
    const address = receiver?.target?.address
    if (receiver === undefined || address === undefined) return
    const { hub } = partsOf(address)
    if (address.startsWith('$') || this.#hubs.has(hub)) return receiver.set_target({ ...receiver.target, address })
    // Attached without a target, and detached at once (AMQP 1.0 §2.6.3).
    later(connection, () => close(receiver, 'amqp:not-found', `The messaging entity '${hub}' could not be found.`))
  }

  #receiverCame({ sender, connection }: EventContext) {
    const address = sender?.source?.address
    if (sender === undefined || address === undefined) return
    sender.set_target({ ...sender.target, address: sender.target?.address ?? '' })
    sender.set_source({ ...sender.source, address })
    const refuse = (condition: string, words: string) => later(connection, () => close(sender, condition, words))
    if (address.startsWith('$')) return this.#answers.set(sender.name, sender)
    const { hub: name, group, partition } = partsOf(address)
    const hub = this.#hubs.get(name)
    if (hub === undefined) return refuse('amqp:not-found', `The messaging entity '${name}' could not be found.`)
    const log = hub.partitions[partition]
    if (log === undefined)
      return refuse('com.microsoft:argument-out-of-range', `The specified partition is invalid: '${partition}'.`)
    const next = startOf(sender, log)
    if (typeof next !== 'number') return refuse('com.microsoft:argument-out-of-range', next.wrong)
    const epoch = epochOf(sender)
    const rivals = [...this.#readers].filter(
      one => one.hub === hub && one.partition === partition && one.group === group,
    )
    if (rivals.some(one => (one.epoch ?? -1) > (epoch ?? -1)))
      return refuse('amqp:link:stolen', 'A receiver with a higher epoch already exists.')
    if (epoch !== undefined) {
      for (const rival of rivals) {
        this.#stolen++
        this.#readers.delete(rival)
        close(rival.sender, 'amqp:link:stolen', `New receiver with epoch of '${epoch}' is created.`)
      }
    }
    const reader: Reader = { sender, hub, partition, group, epoch, next }
    this.#readers.add(reader)
    later(connection, () => this.#pump(reader))
  }

  #pump(reader: Reader | undefined): void {
    if (reader === undefined) return
    const { sender, hub, partition } = reader
    const { events } = this.#log(hub, partition)
    const first = events[0]?.sequence ?? 0
    for (const { message: one, sequence, enqueuedMs } of events.slice(Math.max(0, reader.next - first))) {
      if (!sender.is_open() || !sender.sendable()) return
      reader.next = sequence + 1
      const annotations = {
        ...one.message_annotations,
        'x-opt-sequence-number': types.wrap_long(sequence),
        'x-opt-offset': types.wrap_string(String(sequence * 100)),
        'x-opt-enqueued-time': types.wrap_timestamp(enqueuedMs),
      }
      const delivery = sender.send({ ...one, message_annotations: annotations })
      delivery.update(true)
    }
  }

  #took({ receiver, message: one, delivery, connection }: EventContext) {
    const address = receiver?.target?.address
    if (address === undefined || one === undefined || delivery === undefined) return
    if (address === '$cbs') {
      delivery.accept()
      const [status, words] = this.#admits(String(one.application_properties?.name))
      return this.#answer(one, { 'status-code': status, 'status-description': words })
    }
    if (address === '$management') {
      delivery.accept()
      return this.#manage(one)
    }
    const { hub: name, partition } = partsOf(address)
    const hub = this.#hubs.get(name)
    if (hub === undefined) return delivery.reject({ condition: 'amqp:not-found', description: 'gone' })
    if (this.faults.busy)
      return delivery.reject({ condition: 'com.microsoft:server-busy', description: 'The server is busy.' })
    const { format } = delivery as unknown as { format: number }
    const [first, events] = unpack(one, format)
    const key = first.message_annotations?.['x-opt-partition-key'] as string | undefined
    const turn = key === undefined ? hub.turn++ : [...key].reduce((sum, letter) => sum + letter.charCodeAt(0), 0)
    for (const event of events) this.#keep(hub, partition >= 0 ? partition : turn % hub.partitions.length, event)
    if (!this.faults.loseAnswers && connection.is_open()) delivery.accept()
  }

  /** A token for `sb://host/hub/…`, as the service answers it. */
  #admits(audience: string): [number, string] {
    const hub = audience.split('/')[3] ?? ''
    if (this.faults.refuseTokens) return [401, 'InvalidSignature: The token has an invalid signature.']
    if (!this.#hubs.has(hub)) return [404, `The messaging entity '${audience}' could not be found.`]
    return [202, 'Accepted']
  }

  #manage(request: Message) {
    const { type, name, partition } = request.application_properties ?? {}
    const hub = this.#hubs.get(name)
    const log = hub?.partitions[Number(partition)]
    if (hub === undefined || (type === 'com.microsoft:partition' && log === undefined)) {
      const words = `The messaging entity '${name}' could not be found.`
      return this.#answer(request, { 'status-code': 404, 'status-description': words })
    }
    const names = [...hub.partitions.keys()].map(String)
    const body =
      type === 'com.microsoft:eventhub'
        ? {
            name: hub.name,
            type,
            created_at: types.wrap_timestamp(hub.createdMs),
            partition_count: names.length,
            partition_ids: names,
            georeplication_factor: 1,
          }
        : { name: hub.name, type, partition, ...factsOf(log) }
    this.#answer(request, { 'status-code': 200, 'status-description': 'OK' }, body)
  }

  #answer(request: Message, properties: Record<string, unknown>, body?: object): void {
    const sender = this.#answers.get(String(request.reply_to))
    if (sender === undefined || !sender.is_open()) return
    sender.send({ correlation_id: request.message_id, application_properties: properties, body: body ?? '' } as Message)
  }
}

/** rhea goes on with it, for ever, where a socket was destroyed. */
function endHeartbeat(connection: Connection): void {
  clearTimeout((connection as Connection & { readonly heartbeat_out?: NodeJS.Timeout }).heartbeat_out)
}
