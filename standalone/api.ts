import type { EventView, StateView } from '../contract/api.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import type { Send, Stream } from '../runtime/event-stream.ts'
import { type Answer, type Query, refused } from '../runtime/status-server.ts'
import { Rates } from './rates.ts'
import { counted, eventView, stateView, type ViewParts } from './views.ts'

export interface ApiParts extends Omit<ViewParts, 'rates'> {
  readonly clock: Clock
}

/** The JSON of `contract/api.ts`: documents and a stream for a status server. Reads only. */
export interface Api extends Disposable {
  readonly documents: Readonly<Record<string, (query: Query) => Answer>>
  readonly streams: Readonly<Record<string, Stream>>
  state(): StateView
}

const RATE_PERIOD_MS = 1_000
/** A stream hears of a change at most four times a second. */
const STATE_PERIOD_MS = 250
const EVENTS_DEFAULT = 100
const EVENTS_MAX = 1_000

export function openApi(parts: ApiParts): Api {
  const { clock, broker } = parts
  const rates = new Rates()
  let cancel: Cancel = () => {}
  const sample = () => {
    rates.sample(clock.monotonicMs(), counted(parts))
    cancel = clock.after(RATE_PERIOD_MS, sample)
  }
  sample()
  const state = () => stateView({ ...parts, rates })
  const feed = new StateFeed(state, clock)
  return {
    state,
    documents: {
      '/api/v1/brokers': () => json(state().brokers),
      '/api/v1/triggers': () => json(state().triggers),
      '/api/v1/sources': () => json(state().sources),
      '/api/v1/sinks': () => json(state().sinks),
      '/api/v1/scale': () => json(state().scale),
      '/api/v1/events': query => events(parts, query),
    },
    streams: {
      '/api/v1/stream': send => {
        const stopState = feed.add(send)
        const stopEvents = broker.journal.watch(changed => send('events', changed.map(eventView)))
        return () => {
          stopState()
          stopEvents()
        }
      },
    },
    [Symbol.dispose]: () => {
      cancel()
      feed.stop()
    },
  }
}

function json(value: unknown): Answer {
  return { kind: 'json', value }
}

function events({ broker }: ApiParts, query: Query): Answer {
  const limit = query.limit === undefined ? EVENTS_DEFAULT : Number(query.limit)
  if (!Number.isInteger(limit) || limit < 1 || limit > EVENTS_MAX) {
    return refused(400, 'bad-limit', `limit must be a whole number from 1 to ${EVENTS_MAX}.`)
  }
  const wanted = (['id', 'source', 'type'] as const).filter(name => query[name] !== undefined)
  const found: EventView[] = broker.journal
    .recent(EVENTS_MAX)
    .filter(({ attributes }) => wanted.every(name => attributes[name] === query[name]))
    .slice(0, limit)
    .map(eventView)
  return json(found)
}

/** Sends the state to every reader whenever it is another, built once for all of them, and not at all for none. */
class StateFeed {
  readonly #state: () => StateView
  readonly #clock: Clock
  readonly #readers = new Set<Send>()
  #said = ''
  #cancel: Cancel = () => {}

  constructor(state: () => StateView, clock: Clock) {
    this.#state = state
    this.#clock = clock
  }

  add(send: Send): () => void {
    send('state', this.#state())
    if (this.#readers.size === 0) this.#wait()
    this.#readers.add(send)
    return () => {
      this.#readers.delete(send)
      if (this.#readers.size === 0) this.#cancel()
    }
  }

  stop(): void {
    this.#readers.clear()
    this.#cancel()
  }

  #wait(): void {
    this.#cancel = this.#clock.after(STATE_PERIOD_MS, () => {
      const now = this.#state()
      const text = JSON.stringify(now)
      if (text !== this.#said) for (const send of this.#readers) send('state', now)
      this.#said = text
      if (this.#readers.size > 0) this.#wait()
    })
  }
}
