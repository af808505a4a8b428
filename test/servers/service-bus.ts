import type { AddressInfo, Server } from 'node:net'
import { parseArgs } from 'node:util'
import rhea, { type Connection, type Container, type EventContext, type Receiver, type Sender } from 'rhea'
import type { Entity } from './service-bus/entity.ts'
import {
  drop,
  type Faults,
  holdSessionAttaches,
  noFaults,
  Outlet,
  onOutcome,
  outletOf,
  whenEnded,
} from './service-bus/links.ts'
import { manage } from './service-bus/management.ts'
import { type EntityWish, Namespace } from './service-bus/namespace.ts'
import { messagesIn, textOf } from './service-bus/wire.ts'

/**
 * A stand-in for Azure Service Bus on loopback, over plain TCP as Microsoft's emulator is: `@azure/service-bus` talks to it
 * unchanged. It keeps messages in memory, and knows queues, topics, sessions, locks, dead letters, deferral, schedules and
 * expiry; it has no rules, no transactions and no administration over HTTP.
 */
export interface ServiceBusServer extends AsyncDisposable {
  readonly port: number
  readonly connectionString: string
  readonly faults: Faults
  create(name: string, wish?: EntityWish): void
  /** Takes a queue or topic away, as somebody would who deletes it: its links end with `amqp:not-found`. */
  remove(name: string): void
  /** A queue, `<topic>/Subscriptions/<name>`, or either with `/$DeadLetterQueue`. @throws where there is none. */
  entity(path: string): Entity
  /** The bodies of what is there, in order. */
  texts(path: string): string[]
  /** Ends every connection as a network does. */
  dropConnections(): void
  connections(): number
  /** Stops as a crash would. Messages are kept, locks are not. */
  kill(): Promise<void>
  /** Comes back on its port. */
  start(): Promise<void>
}

/** @param port 0 takes a free one. */
export async function openServiceBus(entities: Record<string, EntityWish> = {}, port = 0): Promise<ServiceBusServer> {
  const bus = new Bus(port)
  for (const [name, wish] of Object.entries(entities)) bus.create(name, wish)
  await bus.start()
  return bus
}

/** What was modified is not told as released too; the typings do not know that option. */
const SENDER_OPTIONS = { autosettle: false, treat_modified_as_released: false }

const MANAGEMENT = /^(.*)\/\$management$/i

class Bus implements ServiceBusServer {
  readonly faults = noFaults()
  readonly #namespace = new Namespace()
  readonly #connections = new Set<Connection>()
  readonly #outlets = new Map<Outlet, Connection>()
  readonly #container: Container
  /** Where answers go, by the names that clients give to their links. */
  readonly #replies = new Map<string, Sender>()
  #server: Server | undefined
  #port: number

  constructor(port: number) {
    this.#port = port
    this.#container = rhea.create_container({
      id: 'weir-test-service-bus',
      receiver_options: { autoaccept: false, credit_window: 500 },
      sender_options: SENDER_OPTIONS,
    })
    this.#listenToLinks()
    const faults = this.faults
    const on = (event: string, handle: (context: EventContext) => void) => this.#container.on(event, handle)
    on('accepted', context => onOutcome('complete', context, faults))
    on('released', context => onOutcome('abandon', context, faults))
    on('modified', context => {
      const later = context.delivery?.remote_state?.undeliverable_here === true
      onOutcome(later ? 'defer' : 'abandon', context, faults)
    })
    on('rejected', context => {
      const { DeadLetterReason: reason, DeadLetterErrorDescription: description } =
        context.delivery?.remote_state?.error?.info ?? {}
      onOutcome({ reason, description }, context, faults)
    })
  }

  get port(): number {
    return this.#port
  }

  get connectionString(): string {
    const key = 'SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=bm90LWEtc2VjcmV0'
    return `Endpoint=sb://127.0.0.1:${this.#port};${key};UseDevelopmentEmulator=true;`
  }

  create(name: string, wish?: EntityWish): void {
    this.#namespace.create(name, wish)
  }

  remove(name: string): void {
    if (this.#namespace.remove(name).length === 0) return
    const end = (link: Sender | Receiver, address: string | undefined) => {
      if (address !== undefined && !this.#exists(address)) link.close(notFound(address))
    }
    for (const connection of this.#connections) {
      connection.each_sender((sender: Sender) => end(sender, sender.source?.address))
      connection.each_receiver((receiver: Receiver) => end(receiver, receiver.target?.address))
    }
  }

  entity(path: string): Entity {
    const found = this.#namespace.at(path)
    if (found === undefined) throw new Error(`there is no ${path} at the test server`)
    return found
  }

  texts(path: string): string[] {
    return this.entity(path)
      .all()
      .map(one => textOf(one.message))
  }

  dropConnections(): void {
    for (const connection of [...this.#connections]) {
      drop(connection)
      this.#forget(connection)
    }
  }

  connections(): number {
    return this.#connections.size
  }

  async kill(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    const closed = new Promise(resolve => server.close(resolve))
    this.dropConnections()
    await closed
    for (const entity of this.#namespace.all()) entity.loseLocks()
  }

  async start(): Promise<void> {
    const server = this.#container.listen({ port: this.#port, host: '127.0.0.1' })
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('listening', resolve)
      server.once('error', reject)
    })
    this.#port = (server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    for (const entity of this.#namespace.all()) entity.stop()
  }

  #listenToLinks(): void {
    const on = (event: string, handle: (context: EventContext) => void) => this.#container.on(event, handle)
    on('connection_open', ({ connection }) => {
      this.#connections.add(connection)
      whenEnded(connection, () => this.#forget(connection))
    })
    on('session_open', ({ session }) => session && holdSessionAttaches(session, path => this.#namespace.at(path)))
    on('receiver_open', ({ receiver }) => {
      const address = receiver?.target?.address ?? ''
      receiver?.set_target({ address })
      if (receiver !== undefined && !this.#exists(address)) receiver.close(notFound(address))
    })
    on('sender_open', ({ sender }) => sender && this.#openSender(sender))
    for (const event of ['sendable', 'sender_flow']) on(event, ({ sender }) => outletOf(sender)?.wake())
    on('sender_draining', ({ sender }) => {
      outletOf(sender)?.wake()
      if (!this.faults.hung) sender?.set_drained(true)
    })
    on('sender_close', ({ sender }) => outletOf(sender)?.gone())
    on('message', context => this.#onMessage(context))
    // What a client does wrong, or a network, ends its connection and nothing else.
    for (const event of [
      'disconnected',
      'connection_error',
      'protocol_error',
      'session_error',
      'sender_error',
      'receiver_error',
      'error',
    ])
      on(event, () => {})
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection)
    for (const [outlet, of] of this.#outlets) {
      if (of !== connection) continue
      outlet.gone()
      this.#outlets.delete(outlet)
    }
  }

  #exists(address: string): boolean {
    return address === '$cbs' || this.#namespace.has(address.replace(MANAGEMENT, '$1'))
  }

  #openSender(sender: Sender): void {
    const { address } = sender.source
    sender.set_target({ address: sender.target?.address ?? '' })
    if (!this.#exists(address)) {
      sender.set_source({ address })
      sender.close(notFound(address))
      return
    }
    const entity = this.#namespace.at(address)
    if (entity !== undefined) {
      this.#outlets.set(new Outlet(sender, entity, this.faults), sender.connection)
      return
    }
    sender.set_source({ address })
    this.#replies.set(sender.name, sender)
  }

  #onMessage({ receiver, delivery, message }: EventContext): void {
    if (receiver === undefined || delivery === undefined || message === undefined || this.faults.hung) return
    const address = receiver.target.address ?? ''
    const entity = this.#namespace.at(address.replace(MANAGEMENT, '$1'))
    const reply = this.#replies.get(message.reply_to ?? '')
    if (address === '$cbs') {
      delivery.accept()
      const refused = this.faults.refuseTokens
      const status = {
        'status-code': refused ? 401 : 202,
        'status-description': refused ? 'InvalidSignature: the token has an invalid signature.' : 'Accepted',
      }
      reply?.send({
        correlation_id: message.message_id ?? '',
        to: message.reply_to ?? '',
        application_properties: status,
        body: null,
      })
      return
    }
    if (MANAGEMENT.test(address)) {
      delivery.accept()
      if (this.faults.hangManagement) return
      const nobody = { wake() {}, sessionLost() {} }
      const { status, condition, body } =
        entity === undefined ? { status: 404, condition: 'amqp:not-found', body: {} } : manage(entity, message, nobody)
      const properties = {
        statusCode: status,
        statusDescription: condition ?? '',
        ...(condition && { errorCondition: condition }),
      }
      const answer = {
        correlation_id: message.message_id ?? '',
        to: message.reply_to ?? '',
        body: body ?? {},
        application_properties: properties,
      }
      setTimeout(() => reply?.is_open() && reply.send(answer), this.faults.managementDelayMs)
      return
    }
    const messages = messagesIn(message as Parameters<typeof messagesIn>[0], delivery.format)
    if (!this.#namespace.has(address)) {
      delivery.reject(notFound(address))
      return
    }
    if (this.#namespace.wantsSession(address) && messages.some(one => one.group_id === undefined)) {
      delivery.reject({
        condition: 'amqp:not-allowed',
        description: 'The SessionId was not set on a message, and it cannot be sent to the entity.',
      })
      return
    }
    for (const one of messages) this.#namespace.send(address, one)
    delivery.accept()
  }
}

function notFound(address: string): { condition: string; description: string } {
  return { condition: 'amqp:not-found', description: `The messaging entity '${address}' could not be found.` }
}

/** As a process of its own: `node service-bus.ts --port 5672 --entities '{"orders":{"sessions":true}}'`. */
if (import.meta.main) {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '0' }, entities: { type: 'string', default: '{}' } },
  })
  const bus = await openServiceBus(JSON.parse(values.entities), Number(values.port))
  console.log(bus.connectionString)
  // Whoever started it holds the other end: without them nobody would end this process.
  process.stdin.on('end', () => process.exit()).resume()
}
