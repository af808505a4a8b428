import type { Socket } from 'node:net'
import type { Connection, Delivery, EventContext, Sender } from 'rhea'
import type { Entity, Lock, Taker } from './entity.ts'
import { annotated } from './management.ts'
import { confirm, refuse, setLinkProperties, tagOf, ticks } from './wire.ts'

/** What goes wrong, on purpose. Each may be switched at any time. */
export interface Faults {
  /** `put-token` is answered 401. */
  refuseTokens: boolean
  /** Requests to `$management` get no answer. */
  hangManagement: boolean
  /** Requests to `$management` are answered so much later, ms. */
  managementDelayMs: number
  /** So many of the next messages are delivered twice, each with a lock of its own. */
  duplicates: number
  /** The lock of a message is lost before each of the next settlements. */
  loseLocks: number
  /** The next so many settlements are carried out, and the connection ends before they are answered. */
  loseAnswers: number
  /** Receivers are attached and get nothing, as after a network that went idle. */
  silent: boolean
  /** Nothing is answered on any connection, and nothing is read. */
  hung: boolean
}

export function noFaults(): Faults {
  return {
    refuseTokens: false,
    hangManagement: false,
    managementDelayMs: 0,
    duplicates: 0,
    loseLocks: 0,
    loseAnswers: 0,
    silent: false,
    hung: false,
  }
}

const SESSION_FILTER = 'com.microsoft:session-filter'
/** The lock behind each delivery that is under way. */
const locks = new WeakMap<Delivery, { readonly entity: Entity; readonly lock: Lock }>()
/** The link behind each of rhea's. */
const links = new WeakMap<Sender, Outlet>()

/** A receiver of the client's, as the service sees it. */
export class Outlet implements Taker {
  readonly #sender: Sender
  #sent = 0
  readonly #entity: Entity
  readonly #faults: Faults
  readonly #sessionId: string | undefined
  /** What it takes is gone at once: receive-and-delete. */
  readonly #settled: boolean

  constructor(sender: Sender, entity: Entity, faults: Faults) {
    this.#sender = sender
    this.#entity = entity
    this.#faults = faults
    this.#settled = sender.snd_settle_mode === 1
    const filter = sender.source.filter ?? {}
    const address = sender.source.address
    if (entity.options.sessions !== SESSION_FILTER in filter) {
      sender.set_source({ address })
      const words = entity.options.sessions
        ? 'It is not possible for an entity that requires sessions to create a non-sessionful message receiver.'
        : 'A sessionful message receiver cannot be created on an entity that does not require sessions.'
      sender.close({ condition: 'amqp:not-allowed', description: words })
      return
    }
    if (entity.options.sessions) {
      const wanted: string | undefined = filter[SESSION_FILTER] ?? undefined
      const session = entity.acceptSession(wanted, this)
      if (session === undefined) {
        sender.set_source({ address })
        const condition = wanted === undefined ? 'com.microsoft:timeout' : 'com.microsoft:session-cannot-be-locked'
        const description = 'The operation did not complete within the allotted timeout of 00:00:07.9760000.'
        sender.close({ condition, description })
        return
      }
      this.#sessionId = session.id
      sender.set_source({ address, filter: { [SESSION_FILTER]: session.id } })
      setLinkProperties(sender, { 'com.microsoft:locked-until-utc': ticks(session.untilMs) })
    } else sender.set_source({ address })
    links.set(sender, this)
    entity.takers.add(this)
    setImmediate(() => this.wake())
  }

  wake(): void {
    const sender = this.#sender
    while (!this.#faults.silent && !this.#faults.hung && sender.is_open() && this.#credit() > 0) {
      const lock = this.#entity.take(this, this.#sessionId)
      if (lock === undefined) break
      this.#send(lock)
      if (this.#faults.duplicates > 0 && this.#credit() > 0) {
        this.#faults.duplicates--
        this.#send(this.#entity.lock(lock.stored, this))
      }
    }
  }

  sessionLost(): void {
    if (!this.#sender.is_open()) return
    const description = 'The session lock has expired. Accept a new MessageSession.'
    this.#sender.close({ condition: 'com.microsoft:session-lock-lost', description })
  }

  /** The client's end is closed, or its connection is gone: the locks of messages stay until their time is over. */
  gone(): void {
    this.#entity.takers.delete(this)
    if (this.#sessionId !== undefined) this.#entity.releaseSession(this.#sessionId, this)
  }

  /** What rhea has been told to send and has not yet sent counts too: it takes that off its credit later. */
  #credit(): number {
    const { credit, delivery_count } = this.#sender as unknown as { credit: number; delivery_count: number }
    this.#sent = Math.max(this.#sent, delivery_count) // After a drain rhea counts what was never sent.
    return credit - (this.#sent - delivery_count)
  }

  #send(lock: Lock): void {
    this.#sent++
    const delivery = this.#sender.send(annotated(lock.stored, lock.untilMs), tagOf(lock.token))
    if (this.#settled) {
      this.#entity.settle(lock.token, 'complete')
      delivery.update(true)
    } else locks.set(delivery, { entity: this.#entity, lock })
  }
}

/** What a client says of a message it got: done, given back, put off or dead. */
export function onOutcome(
  outcome: Parameters<Entity['settle']>[1],
  { delivery, connection }: EventContext,
  faults: Faults,
): void {
  const held = delivery && locks.get(delivery)
  if (delivery === undefined || held === undefined || faults.hung) return
  if (faults.loseLocks > 0) {
    faults.loseLocks--
    held.entity.loseLocks()
  }
  const done = held.entity.settle(held.lock.token, outcome)
  if (faults.loseAnswers > 0) {
    faults.loseAnswers--
    drop(connection)
    return
  }
  if (done) confirm(delivery)
  else
    refuse(
      delivery,
      'com.microsoft:message-lock-lost',
      'The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.',
    )
}

export function outletOf(sender: Sender | undefined): Outlet | undefined {
  return sender && links.get(sender)
}

/** Ends a connection as a network does: without a word. */
export function drop(connection: Connection): void {
  socketOf(connection)?.destroy()
}

/** Runs `action` when a connection has ended, however: rhea says nothing of a socket that was destroyed. */
export function whenEnded(connection: Connection, action: () => void): void {
  socketOf(connection)?.once('close', action)
}

function socketOf(connection: Connection): Socket | undefined {
  return (connection as unknown as { socket?: Socket }).socket
}

/**
 * Lets attaches that ask for any session wait until one is free, as long as their link says: the service answers a client
 * that accepts the next session no sooner. rhea answers at once, and has no say in that.
 */
export function holdSessionAttaches(session: object, entityAt: (address: string) => Entity | undefined): void {
  const inner = session as Inner
  const attach = inner.on_attach.bind(inner)
  const detach = inner.on_detach.bind(inner)
  const pending = new Map<number, () => void>()
  inner.on_attach = frame => {
    const { handle, properties } = frame.performative
    const address = addressForAnySession(frame)
    const entity = address === undefined ? undefined : entityAt(address)
    if (!entity?.options.sessions || entity.freeSession() !== undefined) return attach(frame)
    const go = () => {
      clearTimeout(timer)
      clearInterval(looking)
      if (pending.delete(handle) && inner.connection.is_open()) attach(frame)
    }
    const told = Number(properties?.['com.microsoft:timeout'])
    const timer = setTimeout(go, told > 0 ? told : 60_000)
    const looking = setInterval(() => {
      if (!inner.connection.is_open() || entity.freeSession() !== undefined) go()
    }, 10)
    pending.set(handle, go)
  }
  inner.on_detach = frame => {
    pending.get(frame.performative.handle)?.()
    detach(frame)
  }
}

interface Inner {
  on_attach(frame: AttachFrame): void
  on_detach(frame: { readonly performative: { readonly handle: number } }): void
  readonly connection: Connection
}

interface AttachFrame {
  readonly performative: {
    readonly handle: number
    readonly source?: unknown
    readonly properties?: Readonly<Record<string, unknown>>
  }
}

/** Of a receiver that takes any session. A source is a list, its address first, its filter a list of names and values. */
function addressForAnySession({ performative }: AttachFrame): string | undefined {
  const fields: unknown = JSON.parse(JSON.stringify(performative.source ?? null))
  if (!Array.isArray(fields)) return undefined
  const filter: unknown = fields.find(field => Array.isArray(field) && field[0] === SESSION_FILTER)
  return Array.isArray(filter) && filter[1] === null ? String(fields[0]) : undefined
}
