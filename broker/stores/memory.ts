import assert from 'node:assert/strict'
import type { BrokerId, TriggerId } from '../../contract/ids.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { Clock } from '../../runtime/clock.ts'
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
import { DueTimer } from './due-timer.ts'
import { Heap } from './heap.ts'
import { MemoryArchive } from './memory-archive.ts'
import { MemoryQueue, type Retry } from './memory-queue.ts'
import { earlier, FRESH, type Held, Item, sizeOf } from './ready-queue.ts'

/** What is owed or parked in a transient store, all Triggers together. */
export const MEMORY_MAX_BYTES = 256 << 20

/** Keeps events for as long as the process lives, and forgets what nobody is owed. Deterministic under a manual clock. */
export function openMemoryStore(clock: Clock, maxBytes: number = MEMORY_MAX_BYTES): EventStore {
  return new MemoryStore(clock, maxBytes)
}

class MemoryStore implements EventStore {
  readonly #clock: Clock
  readonly #maxBytes: number
  readonly #bell = new DueBell()
  readonly #timer: DueTimer
  readonly archive: Archive
  readonly #retries = new Heap<Retry>((a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.item.seq < b.item.seq))
  /** Leases whose Trigger is no longer routed: their end changes nothing. */
  readonly #orphans = new Set<Lease>()
  #queues = new Map<TriggerId, MemoryQueue>()
  #match: Match = () => []
  #lastSeq = 0
  #bytes = 0
  #closed = false

  constructor(clock: Clock, maxBytes: number) {
    this.#clock = clock
    this.#maxBytes = maxBytes
    this.#timer = new DueTimer(
      clock,
      () => this.#wake(),
      byMs => {
        // Their order stays.
        for (const retry of this.#retries.values()) retry.dueMs -= byMs
      },
    )
    this.archive = new MemoryArchive({
      queues: () => this.#queues.values(),
      retries: () => this.#retries.values(),
      again: (queue, item) => this.#again(queue, item),
      release: item => this.#release(item),
      forget: retries => this.#retries.retain(retry => !retries.has(retry)),
      onDue: queue => this.#bell.ring(queue),
    })
  }

  async route(routing: Routing): Promise<readonly Dropped[]> {
    const queues = new Map<TriggerId, MemoryQueue>()
    for (const { id, uid } of routing.triggers) {
      const old = this.#queues.get(id)
      queues.set(id, old?.uid === uid ? old : new MemoryQueue(id, uid))
    }
    const dropped: Dropped[] = []
    for (const queue of this.#queues.values()) {
      if (queues.get(queue.trigger) !== queue) dropped.push({ trigger: queue.trigger, events: this.#drop(queue) })
    }
    this.#queues = queues
    this.#match = routing.match
    for (const { id, order } of routing.triggers) {
      const queue = queues.get(id)
      queue?.order(order)
      if (queue !== undefined && queue.ready.waiting > 0) this.#bell.ring(queue)
    }
    return dropped
  }

  async append(broker: BrokerId, event: CloudEvent, hops: number): Promise<Appended> {
    const [appended] = await this.appendAll(broker, [{ event, hops }])
    assert(appended !== undefined)
    return appended
  }

  async appendAll(broker: BrokerId, events: readonly Incoming[]): Promise<readonly Appended[]> {
    if (this.#closed) throw new StoreFailedError('The store is closed.')
    const all = events.map(({ event, hops }) => {
      return { event, hops, bytes: sizeOf(event), matched: this.#match(broker, event) }
    })
    const bytes = all.reduce((sum, one) => sum + (one.matched.length > 0 ? one.bytes : 0), 0)
    if (bytes > 0 && this.#bytes + bytes > this.#maxBytes) {
      throw new StoreFullError(
        `The memory store holds ${this.#bytes} bytes of undelivered events; ${this.#maxBytes} is its limit.`,
      )
    }
    return all.map(one => this.#append(broker, one.event, one.hops, one.bytes, one.matched))
  }

  lease(trigger: TriggerId, max: number): readonly Lease[] {
    const queue = this.#queues.get(trigger)
    if (queue === undefined) return []
    const leases = queue.ready.take(max)
    queue.hungry = leases.length < max
    return leases
  }

  onDue(listener: (trigger: TriggerId) => void): void {
    this.#bell.listen(listener)
  }

  settle(lease: Lease, settlement: StoredSettlement, record?: AttemptRecord): void {
    if (this.#orphans.delete(lease)) return
    const queue = this.#queues.get(lease.trigger)
    assert(queue !== undefined, `${lease.trigger} seq ${lease.seq} was settled before, or never leased`)
    const item = queue.ready.end(lease)
    if (record !== undefined) queue.note(item, settlement, record)
    switch (settlement.kind) {
      case 'done':
      case 'discarded':
        this.#release(item)
        queue.records.delete(item.seq)
        this.#leave(queue, item)
        break
      case 'returned':
        this.#again(queue, new Item(item.trigger, item.held, item))
        break
      case 'dead-letter': {
        const { failure } = settlement
        this.#leave(queue, item)
        this.#again(queue, new Item(item.trigger, item.held, { stage: 'dead-letter', attempt: 0, failure }))
        break
      }
      case 'parked':
        queue.parked.push(new Item(item.trigger, item.held, { ...item, failure: settlement.failure }))
        this.#leave(queue, item)
        break
      case 'postponed':
        this.#postpone(queue, item, settlement.dueMs, settlement.attempt)
        break
      default:
        settlement satisfies never
    }
  }

  counts(trigger: TriggerId): StoreCounts | undefined {
    const queue = this.#queues.get(trigger)
    if (queue === undefined) return undefined
    let oldestMs = queue.ready.oldestMs()
    let nextDueMs: number | undefined
    if (queue.retrying > 0) {
      for (const retry of this.#retries.values()) {
        if (retry.queue !== queue) continue
        oldestMs = earlier(oldestMs, retry.item.acceptedMs)
        nextDueMs = earlier(nextDueMs, retry.dueMs)
      }
    }
    const { waiting, inFlight } = queue.ready
    return {
      waiting,
      blocked: queue.blocked,
      retrying: queue.retrying,
      inFlight,
      parked: queue.parked.length,
      oldestMs,
      nextDueMs,
    }
  }

  /** Nothing here can fail: there is no disk. */
  onFailure(): void {}

  async flush(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#timer.cancel()
  }

  #postpone(queue: MemoryQueue, item: Item, dueMs: number, attempt: number): void {
    const next = new Item(item.trigger, item.held, { ...item, attempt })
    this.#timer.look()
    if (dueMs <= this.#clock.nowMs()) {
      this.#again(queue, next)
      return
    }
    queue.retrying++
    this.#retries.push({ item: next, dueMs, queue })
    if (!this.#closed) this.#timer.wakeAt(dueMs)
  }

  #append(broker: BrokerId, event: CloudEvent, hops: number, bytes: number, matched: readonly TriggerId[]): Appended {
    const held: Held = { seq: ++this.#lastSeq, event, hops, acceptedMs: this.#clock.nowMs(), bytes, owners: 0 }
    for (const trigger of matched) {
      const queue = this.#queues.get(trigger)
      assert(queue !== undefined, `match named ${trigger}, which is not routed`)
      if (held.owners++ === 0) this.#bytes += bytes
      queue.broker = broker
      queue.push(new Item(trigger, held, FRESH))
      this.#bell.ring(queue)
    }
    return { seq: held.seq, matched }
  }

  /** The subscriber's stage of `item` is over: whoever was behind it may go. */
  #leave(queue: MemoryQueue, item: Item): void {
    queue.leave(item)
    if (queue.ready.waiting > 0) this.#bell.ring(queue)
  }

  #again(queue: MemoryQueue, item: Item): void {
    queue.ready.pushAgain(item)
    this.#bell.ring(queue)
  }

  #wake(): void {
    const nowMs = this.#clock.nowMs()
    let next = this.#retries.peek()
    for (; next !== undefined && next.dueMs <= nowMs; next = this.#retries.peek()) {
      this.#retries.pop()
      next.queue.retrying--
      this.#again(next.queue, next.item)
    }
    if (next !== undefined) this.#timer.wakeAt(next.dueMs)
  }

  /** Forgets a queue. Returns how many events were owed or parked. */
  #drop(queue: MemoryQueue): number {
    let events = 0
    const forget = (item: Item) => {
      events++
      this.#release(item)
    }
    for (const item of queue.waitingItems()) forget(item)
    for (const item of queue.parked) forget(item)
    for (const retry of this.#retries.values()) if (retry.queue === queue) forget(retry.item)
    for (const item of queue.ready.leases()) {
      forget(item)
      this.#orphans.add(item)
    }
    this.#retries.retain(retry => retry.queue !== queue)
    return events
  }

  #release(item: Item): void {
    if (--item.held.owners === 0) this.#bytes -= item.held.bytes
  }
}
