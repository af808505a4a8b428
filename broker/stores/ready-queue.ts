import assert from 'node:assert/strict'
import type { TriggerId } from '../../contract/ids.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { Failure, Lease } from '../store.ts'
import { Fifo } from './fifo.ts'
import { Heap } from './heap.ts'

/** An event in memory, shared by the Triggers that it is owed to. */
export interface Held {
  readonly seq: number
  readonly event: CloudEvent
  readonly hops: number
  readonly acceptedMs: number
  /** What it counts against limits. */
  bytes: number
  /** How many items refer to it. */
  owners: number
}

/** How an item looks apart from its event. */
export type Progress = Pick<Lease, 'stage' | 'attempt' | 'failure'>

export const FRESH: Progress = { stage: 'subscriber', attempt: 0, failure: undefined }

/** What one Trigger is owed, in memory. It is handed out as the lease itself, once: a second lease is a second item. */
export class Item implements Lease {
  readonly trigger: TriggerId
  readonly held: Held
  readonly seq: number
  readonly event: CloudEvent
  readonly hops: number
  readonly acceptedMs: number
  readonly stage: Lease['stage']
  readonly attempt: number
  readonly failure: Failure | undefined
  /** Its place among the leases in flight; -1 before and after. */
  slot = -1

  constructor(trigger: TriggerId, held: Held, { stage, attempt, failure }: Progress) {
    this.trigger = trigger
    this.held = held
    this.seq = held.seq
    this.event = held.event
    this.hops = held.hops
    this.acceptedMs = held.acceptedMs
    this.stage = stage
    this.attempt = attempt
    this.failure = failure
  }
}

/** What an event costs in memory and against quotas: its bytes and the text of its attributes. */
export function sizeOf(event: CloudEvent): number {
  let bytes = event.body.byteLength
  for (const name in event.attributes) bytes += name.length + (event.attributes[name]?.length ?? 0)
  return bytes
}

/** The part of one Trigger's queue that is in memory: due and waiting, or in flight. */
export class ReadyQueue {
  /** Never leased before, by ascending seq. */
  readonly #fresh = new Fifo<Item>()
  /** Here for another time: due again after a failure, or given back. */
  readonly #again = new Heap<Item>((a, b) => a.seq < b.seq)
  /** An array, not a Map: the tables that a busy Map leaves behind keep each other, and all events, from young collections. */
  readonly #inFlight: Item[] = []

  get waiting(): number {
    return this.#fresh.size + this.#again.size
  }

  get inFlight(): number {
    return this.#inFlight.length
  }

  /** Adds what was never leased; `item.seq` is greater than that of every earlier call. */
  push(item: Item): void {
    this.#fresh.push(item)
  }

  /** Adds what was leased before, in the place that its seq gives it. */
  pushAgain(item: Item): void {
    this.#again.push(item)
  }

  /** Takes out all that waits, oldest first, without leasing it. */
  drain(): Item[] {
    const items: Item[] = [...this.waitingItems()].sort((a, b) => a.seq - b.seq)
    while (this.#fresh.shift() !== undefined);
    while (this.#again.pop() !== undefined);
    return items
  }

  /** Up to `max` items, oldest first; from now on they are in flight. */
  take(max: number): Item[] {
    const taken: Item[] = []
    while (taken.length < max) {
      const fresh = this.#fresh.peek()
      const again = this.#again.peek()
      const older = again !== undefined && (fresh === undefined || again.seq < fresh.seq)
      const item = older ? this.#again.pop() : this.#fresh.shift()
      if (item === undefined) break
      item.slot = this.#inFlight.push(item) - 1
      taken.push(item)
    }
    return taken
  }

  /** Ends the lease. A lease that is not in flight here is a broken invariant. */
  end(lease: Lease): Item {
    const here = lease instanceof Item && this.#inFlight[lease.slot] === lease
    assert(here, `${lease.trigger} seq ${lease.seq} is settled twice, or was never leased`)
    const last = this.#inFlight.pop()
    if (last !== undefined && last !== lease) {
      this.#inFlight[lease.slot] = last
      last.slot = lease.slot
    }
    lease.slot = -1
    return lease
  }

  /** Accepted-at of the oldest item here, wall ms. */
  oldestMs(): number | undefined {
    let oldest = earlier(this.#fresh.peek()?.acceptedMs, this.#again.peek()?.acceptedMs)
    for (const item of this.#inFlight) oldest = earlier(oldest, item.acceptedMs)
    return oldest
  }

  /** What was leased before and is still here, by seq: these may have rows anywhere on disk. */
  *revisited(): Iterable<number> {
    for (const item of this.#again.values()) yield item.seq
    for (const item of this.#inFlight) yield item.seq
  }

  *waitingItems(): Iterable<Item> {
    yield* this.#fresh.values()
    yield* this.#again.values()
  }

  isLeased(seq: number): boolean {
    return this.#inFlight.some(item => item.seq === seq)
  }

  leases(): Iterable<Item> {
    return this.#inFlight
  }
}

export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b
  return b === undefined || a <= b ? a : b
}
