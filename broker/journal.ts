import type { BrokerId, TriggerId } from '../contract/ids.ts'
import type { CloudEvent } from '../event/event.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'

/** One event's recent life, for people: the console, `weir tail`, `weir send --wait`. Attributes only, never data. */
export interface JournalEntry {
  readonly seq: number
  readonly broker: BrokerId
  readonly acceptedMs: number
  readonly attributes: Readonly<Record<string, string>>
  readonly bytes: number
  /** By Trigger that matched. Empty: nobody wanted it. */
  readonly deliveries: Readonly<Record<TriggerId, DeliveryState>>
}

export interface DeliveryState {
  readonly state: 'waiting' | 'delivered' | 'retrying' | 'dead-lettered' | 'parked' | 'discarded'
  readonly attempts: number
  /** Of the last attempt: HTTP status, or the words of a transport error. */
  readonly last: string | undefined
  readonly tookMs: number | undefined
  readonly nextDueMs: number | undefined
}

/** The last events, bounded by count. Forgets, as a window does; the store remembers. */
export interface Journal {
  /** Newest first. */
  recent(limit: number): readonly JournalEntry[]
  /** Tells `listener` of every entry that is new or changed, coalesced to a few calls a second. Returns the stop function. */
  watch(listener: (changed: readonly JournalEntry[]) => void): () => void
}

/** How the events of one store are written into the journal: sequence numbers mean something only there. */
export interface Recorder {
  accepted(broker: BrokerId, seq: number, event: CloudEvent, matched: readonly TriggerId[], acceptedMs: number): void
  /** Also of an event that was accepted long ago, by an earlier process even: it is news again. */
  changed(broker: BrokerId, delivered: Delivered, state: DeliveryState): void
}

/** What a recorder needs of a lease. */
export interface Delivered {
  readonly trigger: TriggerId
  readonly seq: number
  readonly event: CloudEvent
  readonly acceptedMs: number
}

export interface OpenJournal extends Journal {
  recorder(): Recorder
  close(): void
}

const KEPT = 1000
/**
 * New entries in a second while nobody watches. Beyond it a person could not read them, they would push each other out at
 * once, and an object that lives that long costs the garbage collector more than the event cost the broker.
 */
const UNWATCHED_PER_SECOND = KEPT
const COALESCE_MS = 250
const WAITING: DeliveryState = {
  state: 'waiting',
  attempts: 0,
  last: undefined,
  tookMs: undefined,
  nextDueMs: undefined,
}

/** Written once per event and once per attempt whether somebody looks or not, so a slot holds only references. */
interface Slot {
  readonly home: Map<number, Slot>
  readonly broker: BrokerId
  readonly seq: number
  readonly acceptedMs: number
  readonly attributes: Readonly<Record<string, string>>
  readonly bytes: number
  readonly triggers: TriggerId[]
  readonly states: DeliveryState[]
}

export function openJournal(clock: Clock): OpenJournal {
  const ring: (Slot | undefined)[] = new Array(KEPT)
  let next = 0
  const news = openNews(clock)
  let second = 0
  let left = UNWATCHED_PER_SECOND

  /** Whether there is room for one entry more in this second. */
  const admits = (nowMs: number) => {
    if (news.watched) return true
    const now = Math.floor(nowMs / 1000)
    if (now !== second) {
      second = now
      left = UNWATCHED_PER_SECOND
    }
    return left-- > 0
  }
  const add = (slot: Slot) => {
    const old = ring[next]
    if (old !== undefined) old.home.delete(old.seq)
    ring[next] = slot
    next = (next + 1) % KEPT
    slot.home.set(slot.seq, slot)
    news.add(slot)
  }

  return {
    recent(limit) {
      const entries: JournalEntry[] = []
      for (let i = 1; i <= KEPT && entries.length < limit; i++) {
        const slot = ring[(next - i + KEPT) % KEPT]
        if (slot !== undefined) entries.push(entryOf(slot))
      }
      return entries
    },
    watch: news.watch,
    recorder: () => openRecorder(new Map(), { clock, admits, add, changed: news.add }),
    close: news.close,
  }
}

interface Ring {
  readonly clock: Clock
  admits(nowMs: number): boolean
  add(slot: Slot): void
  changed(slot: Slot): void
}

function openRecorder(home: Map<number, Slot>, { clock, admits, add, changed }: Ring): Recorder {
  return {
    accepted(broker, seq, event, matched, acceptedMs) {
      const early = home.get(seq)
      // The store may hand the event to a subscriber before it tells the sender.
      if (early !== undefined) return addMissing(early, matched)
      if (!admits(acceptedMs)) return
      const states = matched.map(() => WAITING)
      const { attributes, body } = event
      add({ home, broker, seq, acceptedMs, attributes, bytes: body.byteLength, triggers: [...matched], states })
    },
    changed(broker, { trigger, seq, event, acceptedMs }, state) {
      const slot = home.get(seq)
      if (slot === undefined) {
        if (!admits(clock.nowMs())) return
        const { attributes, body } = event
        const bytes = body.byteLength
        return add({ home, broker, seq, acceptedMs, attributes, bytes, triggers: [trigger], states: [state] })
      }
      const at = slot.triggers.indexOf(trigger)
      if (at >= 0) slot.states[at] = state
      else {
        slot.triggers.push(trigger)
        slot.states.push(state)
      }
      changed(slot)
    },
  }
}

function addMissing(slot: Slot, matched: readonly TriggerId[]): void {
  for (const trigger of matched) {
    if (slot.triggers.includes(trigger)) continue
    slot.triggers.push(trigger)
    slot.states.push(WAITING)
  }
}

interface News {
  readonly watched: boolean
  add(slot: Slot): void
  watch: Journal['watch']
  close(): void
}

/** Collects what changed while somebody watches, and tells it at most every `COALESCE_MS`. */
function openNews(clock: Clock): News {
  const listeners = new Set<(changed: readonly JournalEntry[]) => void>()
  const changed = new Set<Slot>()
  let timer: Cancel | undefined
  const tell = () => {
    timer = undefined
    const entries = Array.from(changed, entryOf)
    changed.clear()
    for (const listener of listeners) listener(entries)
  }
  return {
    get watched() {
      return listeners.size > 0
    },
    add(slot) {
      if (listeners.size === 0) return
      // Beyond the ring's own size the oldest news is older than what the ring holds.
      if (changed.size >= KEPT && !changed.has(slot))
        for (const oldest of changed.values().take(1)) changed.delete(oldest)
      changed.add(slot)
      timer ??= clock.after(COALESCE_MS, tell)
    },
    watch(listener) {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) changed.clear()
      }
    },
    close() {
      timer?.()
      listeners.clear()
    },
  }
}

function entryOf({ seq, broker, acceptedMs, attributes, bytes, triggers, states }: Slot): JournalEntry {
  const deliveries: Record<TriggerId, DeliveryState> = Object.create(null)
  triggers.forEach((trigger, i) => {
    deliveries[trigger] = states[i] ?? WAITING
  })
  return { seq, broker, acceptedMs, attributes, bytes, deliveries }
}
