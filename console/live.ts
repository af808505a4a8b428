import type { EventView, StateView } from '../contract/api.ts'
import { mergeEvents } from './events.ts'
import { advance, type Series } from './series.ts'
import { keepUnchanged, keyOf } from './state.ts'

/** What this page needs of time; `monotonicMs` never goes back. */
export interface Clock {
  monotonicMs(): number
  after(delayMs: number, action: () => void): () => void
}

/** The way to Weir. */
export interface Wire {
  /** Opens the stream of server-sent events. Returns how to close it; after that, and after `failed`, nothing is told. */
  open(told: Told): () => void
  /** The last events as JSON text, newest first. @throws where Weir does not answer. */
  lastEvents(most: number, signal: AbortSignal): Promise<string>
  /** Whether Weir answers at all. Never throws. */
  alive(signal: AbortSignal): Promise<boolean>
}

export interface Told {
  opened(): void
  state(json: string): void
  events(json: string): void
  failed(): void
}

export type Connection =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live'; readonly updatedMs: number | undefined }
  | { readonly kind: 'lost'; readonly seenMs: number }

/** Everything there is to draw. Times are `monotonicMs` of the page's own clock. */
export interface Picture {
  readonly connection: Connection
  /** Undefined until Weir said something. */
  readonly state: StateView | undefined
  /** Newest first. */
  readonly events: readonly EventView[]
  /** Backlog of the last minute, by `keyOf` a Trigger. */
  readonly backlogs: ReadonlyMap<string, Series>
  /** What this page could not read; undefined as long as all is well. */
  readonly trouble: string | undefined
}

/** Events that the page remembers; `weir tail` and the store have the rest. */
export const EVENTS_KEPT = 500
const OPEN_WITHIN_MS = 5000
/** An idle Weir is silent, and so is one that hangs or a laptop that slept: after this silence the page asks. */
const SILENCE_MS = 10_000
const PROBE_WITHIN_MS = 4000
const REOPEN_FIRST_MS = 500
const REOPEN_MOST_MS = 5000
const SAMPLE_MS = 1000

/**
 * Follows one Weir for as long as the page is open: connects, notices when it is gone (also when it merely falls silent),
 * connects again, and tells `changed` whenever there is something new to draw, at least once a second.
 */
export class Live implements Disposable {
  readonly #wire: Wire
  readonly #clock: Clock
  readonly #changed: () => void
  #connection: Connection = { kind: 'connecting' }
  #state: StateView | undefined
  #events: readonly EventView[] = []
  #backlogs: ReadonlyMap<string, Series> = new Map()
  #trouble: string | undefined
  #seenMs: number | undefined
  #reopenMs = REOPEN_FIRST_MS
  #second: number
  #cancelTick: () => void
  #cancelWait: () => void = () => {}
  #hangUp: () => void = () => {}

  constructor(wire: Wire, clock: Clock, changed: () => void) {
    this.#wire = wire
    this.#clock = clock
    this.#changed = changed
    this.#second = Math.floor(clock.monotonicMs() / SAMPLE_MS)
    this.#cancelTick = clock.after(SAMPLE_MS, () => this.#tick())
    this.#connect()
  }

  get picture(): Picture {
    return {
      connection: this.#connection,
      state: this.#state,
      events: this.#events,
      backlogs: this.#backlogs,
      trouble: this.#trouble,
    }
  }

  [Symbol.dispose](): void {
    this.#cancelTick()
    this.#cancelWait()
    this.#hangUp()
  }

  #connect(): void {
    const ended = new AbortController()
    const close = this.#wire.open({
      opened: () => this.#opened(ended.signal),
      state: json => this.#take(json, value => this.#takeState(value)),
      events: json => this.#take(json, value => this.#takeEvents(value)),
      failed: () => this.#lost(),
    })
    this.#hangUp = () => {
      ended.abort()
      close()
    }
    this.#wait(OPEN_WITHIN_MS, () => this.#lost())
  }

  #opened(signal: AbortSignal): void {
    // Another process may answer than the one that was lost: what it does not know of is not shown.
    this.#events = []
    this.#connection = { kind: 'live', updatedMs: undefined }
    this.#reopenMs = REOPEN_FIRST_MS
    this.#trouble = undefined
    this.#heard()
    this.#wire.lastEvents(EVENTS_KEPT, signal).then(
      json => !signal.aborted && this.#take(json, value => this.#takeEarlier(value)),
      error => !signal.aborted && this.#puzzled(error),
    )
  }

  /** Weir has just shown that it lives. */
  #heard(): void {
    this.#seenMs = this.#clock.monotonicMs()
    this.#wait(SILENCE_MS, () => this.#probe())
    this.#changed()
  }

  #probe(): void {
    const [hangUp, seenMs] = [this.#hangUp, this.#seenMs]
    const gone = new AbortController()
    this.#wait(PROBE_WITHIN_MS, () => {
      gone.abort()
      this.#lost()
    })
    this.#wire.alive(gone.signal).then(alive => {
      if (hangUp !== this.#hangUp || seenMs !== this.#seenMs) return // the stream fell or spoke in the meantime
      if (alive) this.#heard()
      else this.#lost()
    })
  }

  #lost(): void {
    this.#hangUp()
    this.#hangUp = () => {}
    this.#connection = this.#seenMs === undefined ? { kind: 'connecting' } : { kind: 'lost', seenMs: this.#seenMs }
    this.#wait(this.#reopenMs, () => this.#connect())
    this.#reopenMs = Math.min(this.#reopenMs * 2, REOPEN_MOST_MS)
    this.#changed()
  }

  #wait(delayMs: number, action: () => void): void {
    this.#cancelWait()
    this.#cancelWait = this.#clock.after(delayMs, action)
  }

  #take(json: string, into: (value: unknown) => void): void {
    try {
      into(JSON.parse(json))
    } catch (error) {
      this.#puzzled(error)
    }
    this.#heard()
  }

  /** Weir lives and says what this page does not understand; it stays on the page until the next connection. */
  #puzzled(error: unknown): void {
    this.#trouble = error instanceof Error ? error.message : String(error)
    this.#changed()
  }

  #takeState(value: unknown): void {
    this.#state = keepUnchanged(this.#state, readState(value))
    this.#connection = { kind: 'live', updatedMs: this.#clock.monotonicMs() }
  }

  #takeEvents(value: unknown): void {
    this.#events = mergeEvents(this.#events, readEvents(value), EVENTS_KEPT)
  }

  /** What was asked for may be older than what the stream has told since: the stream wins. */
  #takeEarlier(value: unknown): void {
    this.#events = mergeEvents(readEvents(value), this.#events, EVENTS_KEPT)
  }

  #tick(): void {
    const second = Math.floor(this.#clock.monotonicMs() / SAMPLE_MS)
    const known = this.#connection.kind === 'live'
    const backlogs = new Map<string, Series>()
    for (const trigger of this.#state?.triggers ?? []) {
      const key = keyOf(trigger)
      const before = this.#backlogs.get(key) ?? []
      backlogs.set(
        key,
        advance(before, before.length === 0 ? 1 : second - this.#second, known ? trigger.backlog : null),
      )
    }
    this.#backlogs = backlogs
    this.#second = second
    this.#cancelTick = this.#clock.after(SAMPLE_MS, () => this.#tick())
    this.#changed()
  }
}

/** @throws where it is no `StateView`: the lists are there, or the page would draw half of the truth. */
function readState(value: unknown): StateView {
  const lists = ['brokers', 'triggers', 'sources', 'sinks', 'scale'] as const
  const found = value as Partial<Record<(typeof lists)[number], unknown>> | null
  const missing = lists.filter(list => !Array.isArray(found?.[list]))
  if (missing.length > 0) throw new Error(`The state that Weir sent has no ${missing.join(', ')}.`)
  return value as StateView
}

/** @throws where it is no list. */
function readEvents(value: unknown): readonly EventView[] {
  if (!Array.isArray(value)) throw new Error('The events that Weir sent are not a list.')
  return value as readonly EventView[]
}
