import type { BrokerId, TriggerId } from '../../contract/ids.ts'
import type { StoredDelivery } from '../archive.ts'
import type { AttemptRecord, StoredSettlement } from '../store.ts'
import { KeyGate } from './key-gate.ts'
import { type Item, ReadyQueue } from './ready-queue.ts'

export interface Retry {
  readonly item: Item
  /** Wall ms. */
  dueMs: number
  readonly queue: MemoryQueue
}

/** One Trigger's queue in a transient store. */
export class MemoryQueue {
  readonly trigger: TriggerId
  readonly uid: string
  readonly ready = new ReadyQueue()
  readonly parked: Item[] = []
  /** By seq: the attempts at what is still owed or parked. */
  readonly records = new Map<number, StoredDelivery['attempts'][number][]>()
  broker: BrokerId | undefined
  retrying = 0
  hungry = true
  ringing = false
  #gate: KeyGate | undefined

  constructor(trigger: TriggerId, uid: string) {
    this.trigger = trigger
    this.uid = uid
  }

  get blocked(): number {
    return this.#gate?.blocked ?? 0
  }

  /** Orders by `attribute` from now on, or by nothing. */
  order(attribute: string | undefined): void {
    if (this.#gate?.attribute === attribute) return
    const waiting = [...this.ready.drain(), ...(this.#gate?.heldItems() ?? [])].sort((a, b) => a.seq - b.seq)
    this.#gate = attribute === undefined ? undefined : new KeyGate(attribute)
    for (const item of this.ready.leases()) {
      const key = this.#gate?.keyOf(item)
      if (key !== undefined) this.#gate?.enter(key)
    }
    for (const item of waiting) if (this.#mayGo(item)) this.ready.pushAgain(item)
  }

  /** Adds what was never leased. */
  push(item: Item): void {
    if (this.#gate === undefined || this.#mayGo(item)) this.ready.push(item)
  }

  /** Adds what was given up before. */
  pushAgain(item: Item): void {
    if (this.#mayGo(item)) this.ready.pushAgain(item)
  }

  /** The subscriber's stage of `item`, which was in flight, is over. */
  leave(item: Item): void {
    const key = this.#gate?.keyOf(item)
    const next = key === undefined ? undefined : this.#gate?.next(key)
    if (next !== undefined && next !== 'disk') this.ready.pushAgain(next)
  }

  *waitingItems(): Iterable<Item> {
    yield* this.ready.waitingItems()
    yield* this.#gate?.heldItems() ?? []
  }

  note(item: Item, { kind }: StoredSettlement, record: AttemptRecord): void {
    const records = this.records.get(item.seq) ?? []
    this.records.set(item.seq, records)
    records.push({ ...record, stage: item.stage, attempt: item.attempt, fate: kind === 'parked' ? 'parked' : 'again' })
    if (records.length > RECORDS_MOST) records.splice(RECORDS_FIRST, 1)
  }

  /** False: it is behind another one of its key. */
  #mayGo(item: Item): boolean {
    const key = this.#gate?.keyOf(item)
    if (key === undefined || this.#gate?.enter(key) === true) return true
    this.#gate?.hold(key, item)
    return false
  }
}

const RECORDS_MOST = 20
const RECORDS_FIRST = 5
