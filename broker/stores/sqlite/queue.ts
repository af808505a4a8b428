import type { TriggerId } from '../../../contract/ids.ts'
import { eventOf } from '../../../event/stored.ts'
import type { AttemptRecord, StoreCounts, StoredSettlement } from '../../store.ts'
import type { Hungry } from '../due-bell.ts'
import { KeyGate } from '../key-gate.ts'
import { earlier, FRESH, type Held, Item, ReadyQueue } from '../ready-queue.ts'
import type { Answer } from './archive-protocol.ts'
import {
  BEHIND_EVENTS,
  type Change,
  type Key,
  type Loaded,
  type LoadedEvent,
  type LoadRequest,
  type StoredAttempt,
  type StoredTrigger,
  type What,
} from './protocol.ts'

/** Waiting events of one Trigger in memory. The rest waits on disk. */
export const WINDOW_EVENTS = 1024
/** Below this many, more are brought in. */
const LOW_EVENTS = 512
/** One Trigger may always have this many, however much memory the others use. */
const MIN_EVENTS = 16
/** Brought in at once: no more than a moment's work of the thread, behind which other Triggers' events wait. */
const PAGE_EVENTS = 128
const PAGE_BYTES = 2 << 20

/** Behind heads of their keys, in memory; beyond this, and beyond the memory, on disk. */
const HELD_EVENTS = 1024
/** Keys whose next events are brought in at once. */
const LOAD_KEYS = 64

/** Where an event of an ordered Trigger is now. `block`: it is behind its key, and has to be written down as that. */
export type Place = 'memory' | 'disk' | { readonly kind: 'block'; readonly item: Item; readonly key: string }

/** One Trigger's queue: a window of it in memory, and the counts of what is on disk. */
export class SqliteQueue implements Hungry {
  readonly key: Key
  readonly uid: string
  readonly trigger: TriggerId
  readonly ready = new ReadyQueue()
  hungry = true
  ringing = false
  parked: number
  nextDueMs: number | undefined
  /** Order per key, where it is asked for. */
  #gate: KeyGate | undefined
  /** What was stored of keys whose event waits for its retry, until it is known whether there is an order. */
  readonly #busyAtFirst: readonly string[]
  /** Keys whose next events have to come from disk. */
  readonly #keysToLoad = new Set<string>()
  /** Behind keys on disk, of an order that is no more. */
  #freeing = 0
  readonly #loading = { waiting: false, due: false, blocked: false }
  /** Waiting on disk, not in memory; all have a seq above `#lastSeq`. */
  #onDisk: number
  #lastSeq = 0
  /** Postponed, and not in memory. */
  #retrying: number
  /** Of `#retrying`, those known to be due. */
  #dueOnDisk = 0
  /** The first due time among what was postponed since the last load of retries was asked for. */
  #dueSinceMs: number | undefined
  /** No later than the oldest event that is owed and not in memory, if there is one. */
  #oldestOnDiskMs: number | undefined

  constructor(stored: StoredTrigger, trigger: TriggerId) {
    this.key = stored.key
    this.uid = stored.uid
    this.trigger = trigger
    this.parked = stored.parked
    this.#onDisk = stored.waiting
    this.#retrying = stored.retrying
    this.nextDueMs = stored.nextDueMs
    this.#oldestOnDiskMs = stored.oldestMs
    this.#busyAtFirst = stored.busyKeys
  }

  get events(): number {
    return this.ready.waiting + this.ready.inFlight + this.#onDisk + this.#retrying + this.parked + this.#blocked
  }

  get #blocked(): number {
    return this.#freeing + (this.#gate?.blocked ?? 0)
  }

  /**
   * Orders by `attribute` from now on, or by nothing. Returns what has to be written down as behind a key.
   * Heads that wait for their retry at this moment are known only where they were heads before.
   */
  order(attribute: string | undefined): readonly (Place & object)[] {
    const old = this.#gate
    if (old?.attribute === attribute) return []
    const isFirst = old === undefined && this.#lastSeq === 0
    const waiting = [...this.ready.drain(), ...(old?.heldItems() ?? [])].sort((a, b) => a.seq - b.seq)
    this.#freeing += (old?.blocked ?? 0) - (old?.held ?? 0)
    this.#keysToLoad.clear()
    this.#gate = attribute === undefined ? undefined : new KeyGate(attribute)
    if (isFirst) for (const key of this.#busyAtFirst) this.#gate?.enter(key)
    for (const item of this.ready.leases()) this.#enter(item)
    const places = waiting.map(item => this.#arrive(item, true, true))
    return places.filter(place => typeof place === 'object')
  }

  /** The key that `item` is ordered by. */
  keyOf(item: Item): string | undefined {
    return this.#gate?.keyOf(item)
  }

  /** An event was stored. `disk`: the window is full, or older ones are there too. */
  add(held: Held, hasMemory: boolean): Place {
    const fits = this.ready.waiting < WINDOW_EVENTS && (hasMemory || this.ready.waiting < MIN_EVENTS)
    if (this.#onDisk > 0 || !fits) {
      this.#onDisk++
      this.#oldestOnDiskMs = earlier(this.#oldestOnDiskMs, held.acceptedMs)
      return 'disk'
    }
    this.#lastSeq = held.seq
    const item = new Item(this.trigger, held, FRESH)
    if (this.#gate !== undefined) return this.#arrive(item, false, hasMemory)
    this.ready.push(item)
    return 'memory'
  }

  /** The subscriber's stage of `item`, which was in flight, is over: the next one of its key may go. */
  leave(item: Item): void {
    const key = this.keyOf(item)
    if (key !== undefined) this.#next(key)
  }

  /** The item left memory until `dueMs`. Its key, if it has one, stays taken. */
  postpone(item: Item, dueMs: number): void {
    this.#retrying++
    this.nextDueMs = earlier(this.nextDueMs, dueMs)
    this.#dueSinceMs = earlier(this.#dueSinceMs, dueMs)
    this.#oldestOnDiskMs = earlier(this.#oldestOnDiskMs, item.acceptedMs)
  }

  /** What was postponed is due earlier by as much. */
  setBack(byMs: number): void {
    if (this.nextDueMs !== undefined) this.nextDueMs -= byMs
    if (this.#dueSinceMs !== undefined) this.#dueSinceMs -= byMs
  }

  /** Events became due on disk, from their first attempt. */
  owed({ events, fromParked, fromRetrying, oldestMs }: Answer & { kind: 'owed' }, nowMs: number): void {
    if (events === 0) return
    this.parked -= fromParked
    this.#retrying += events - fromRetrying
    this.nextDueMs = earlier(this.nextDueMs, nowMs)
    this.#dueSinceMs = earlier(this.#dueSinceMs, nowMs)
    this.#oldestOnDiskMs = earlier(this.#oldestOnDiskMs, oldestMs)
  }

  /** Events that were parked are given up. */
  discarded(events: number): void {
    this.parked -= events
  }

  /** What to ask the database for now. Each answer must come before the same is asked for again. */
  wants(nowMs: number, hasMemory: boolean): What[] {
    if (this.ready.waiting >= (hasMemory ? LOW_EVENTS : MIN_EVENTS)) return []
    const wants: What[] = []
    const isDue = this.#dueOnDisk > 0 || (this.nextDueMs !== undefined && this.nextDueMs <= nowMs)
    if (isDue && !this.#loading.due) wants.push('due')
    if (this.#onDisk > 0 && !this.#loading.waiting) wants.push('waiting')
    if ((this.#keysToLoad.size > 0 || this.#freeing > 0) && !this.#loading.blocked) wants.push('blocked')
    for (const what of wants) this.#loading[what] = true
    return wants
  }

  request(what: What, nowMs: number, memoryBytes: number): LoadRequest {
    if (what === 'due') this.#dueSinceMs = undefined
    const orderKeys =
      what === 'blocked' && this.#freeing === 0 ? [...this.#keysToLoad.values().take(LOAD_KEYS)] : undefined
    for (const key of orderKeys ?? []) {
      this.#keysToLoad.delete(key)
      this.#gate?.ask(key)
    }
    return {
      kind: 'load',
      trigger: this.key,
      what,
      orderKeys,
      afterSeq: this.#lastSeq,
      nowMs,
      limit: PAGE_EVENTS,
      limitBytes: Math.max(1, Math.min(PAGE_BYTES, memoryBytes)),
      exclude: new Set(this.#inMemory(what)),
    }
  }

  /** Takes in what came from disk. Returns it, and what of it has to be written down as behind a key: that is not in memory. */
  loaded(reply: Loaded, hasMemory: boolean): { readonly held: Held[]; readonly blocked: readonly (Place & object)[] } {
    const { what, events, damaged, left, orderKeys } = reply
    this.#loading[what] = false
    if (reply.stalled) {
      for (const key of orderKeys ?? []) this.#keysToLoad.add(key)
      return { held: [], blocked: [] }
    }
    const items = events.map(event => this.#itemOf(event))
    const gone = events.length + damaged.length
    this.parked += damaged.length
    let places: Place[] = []
    if (what === 'waiting') {
      // Answers come in order, so when nothing is left, nothing is.
      this.#onDisk = left === 0 ? 0 : this.#onDisk - gone
      for (const seq of [events.at(-1)?.seq, ...damaged]) this.#lastSeq = Math.max(this.#lastSeq, seq ?? 0)
      places = items.map(item => this.#arrive(item, false, hasMemory))
    } else if (what === 'due') {
      this.#retrying -= gone
      this.#dueOnDisk = Math.min(left, this.#retrying)
      this.nextDueMs = earlier(reply.nextDueMs, this.#dueSinceMs)
      places = items.map((item, i) => this.#arriveDue(item, events[i]?.orderKey, hasMemory))
    } else if (orderKeys === undefined) {
      this.#freeing = left === 0 ? 0 : Math.max(0, this.#freeing - gone)
      places = items.map(item => this.#arrive(item, true, hasMemory))
    } else this.#arriveBehind(items, orderKeys, left === 0)
    if (this.#onDisk + this.#retrying + this.#blocked === 0) this.#oldestOnDiskMs = undefined
    const blocked = places.filter(place => typeof place === 'object')
    const away = new Set(blocked.map(place => place.item))
    return { held: items.filter(item => !away.has(item)).map(item => item.held), blocked }
  }

  counts(): StoreCounts {
    const { waiting, inFlight } = this.ready
    let oldestMs = earlier(this.ready.oldestMs(), this.#oldestOnDiskMs)
    for (const item of this.#gate?.heldItems() ?? []) oldestMs = earlier(oldestMs, item.acceptedMs)
    return {
      waiting: waiting + this.#onDisk + this.#dueOnDisk,
      blocked: this.#blocked,
      retrying: this.#retrying - this.#dueOnDisk,
      inFlight,
      parked: this.parked,
      oldestMs,
      nextDueMs: this.nextDueMs,
    }
  }

  /** Everything in memory, in flight or not. */
  *items(): Generator<Item, void> {
    yield* this.ready.waitingItems()
    yield* this.ready.leases()
    yield* this.#gate?.heldItems() ?? []
  }

  /** Seqs that have rows which a load could find, and must not. */
  *#inMemory(what: What): Iterable<number> {
    if (what === 'blocked') for (const item of this.items()) yield item.seq
    else {
      yield* this.ready.revisited()
      for (const item of this.#gate?.heldItems() ?? []) yield item.seq
    }
  }

  #itemOf(event: LoadedEvent): Item {
    const { attempt, failure } = event
    const stage = event.deadLetter ? 'dead-letter' : 'subscriber'
    return new Item(this.trigger, heldOf(event), { stage, attempt, failure })
  }

  /** @param again its seq may be lower than that of what is here. */
  #arrive(item: Item, again: boolean, hasMemory: boolean): Place {
    const gate = this.#gate
    const key = this.keyOf(item)
    if (gate === undefined || key === undefined || gate.enter(key)) {
      if (again) this.ready.pushAgain(item)
      else this.ready.push(item)
      return 'memory'
    }
    if (gate.mayHold(key) && hasMemory && gate.held < HELD_EVENTS) {
      gate.hold(key, item)
      return 'memory'
    }
    gate.toDisk(key)
    this.#oldestOnDiskMs = earlier(this.#oldestOnDiskMs, item.acceptedMs)
    return { kind: 'block', item, key }
  }

  /** A retry is the head of its key still; what was owed anew finds its place like any other. */
  #arriveDue(item: Item, orderKey: string | undefined, hasMemory: boolean): Place {
    if (orderKey === undefined || orderKey !== this.keyOf(item)) return this.#arrive(item, true, hasMemory)
    this.#enter(item)
    this.ready.pushAgain(item)
    return 'memory'
  }

  /** The first of each key is its head now. @param complete nothing was left out of the answer. */
  #arriveBehind(items: readonly Item[], orderKeys: readonly string[], complete: boolean): void {
    const gate = this.#gate
    const byKey = Map.groupBy(items, item => this.keyOf(item) ?? '')
    for (const key of orderKeys) {
      const [head, ...rest] = byKey.get(key) ?? []
      byKey.delete(key)
      if (head !== undefined) {
        const isAll = complete && rest.length + 1 < BEHIND_EVENTS
        gate?.fromDisk(key, isAll ? 'all' : rest.length + 1)
        this.ready.pushAgain(head)
        for (const item of rest) gate?.hold(key, item)
      } else if (complete) {
        gate?.fromDisk(key, 'all')
        this.#next(key)
      } else this.#keysToLoad.add(key)
    }
    // The order changed while they were on their way.
    for (const item of [...byKey.values()].flat()) this.ready.pushAgain(item)
  }

  /** The head of `key` has left. */
  #next(key: string): void {
    const next = this.#gate?.next(key)
    if (next === 'disk') this.#keysToLoad.add(key)
    else if (next !== undefined) this.ready.pushAgain(next)
  }

  #enter(item: Item): void {
    const key = this.keyOf(item)
    if (key !== undefined) this.#gate?.enter(key)
  }
}

function heldOf({ seq, acceptedMs, hops, structured, attributes, body }: LoadedEvent): Held {
  const event = eventOf(attributes, structured ? 'structured' : 'binary', body)
  return { seq, event, hops, acceptedMs, bytes: body.byteLength + attributes.length, owners: 1 }
}

/** A queue of a Trigger that is new. */
export function emptyQueue(key: Key, uid: string, trigger: TriggerId): SqliteQueue {
  const none = { waiting: 0, retrying: 0, parked: 0, oldestMs: undefined, nextDueMs: undefined, busyKeys: [] }
  return new SqliteQueue({ key, uid, id: trigger, ...none }, trigger)
}

/** What is written of an item that is still owed, or parked. @param orderKey where it is the head of a key, or behind it. */
export function changeOf(
  trigger: Key,
  item: Item,
  state: Change['state'],
  dueMs: number,
  orderKey: string | undefined,
): Change {
  const { seq, attempt, stage, failure } = item
  return { trigger, seq, state, dueMs, attempt, deadLetter: stage === 'dead-letter', failure, orderKey }
}

/** What is kept of an attempt that ended in `settlement`. */
export function attemptOf(
  trigger: Key,
  item: Item,
  settlement: StoredSettlement,
  record: AttemptRecord,
): StoredAttempt {
  const deadLetter = item.stage === 'dead-letter'
  return { ...record, trigger, seq: item.seq, deadLetter, attempt: item.attempt, fate: fateOf(settlement, deadLetter) }
}

function fateOf({ kind }: StoredSettlement, deadLetter: boolean): StoredAttempt['fate'] {
  if (kind === 'done') return deadLetter ? 'dead-lettered' : 'delivered'
  return kind === 'parked' || kind === 'discarded' ? kind : 'again'
}
