import type { Cancel, Clock } from '../../../runtime/clock.ts'
import { type Appended, type StoreFailedError, StoreFullError } from '../../store.ts'
import type { Held } from '../ready-queue.ts'
import { type Buffers, Group, newBuffers, reusable } from './group.ts'
import { Linger } from './linger.ts'
import type { Change, Committed, Key, Request, StoredAttempt } from './protocol.ts'
import type { SqliteQueue } from './queue.ts'

/** The longest that a settlement waits for a group to go with. A crash in that time repeats the delivery. */
const SETTLE_MS = 20
/** What is owed for this long gets a row of its own. A crash repeats at most the deliveries of twice this time. */
const AGE_MS = 100
/** How long a full disk is taken to be full without trying. */
export const FULL_RETRY_MS = 250

export interface Appending {
  readonly held: Held
  readonly queues: readonly SqliteQueue[]
  readonly appended: Appended
  readonly resolve: (appended: Appended) => void
  readonly reject: (error: Error) => void
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

interface Batch {
  readonly group: Group
  readonly appends: Appending[]
  readonly waiters: Waiter[]
  /** What may be asked of the database right behind it. */
  readonly afterSend: (() => void)[]
  /** When its first event came, monotonic ms. */
  firstMs: number
}

export interface CommitterDeps {
  readonly clock: Clock
  readonly post: (request: Request, transfer: ArrayBuffer[]) => void
  /** The events of a group are durable. */
  readonly onStored: (appends: readonly Appending[]) => void
  /** A group found no room, or found some again. */
  readonly onFull: (full: boolean) => void
}

/**
 * Group commit: what comes while a group is on its way to the disk shares the next transaction. One group is on its way at
 * a time, so that the settlements of one that found no room can go before all later ones.
 */
export class Committer {
  readonly #deps: CommitterDeps
  readonly #linger = new Linger()
  /** Batches that grew to their limit, in order. */
  readonly #ready: Batch[] = []
  #spare: Buffers[] = []
  #open: Batch
  #sent: Batch | undefined
  #sending: Cancel | undefined
  #sendingEvents = false
  #committedSeq = 0
  #agedTo = 0
  #agedNext = 0
  #aging: Cancel | undefined
  #fullUntilMs = 0
  #full = false
  #giveUp = false
  #ended: Error | undefined

  constructor(deps: CommitterDeps) {
    this.#deps = deps
    this.#open = this.#newBatch()
  }

  /** Whether an append would only be told that the disk is full. */
  get isFull(): boolean {
    return this.#full && this.#deps.clock.monotonicMs() < this.#fullUntilMs
  }

  append(appending: Appending, broker: Key): void {
    const { group, appends } = this.#open
    appending.held.bytes = group.add(appending.held, broker, appending.queues)
    if (appends.push(appending) === 1) {
      this.#open.firstMs = this.#deps.clock.monotonicMs()
      this.#plan()
    } else if (group.isFull) {
      this.#ready.push(this.#open)
      this.#open = this.#newBatch()
      this.#send()
    }
  }

  /** All in one group, however large it becomes. */
  appendAll(appendings: readonly Appending[], broker: Key): void {
    const { group, appends } = this.#open
    if (appends.length === 0) this.#open.firstMs = this.#deps.clock.monotonicMs()
    for (const appending of appendings) {
      appending.held.bytes = group.add(appending.held, broker, appending.queues)
      appends.push(appending)
    }
    this.#plan()
  }

  /** A Broker that has no row yet. */
  broker(key: Key, id: string): void {
    this.#open.group.brokers.push([key, id])
  }

  done(trigger: Key, seq: number): void {
    this.#open.group.done(trigger, seq)
    this.#plan()
  }

  change(change: Change): void {
    this.#open.group.changes.push(change)
    this.#plan()
  }

  attempt(attempt: StoredAttempt): void {
    this.#open.group.attempts.push(attempt)
    this.#plan()
  }

  /** Resolves when everything added so far is on disk. @throws {StoreFailedError} */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended)
        return
      }
      this.#open.group.ageTo = Math.max(this.#open.group.ageTo, this.#committedSeq)
      this.#open.waiters.push({ resolve, reject })
      this.#send()
    })
  }

  /**
   * Calls `action`, now or later, at a moment when a request to the database comes behind every settlement made until then.
   * Where those find no room, the database knows, and answers accordingly.
   */
  behindSettlements(action: () => void): void {
    if (this.#ready.length === 0 && this.#open.group.settlements === 0) {
      action()
      return
    }
    this.#open.afterSend.push(action)
    this.#send()
  }

  /** Writes what can be written, once. */
  async close(): Promise<void> {
    this.#giveUp = true
    await this.flush()
    this.#cancel()
  }

  /** Nothing is written any more; everything that waits is told. */
  fail(error: StoreFailedError): void {
    this.#ended = error
    this.#cancel()
    for (const batch of [this.#sent, ...this.#ready, this.#open]) {
      for (const { reject } of batch?.appends ?? []) reject(error)
      for (const { reject } of batch?.waiters ?? []) reject(error)
    }
    this.#ready.length = 0
  }

  committed(reply: Committed): void {
    const batch = this.#sent
    if (batch === undefined) return
    this.#sent = undefined
    const buffers = reusable(reply)
    if (reply.outcome === 'stored') this.#stored(batch)
    else this.#refused(batch)
    if (reply.settled) {
      this.#agedTo = Math.max(this.#agedTo, batch.group.ageTo)
      for (const { resolve } of batch.waiters) resolve()
    } else if (this.#giveUp) {
      for (const { resolve } of batch.waiters) resolve()
    } else {
      const next = this.#ready[0] ?? this.#open
      next.group.takeOver(batch.group, reply.done)
      next.waiters.unshift(...batch.waiters)
    }
    if (buffers !== undefined && this.#spare.length < 2) this.#spare.push(buffers)
    if (this.#ready.length > 0) this.#send()
    else this.#plan()
    this.#planAging()
  }

  #stored({ appends }: Batch): void {
    const last = appends.at(-1)
    if (last === undefined) return
    this.#committedSeq = last.held.seq
    if (this.#full) {
      this.#full = false
      this.#deps.onFull(false)
    }
    this.#deps.onStored(appends)
    for (const { resolve, appended } of appends) resolve(appended)
  }

  #refused({ appends, group }: Batch): void {
    this.#fullUntilMs = this.#deps.clock.monotonicMs() + FULL_RETRY_MS
    this.#full = true
    this.#deps.onFull(true)
    // The names of new Brokers went with the events; they come again with the next ones.
    this.#open.group.brokers.unshift(...group.brokers)
    const error = new StoreFullError('The disk is full: the event was not stored.')
    for (const { reject } of appends) reject(error)
  }

  #newBatch(): Batch {
    return { group: new Group(this.#spare.pop() ?? newBuffers()), appends: [], waiters: [], afterSend: [], firstMs: 0 }
  }

  /** Sees to it that the open batch is sent in time. */
  #plan(): void {
    if (this.#sent !== undefined || this.#ended !== undefined) return
    const { appends, waiters, afterSend, group, firstMs } = this.#open
    if (this.isFull && !this.#giveUp) {
      if (this.#sending === undefined) this.#sendIn(FULL_RETRY_MS)
    } else if (waiters.length + afterSend.length > 0) {
      this.#send()
    } else if (appends.length > 0) {
      if (this.#sendingEvents) return
      this.#sending?.()
      this.#sendingEvents = true
      const leftMs = firstMs + this.#linger.waitMs() - this.#deps.clock.monotonicMs()
      if (leftMs > 0) this.#sendIn(leftMs)
      else this.#sendSoon()
    } else if (this.#sending === undefined && (group.settlements > 0 || group.ageTo > this.#agedTo)) {
      this.#sendIn(SETTLE_MS)
    }
  }

  #sendIn(ms: number): void {
    this.#sending = this.#deps.clock.after(ms, () => this.#send())
  }

  /** After what this turn of the event loop brings. */
  #sendSoon(): void {
    const immediate = setImmediate(() => this.#send())
    this.#sending = () => clearImmediate(immediate)
  }

  #send(): void {
    if (this.#sent !== undefined || this.#ended !== undefined) return
    this.#sending?.()
    this.#sending = undefined
    this.#sendingEvents = false
    const batch = this.#ready.shift() ?? this.#open
    if (batch === this.#open) this.#open = this.#newBatch()
    this.#sent = batch
    this.#linger.sent(batch.appends.length, this.#deps.clock.monotonicMs())
    const { request, transfer } = batch.group.request()
    this.#deps.post(request, transfer)
    for (const action of batch.afterSend) action()
  }

  #planAging(): void {
    if (this.#aging !== undefined || this.#committedSeq <= this.#agedTo || this.#ended !== undefined) return
    this.#aging = this.#deps.clock.after(AGE_MS, () => {
      this.#aging = undefined
      this.#open.group.ageTo = Math.max(this.#open.group.ageTo, this.#agedNext)
      this.#agedNext = this.#committedSeq
      this.#plan()
      this.#planAging()
    })
  }

  #cancel(): void {
    this.#sending?.()
    this.#aging?.()
  }
}
