import assert from 'node:assert/strict'
import type { BrokerId, TriggerId } from '../../contract/ids.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Archive } from '../archive.ts'
import {
  type Appended,
  type AttemptRecord,
  type Dropped,
  type EventStore,
  type Incoming,
  type Lease,
  type Match,
  type Routing,
  type StoreCounts,
  type StoredSettlement,
  StoreFailedError,
  StoreFullError,
} from '../store.ts'
import { DueBell } from './due-bell.ts'
import { JUMP_MS } from './due-timer.ts'
import { type Held, Item } from './ready-queue.ts'
import { openArchive } from './sqlite/archive.ts'
import { Asks } from './sqlite/asks.ts'
import { type Appending, Committer } from './sqlite/committer.ts'
import { Housekeeping } from './sqlite/housekeeping.ts'
import { Link } from './sqlite/link.ts'
import { Loader } from './sqlite/loader.ts'
import { type Key, type Opened, PARKED, type Reply, WAITING } from './sqlite/protocol.ts'
import { attemptOf, changeOf, type SqliteQueue } from './sqlite/queue.ts'
import { Queues } from './sqlite/queues.ts'

export { StoreOpenError } from './sqlite/link.ts'

export interface SqliteStoreOptions {
  /** Made if it is not there. One process at a time. */
  readonly dir: string
  readonly clock: Clock
  readonly log: Log
  /** Events owed to nobody are kept this long … */
  readonly retentionMs: number
  /** … or until the database uses this much, what is owed included. */
  readonly retentionMaxBytes: number
  /** Events in memory, all Triggers together; the rest waits on disk. */
  readonly cacheMaxBytes?: number
}

const CACHE_MAX_BYTES = 64 << 20
const UNHEARD = () => {}

/** Opens the durable store. @throws {StoreOpenError} the folder cannot be used, and was not changed. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<EventStore> {
  const { link, opened } = await Link.open(options.dir)
  return new SqliteStore(options, link, opened)
}

class SqliteStore implements EventStore {
  readonly #options: SqliteStoreOptions
  readonly #link: Link
  readonly #committer: Committer
  readonly #bell = new DueBell()
  readonly #loader: Loader
  readonly #housekeeping: Housekeeping
  readonly #failureListeners: ((error: StoreFailedError) => void)[] = []
  readonly archive: Archive
  readonly #queues: Queues
  readonly #asks = new Asks()
  /** Leases whose Trigger is no longer routed: their end changes nothing. */
  readonly #orphans = new Set<Lease>()
  #match: Match = () => []
  #lastSeq: number
  #full = false
  #failed: StoreFailedError | undefined
  #closing: Promise<void> | undefined
  #routes: Promise<unknown> = Promise.resolve()
  /** Replies that somebody waits for, in the order of the requests. */
  readonly #routed: { resolve: (keys: readonly Key[] | undefined) => void; reject: (error: Error) => void }[] = []
  #onClosed: (problem: string | undefined) => void = () => {}

  constructor(options: SqliteStoreOptions, link: Link, opened: Opened) {
    const { clock, log } = options
    this.#options = options
    this.#link = link
    this.#lastSeq = opened.lastSeq
    this.#queues = new Queues(opened)
    for (const seq of opened.damaged) log.error({ seq }, 'a stored event is damaged; it was parked and not delivered')
    this.#committer = new Committer({
      clock,
      post: (request, transfer) => link.post(request, transfer),
      onStored: appends => this.#loader.stored(appends),
      onFull: full => this.#onFull(full),
    })
    this.#loader = new Loader({
      clock,
      log,
      queues: this.#queues,
      committer: this.#committer,
      bell: this.#bell,
      post: request => link.post(request),
      cacheMaxBytes: options.cacheMaxBytes ?? CACHE_MAX_BYTES,
    })
    link.listen(
      reply => this.#onReply(reply),
      error => this.#fail(error),
    )
    const { retentionMs, retentionMaxBytes } = options
    this.#housekeeping = new Housekeeping({
      clock,
      retentionMs,
      retentionMaxBytes,
      post: request => link.post(request),
    })
    // It was set back while nobody looked. By how much is not known; by as much at least.
    const backMs = (opened.lastMs ?? 0) - clock.nowMs()
    if (backMs >= JUMP_MS) this.#loader.setBack(backMs)
    this.archive = openArchive({
      queues: this.#queues,
      ask: ask => this.#asks.ask(() => this.#committer.behindSettlements(() => link.post({ kind: 'ask', ask }))),
      nowMs: () => clock.nowMs(),
      lastSeq: () => this.#lastSeq,
      onDue: queue => this.#loader.wake(queue),
    })
  }

  route(routing: Routing): Promise<readonly Dropped[]> {
    const routed = this.#routes.then(() => this.#route(routing))
    this.#routes = routed.catch(() => {})
    return routed
  }

  append(broker: BrokerId, event: CloudEvent, hops: number): Promise<Appended> {
    const refusal = this.#refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      this.#committer.append(this.#appending(broker, event, hops, resolve, reject), this.#brokerKey(broker))
    })
  }

  appendAll(broker: BrokerId, events: readonly Incoming[]): Promise<readonly Appended[]> {
    const refusal = this.#refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    const last = events.at(-1)
    if (last === undefined) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      // They share one group: the end of the last one is the end of all.
      const appendings = events
        .slice(0, -1)
        .map(({ event, hops }) => this.#appending(broker, event, hops, UNHEARD, UNHEARD))
      const all = () => resolve(appendings.map(({ appended }) => appended))
      appendings.push(this.#appending(broker, last.event, last.hops, all, reject))
      this.#committer.appendAll(appendings, this.#brokerKey(broker))
    })
  }

  lease(trigger: TriggerId, max: number): readonly Lease[] {
    const queue = this.#queues.find(trigger)
    if (queue === undefined || this.#failed !== undefined) return []
    const leases = queue.ready.take(max)
    queue.hungry = leases.length < max
    this.#loader.refill(queue)
    return leases
  }

  onDue(listener: (trigger: TriggerId) => void): void {
    this.#bell.listen(listener)
  }

  settle(lease: Lease, settlement: StoredSettlement, record?: AttemptRecord): void {
    if (this.#orphans.delete(lease)) return
    const queue = this.#queues.get(lease.trigger)
    const item = queue.ready.end(lease)
    if (record !== undefined) this.#committer.attempt(attemptOf(queue.key, item, settlement, record))
    switch (settlement.kind) {
      case 'done':
      case 'discarded':
        this.#committer.done(queue.key, item.seq)
        this.#loader.release(item.held)
        this.#loader.leave(queue, item)
        break
      case 'returned':
        this.#loader.again(queue, new Item(item.trigger, item.held, item))
        break
      case 'dead-letter': {
        const { failure } = settlement
        const next = new Item(item.trigger, item.held, { stage: 'dead-letter', attempt: 0, failure })
        this.#committer.change(changeOf(queue.key, next, WAITING, 0, undefined))
        this.#loader.leave(queue, item)
        this.#loader.again(queue, next)
        break
      }
      case 'parked': {
        const parked = new Item(item.trigger, item.held, { ...item, failure: settlement.failure })
        this.#committer.change(changeOf(queue.key, parked, PARKED, 0, undefined))
        queue.parked++
        this.#loader.release(item.held)
        this.#loader.leave(queue, item)
        break
      }
      case 'postponed':
        this.#loader.postpone(
          queue,
          new Item(item.trigger, item.held, { ...item, attempt: settlement.attempt }),
          settlement.dueMs,
        )
        break
      default:
        settlement satisfies never
    }
  }

  counts(trigger: TriggerId): StoreCounts | undefined {
    return this.#queues.find(trigger)?.counts()
  }

  onFailure(listener: (error: StoreFailedError) => void): void {
    this.#failureListeners.push(listener)
  }

  flush(): Promise<void> {
    return this.#committer.flush()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#loader.stop()
    this.#housekeeping.stop()
    this.#asks.end()
    await this.#routes
    try {
      await this.#committer.close()
      const closed = new Promise<string | undefined>(resolve => {
        this.#onClosed = resolve
      })
      if (this.#failed === undefined) this.#link.post({ kind: 'close' })
      const problem = this.#failed === undefined ? await closed : undefined
      if (problem !== undefined) this.#options.log.warn({ problem }, 'the store was closed with something left')
    } catch (error) {
      // It has failed, everybody was told, and there is nothing left to close but the thread.
      if (this.#failed === undefined) throw error
    }
    await this.#link.end()
  }

  async #route({ triggers, match }: Routing): Promise<readonly Dropped[]> {
    if (this.#failed !== undefined) throw this.#failed
    const keys = await new Promise<readonly Key[] | undefined>((resolve, reject) => {
      this.#routed.push({ resolve, reject })
      this.#link.post({ kind: 'route', triggers })
    })
    if (keys === undefined) throw new StoreFullError('The disk is full: the new Triggers could not be written down.')
    const gone = this.#queues.reroute(triggers, keys)
    const dropped = gone.map(queue => ({ trigger: queue.trigger, events: this.#drop(queue) }))
    this.#match = match
    for (const { id, order } of triggers) {
      const queue = this.#queues.get(id)
      this.#loader.block(queue, queue.order(order), true)
    }
    for (const queue of this.#queues.routed) this.#loader.wake(queue)
    if (gone.length > 0) this.#housekeeping.now()
    return dropped
  }

  #drop(queue: SqliteQueue): number {
    const { events } = queue
    for (const item of queue.items()) this.#loader.release(item.held)
    for (const item of queue.ready.leases()) this.#orphans.add(item)
    return events
  }

  #onReply(reply: Reply): void {
    switch (reply.kind) {
      case 'committed':
        this.#committer.committed(reply)
        break
      case 'loaded':
        this.#loader.loaded(reply)
        break
      case 'routed':
        this.#routed.shift()?.resolve(reply.keys)
        break
      case 'answer':
        this.#asks.answered(reply.answer)
        break
      case 'back':
        this.#loader.isBack(reply.byMs)
        break
      case 'retained':
        this.#housekeeping.retained(reply.more)
        break
      case 'closed':
        this.#onClosed(reply.problem)
        break
      case 'opened':
      case 'refused':
      case 'failed':
        assert.fail(`unexpected reply ${reply.kind}`)
        break
      default:
        reply satisfies never
    }
  }

  #onFull(full: boolean): void {
    const { log, dir } = this.#options
    if (full && !this.#full)
      log.warn({ dir }, 'the disk is full; events are refused, and history is deleted to make room')
    if (!full && this.#full) log.info({ dir }, 'the disk has room again')
    this.#full = full
    if (full) this.#housekeeping.makeRoom()
  }

  #fail(error: StoreFailedError): void {
    this.#failed = error
    this.#loader.stop()
    this.#housekeeping.stop()
    this.#options.log.error({ err: error }, 'the store failed; nothing is acknowledged any more')
    this.#committer.fail(error)
    for (const { reject } of this.#routed.splice(0)) reject(error)
    this.#onClosed(undefined)
    this.#asks.end(error)
    for (const listener of this.#failureListeners) listener(error)
  }

  #brokerKey(broker: BrokerId): Key {
    const known = this.#queues.brokerKey(broker)
    if (known !== undefined) return known
    const key = this.#queues.addBroker(broker)
    this.#committer.broker(key, broker)
    return key
  }

  #refusal(): Error | undefined {
    if (this.#failed !== undefined) return this.#failed
    if (this.#closing !== undefined) return new StoreFailedError('The store is closed.')
    return this.#committer.isFull ? new StoreFullError('The disk is full: the event was not stored.') : undefined
  }

  #appending(
    broker: BrokerId,
    event: CloudEvent,
    hops: number,
    resolve: Appending['resolve'],
    reject: Appending['reject'],
  ): Appending {
    const matched = this.#match(broker, event)
    const queues = matched.map(trigger => this.#queues.get(trigger))
    // Its bytes are known when it is encoded.
    const held: Held = {
      seq: ++this.#lastSeq,
      event,
      hops,
      acceptedMs: this.#options.clock.nowMs(),
      bytes: 0,
      owners: 0,
    }
    return { held, queues, appended: { seq: held.seq, matched }, resolve, reject }
  }
}
