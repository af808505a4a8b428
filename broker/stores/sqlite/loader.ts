import type { Clock } from '../../../runtime/clock.ts'
import type { Log } from '../../../runtime/log.ts'
import type { DueBell } from '../due-bell.ts'
import { DueTimer } from '../due-timer.ts'
import type { Held, Item } from '../ready-queue.ts'
import { type Appending, type Committer, FULL_RETRY_MS } from './committer.ts'
import { type BackRequest, BLOCKED, type Loaded, type LoadRequest, RETRYING, WAITING } from './protocol.ts'
import { changeOf, type Place, type SqliteQueue } from './queue.ts'
import type { Queues } from './queues.ts'

export interface LoaderDeps {
  readonly clock: Clock
  readonly log: Log
  readonly queues: Queues
  readonly committer: Committer
  readonly bell: DueBell
  readonly post: (request: LoadRequest | BackRequest) => void
  /** Events in memory, all Triggers together; one of several Triggers counts once. */
  readonly cacheMaxBytes: number
}

/** Which of the events that are owed are in memory, and which wait on disk: brings in what is due, in time. */
export class Loader {
  readonly #deps: LoaderDeps
  readonly #timer: DueTimer
  #cachedBytes = 0
  #stopped = false

  constructor(deps: LoaderDeps) {
    this.#deps = deps
    this.#timer = new DueTimer(
      deps.clock,
      () => this.#retryDue(),
      byMs => this.setBack(byMs),
    )
  }

  /** The wall clock was set back since what is on disk was postponed. */
  setBack(byMs: number): void {
    if (this.#stopped) return
    this.#deps.log.warn({ byMs }, 'the wall clock was set back; what waits for its retry keeps its distance')
    this.#deps.committer.behindSettlements(() => this.#deps.post({ kind: 'back', byMs }))
  }

  /** That is done. A load that was answered before it knew the old times only. */
  isBack(byMs: number): void {
    for (const queue of this.#deps.queues.all) queue.setBack(byMs)
    for (const queue of this.#deps.queues.routed) this.wake(queue)
  }

  stop(): void {
    this.#stopped = true
    this.#timer.cancel()
  }

  /** What is in memory of one Trigger less. */
  release(held: Held): void {
    if (--held.owners === 0) this.#cachedBytes -= held.bytes
  }

  stored(appends: readonly Appending[]): void {
    for (const { held, queues } of appends) {
      for (const queue of queues) {
        if (this.#deps.queues.byKey(queue.key) !== queue) continue
        const place = queue.add(held, this.#hasMemory)
        if (place === 'memory') {
          if (held.owners++ === 0) this.#cachedBytes += held.bytes
          this.#deps.bell.ring(queue)
        } else {
          if (place !== 'disk') this.block(queue, [place], false)
          this.refill(queue)
        }
      }
    }
  }

  loaded(reply: Loaded): void {
    const queue = this.#deps.queues.byKey(reply.trigger)
    if (queue === undefined) return
    const { held, blocked } = queue.loaded(reply, this.#hasMemory)
    for (const one of held) this.#cachedBytes += one.bytes
    this.block(queue, blocked, false)
    for (const seq of reply.damaged) {
      this.#deps.log.error(
        { seq, trigger: queue.trigger },
        'a stored event is damaged; it was parked and not delivered',
      )
    }
    if (queue.ready.waiting > 0) this.#deps.bell.ring(queue)
    if (reply.stalled) this.#deps.clock.after(FULL_RETRY_MS, () => this.wake(queue))
    else this.wake(queue)
  }

  /** Brings in what is due on disk, and sees to what will be. */
  wake(queue: SqliteQueue): void {
    if (this.#stopped) return
    this.refill(queue)
    if (queue.nextDueMs !== undefined && queue.nextDueMs > this.#deps.clock.nowMs()) {
      this.#timer.wakeAt(queue.nextDueMs)
    }
  }

  #retryDue(): void {
    for (const queue of this.#deps.queues.routed) this.wake(queue)
  }

  refill(queue: SqliteQueue): void {
    if (this.#stopped) return
    for (const what of queue.wants(this.#deps.clock.nowMs(), this.#hasMemory)) {
      this.#deps.committer.behindSettlements(() => {
        const memoryBytes = this.#deps.cacheMaxBytes - this.#cachedBytes
        this.#deps.post(queue.request(what, this.#deps.clock.nowMs(), memoryBytes))
      })
    }
  }

  /** `item` leaves memory until `dueMs`. */
  postpone(queue: SqliteQueue, item: Item, dueMs: number): void {
    this.#timer.look()
    if (dueMs <= this.#deps.clock.nowMs()) {
      this.#deps.committer.change(changeOf(queue.key, item, WAITING, 0, undefined))
      this.again(queue, item)
      return
    }
    this.#deps.committer.change(changeOf(queue.key, item, RETRYING, dueMs, queue.keyOf(item)))
    queue.postpone(item, dueMs)
    this.release(item.held)
    if (!this.#stopped) this.#timer.wakeAt(dueMs)
  }

  /** The subscriber's stage of `item` is over: whoever was behind it may go. */
  leave(queue: SqliteQueue, item: Item): void {
    if (queue.keyOf(item) === undefined) return
    queue.leave(item)
    if (queue.ready.waiting > 0) this.#deps.bell.ring(queue)
    this.refill(queue)
  }

  /** @param inMemory whether they count as that until now. */
  block(queue: SqliteQueue, places: readonly (Place & object)[], inMemory: boolean): void {
    for (const { item, key } of places) {
      this.#deps.committer.change(changeOf(queue.key, item, BLOCKED, 0, key))
      if (inMemory) this.release(item.held)
    }
  }

  again(queue: SqliteQueue, item: Item): void {
    queue.ready.pushAgain(item)
    this.#deps.bell.ring(queue)
  }

  get #hasMemory(): boolean {
    return this.#cachedBytes < this.#deps.cacheMaxBytes
  }
}
