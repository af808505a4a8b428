import { randomUUID } from 'node:crypto'
import type { Message } from 'rhea'

export interface EntityOptions {
  /** How long a lock holds unless renewed, ms. */
  readonly lockMs: number
  /** Deliveries after which a message goes to the dead-letter queue. */
  readonly maxDeliveryCount: number
  readonly sessions: boolean
  /** What has expired goes to the dead-letter queue instead of nowhere. */
  readonly deadLetterOnExpiry: boolean
}

/** A message as it is kept: its sections, and what the service knows beside them. */
export interface Stored {
  readonly sequence: number
  readonly enqueuedMs: number
  readonly message: Message
  readonly sessionId: string | undefined
  deliveryCount: number
  deferred: boolean
  /** Not to be had before. */
  readonly dueMs: number
  readonly expiresMs: number
}

/** Who takes messages: a link. */
export interface Taker {
  /** Told that something can be had now. */
  wake(): void
  /** Told that its session is its own no more. */
  sessionLost(): void
}

export interface Lock {
  readonly token: string
  readonly stored: Stored
  readonly taker: Taker
  untilMs: number
  timer: NodeJS.Timeout | undefined
}

interface SessionLock {
  readonly taker: Taker
  untilMs: number
  timer: NodeJS.Timeout
}

/** A queue, or the subscription of a topic: messages in the order of their sequence numbers, locks that really expire. */
export class Entity {
  readonly path: string
  readonly options: EntityOptions
  readonly takers = new Set<Taker>()
  /** Undefined: this one is a dead-letter queue itself. */
  readonly deadLetters: Entity | undefined
  readonly #states = new Map<string, unknown>()
  #ready: Stored[] = []
  readonly #deferred = new Map<number, Stored>()
  readonly #locks = new Map<string, Lock>()
  readonly #sessions = new Map<string, SessionLock>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #sequence = 0

  constructor(path: string, options: EntityOptions, deadLetters?: Entity) {
    this.path = path
    this.options = options
    this.deadLetters = deadLetters
  }

  enqueue(message: Message): number {
    const nowMs = Date.now()
    const at = message.message_annotations?.['x-opt-scheduled-enqueue-time']
    const dueMs = at === undefined ? nowMs : new Date(at).getTime()
    const ttl = message.ttl === undefined ? Number.POSITIVE_INFINITY : message.ttl
    const stored: Stored = {
      sequence: ++this.#sequence,
      enqueuedMs: Math.max(nowMs, dueMs),
      message: withoutDeliveryAnnotations(message),
      sessionId: message.group_id,
      deliveryCount: 0,
      deferred: false,
      dueMs,
      expiresMs: dueMs + ttl,
    }
    this.#ready.push(stored)
    if (dueMs > nowMs) this.#later(dueMs - nowMs, () => this.wake())
    else this.wake()
    return stored.sequence
  }

  /** The next message for a taker, out of its session where it has one, and locked. */
  take(taker: Taker, sessionId: string | undefined): Lock | undefined {
    this.#expire()
    const nowMs = Date.now()
    const at = this.#ready.findIndex(
      one => one.dueMs <= nowMs && (!this.options.sessions || one.sessionId === sessionId),
    )
    const [stored] = at < 0 ? [] : this.#ready.splice(at, 1)
    return stored && this.lock(stored, taker)
  }

  lock(stored: Stored, taker: Taker): Lock {
    stored.deliveryCount++
    const lock: Lock = { token: randomUUID(), stored, taker, untilMs: 0, timer: undefined }
    this.#locks.set(lock.token, lock)
    this.#extend(lock)
    return lock
  }

  /** @returns until when; undefined where the lock is lost. */
  renew(token: string): number | undefined {
    const lock = this.#locks.get(token)
    if (lock === undefined) return undefined
    this.#extend(lock)
    return lock.untilMs
  }

  /** Ends a lock with the message gone, given back, deferred or dead. @returns false where the lock is lost. */
  settle(
    token: string,
    outcome: 'complete' | 'abandon' | 'defer' | { reason?: string; description?: string },
  ): boolean {
    const lock = this.#locks.get(token)
    if (lock === undefined) return false
    this.#unlock(lock)
    if (outcome === 'complete') return true
    if (outcome === 'abandon') this.#giveBack(lock.stored)
    else if (outcome === 'defer') {
      lock.stored.deferred = true
      this.#deferred.set(lock.stored.sequence, lock.stored)
    } else this.#bury(lock.stored, outcome.reason, outcome.description)
    return true
  }

  deferredBySequence(sequence: number): Stored | undefined {
    const found = this.#deferred.get(sequence)
    this.#deferred.delete(sequence)
    return found
  }

  /** Locks a session: the one asked for, or any that is free and has messages. */
  acceptSession(wanted: string | undefined, taker: Taker): { id: string; untilMs: number } | undefined {
    const id = wanted ?? this.freeSession()
    if (id === undefined || this.#sessions.has(id)) return undefined
    const lock: SessionLock = { taker, untilMs: 0, timer: setTimeout(() => {}, 0) }
    this.#sessions.set(id, lock)
    return { id, untilMs: this.renewSession(id) ?? 0 }
  }

  freeSession(): string | undefined {
    this.#expire()
    const nowMs = Date.now()
    return this.#ready.find(
      one => one.dueMs <= nowMs && one.sessionId !== undefined && !this.#sessions.has(one.sessionId),
    )?.sessionId
  }

  renewSession(id: string): number | undefined {
    const lock = this.#sessions.get(id)
    if (lock === undefined) return undefined
    clearTimeout(lock.timer)
    lock.untilMs = Date.now() + this.options.lockMs
    lock.timer = setTimeout(() => this.loseSession(id), this.options.lockMs)
    return lock.untilMs
  }

  loseSession(id: string): void {
    const lock = this.#sessions.get(id)
    if (lock === undefined) return
    this.releaseSession(id, lock.taker)
    lock.taker.sessionLost()
  }

  /** Where `taker` still has it. */
  releaseSession(id: string, taker: Taker): void {
    const held = this.#sessions.get(id)
    if (held === undefined || held.taker !== taker) return
    clearTimeout(held.timer)
    this.#sessions.delete(id)
    for (const lock of [...this.#locks.values()]) if (lock.taker === held.taker) this.#lose(lock)
    this.wake()
  }

  /** Loses one lock, or every one, as if its time were over. */
  loseLocks(): void {
    for (const lock of [...this.#locks.values()]) this.#lose(lock)
    for (const id of [...this.#sessions.keys()]) this.loseSession(id)
  }

  state(sessionId: string): unknown {
    return this.#states.get(sessionId)
  }

  setState(sessionId: string, state: unknown): void {
    this.#states.set(sessionId, state)
  }

  sessionIds(): string[] {
    return [
      ...new Set([...this.all(), ...this.#states.keys()].map(one => (typeof one === 'string' ? one : one.sessionId))),
    ]
      .filter(id => id !== undefined)
      .sort()
  }

  /** Everything that is here, locked and deferred messages included, in order. */
  all(): Stored[] {
    this.#expire()
    const locked = [...this.#locks.values()].map(lock => lock.stored)
    return [...this.#ready, ...locked, ...this.#deferred.values()].sort((a, b) => a.sequence - b.sequence)
  }

  /** What KEDA counts: neither deferred nor scheduled. */
  active(): number {
    const nowMs = Date.now()
    return this.all().filter(one => !one.deferred && one.dueMs <= nowMs).length
  }

  /** Of the newest message, whatever became of it. */
  lastSequence(): number {
    return this.#sequence
  }

  locked(): number {
    return this.#locks.size
  }

  wake(): void {
    for (const taker of [...this.takers]) taker.wake()
  }

  /** Ends every timer. */
  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    for (const lock of this.#locks.values()) clearTimeout(lock.timer)
    for (const lock of this.#sessions.values()) clearTimeout(lock.timer)
    this.deadLetters?.stop()
  }

  #extend(lock: Lock): void {
    clearTimeout(lock.timer)
    lock.untilMs = Date.now() + this.options.lockMs
    // In a session it is the session's lock that counts.
    if (!this.options.sessions) lock.timer = setTimeout(() => this.#lose(lock), this.options.lockMs)
  }

  #lose(lock: Lock): void {
    this.#unlock(lock)
    this.#giveBack(lock.stored)
  }

  #unlock(lock: Lock): void {
    clearTimeout(lock.timer)
    this.#locks.delete(lock.token)
  }

  #giveBack(stored: Stored): void {
    if (stored.deferred) {
      this.#deferred.set(stored.sequence, stored)
      return
    }
    if (this.deadLetters !== undefined && stored.deliveryCount >= this.options.maxDeliveryCount) {
      const words = `Message could not be consumed after ${stored.deliveryCount} delivery attempts.`
      this.#bury(stored, 'MaxDeliveryCountExceeded', words)
      return
    }
    const at = this.#ready.findIndex(one => one.sequence > stored.sequence)
    this.#ready.splice(at < 0 ? this.#ready.length : at, 0, stored)
    this.wake()
  }

  #bury(stored: Stored, reason: string | undefined, description: string | undefined): void {
    const properties = { ...stored.message.application_properties }
    if (reason !== undefined) properties.DeadLetterReason = reason
    if (description !== undefined) properties.DeadLetterErrorDescription = description
    const { ttl: _, ...message } = stored.message
    this.deadLetters?.enqueue({ ...message, application_properties: properties })
  }

  #expire(): void {
    const nowMs = Date.now()
    const expired = this.#ready.filter(one => one.expiresMs <= nowMs)
    if (expired.length === 0) return
    this.#ready = this.#ready.filter(one => one.expiresMs > nowMs)
    if (!this.options.deadLetterOnExpiry) return
    for (const one of expired) this.#bury(one, 'TTLExpiredException', 'The message expired and was dead lettered.')
  }

  #later(delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      action()
    }, delayMs)
    this.#timers.add(timer)
  }
}

/** They are for one transfer, not for the message (AMQP 1.0 §3.2.2). */
function withoutDeliveryAnnotations(given: Message): Message {
  const { delivery_annotations: _, ...message } = given
  return message
}
