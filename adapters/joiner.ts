import type { CloudEvent } from '../event/event.ts'
import type { Emitted } from './adapter.ts'

export interface JoinerDeps {
  /** How many of the first of them may go in one request, at least one. It is to look no further than it must: many may wait. */
  readonly fits: (events: Iterable<CloudEvent>) => number
  /** Hands all of them over in one request. False: none was taken. @throws the signal's reason. */
  readonly together: (events: readonly CloudEvent[], signal: AbortSignal) => Promise<boolean>
  /** Hands over one. @throws the signal's reason. */
  readonly alone: (event: CloudEvent, signal: AbortSignal) => Promise<Emitted>
}

/** Requests under way at once: as many as keep the Broker busy while it writes; more of them would each carry less. */
export const REQUESTS = 4

interface Waiting {
  readonly event: CloudEvent
  readonly signal: AbortSignal
  readonly resolve: (emitted: Emitted) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Joins events that come one by one, in no order, into requests of many: what comes while requests are under way goes with the
 * next one, and an event that comes alone goes at once. Of a request that is not taken each event goes alone, so that one bad
 * event is told apart from the others.
 */
export class Joiner {
  readonly #deps: JoinerDeps
  readonly #bySignal = new WeakMap<AbortSignal, Set<Waiting>>()
  #waiting: Waiting[] = []
  #requests = 0

  constructor(deps: JoinerDeps) {
    this.#deps = deps
  }

  /** As `Emit`. Many events may have the same signal. */
  emit(event: CloudEvent, signal: AbortSignal): Promise<Emitted> {
    if (signal.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const one: Waiting = { event, signal, resolve, reject }
      this.#under(signal).add(one)
      this.#waiting.push(one)
      this.#next()
    })
  }

  /** Those whose signal it is. One listener for all of them: a signal looks through its listeners at each new one. */
  #under(signal: AbortSignal): Set<Waiting> {
    const known = this.#bySignal.get(signal)
    if (known !== undefined) return known
    const all = new Set<Waiting>()
    this.#bySignal.set(signal, all)
    signal.addEventListener(
      'abort',
      () => {
        this.#waiting = this.#waiting.filter(one => one.signal !== signal)
        for (const { reject } of all) reject(signal.reason)
        all.clear()
      },
      { once: true },
    )
    return all
  }

  #next(): void {
    while (this.#requests < REQUESTS && this.#waiting.length > 0) {
      const count = this.#deps.fits(this.#waiting.values().map(({ event }) => event))
      const group = this.#waiting.splice(0, count)
      this.#requests++
      void this.#send(group).finally(() => {
        this.#requests--
        this.#next()
      })
    }
  }

  /** Never rejects: each of the group is told its own end. */
  async #send(group: readonly Waiting[]): Promise<void> {
    const [first] = group
    if (first === undefined) return
    if (group.length === 1) return this.#alone(first)
    using last = new LastAbort(new Set(group.map(({ signal }) => signal)))
    try {
      const events = group.map(({ event }) => event)
      if (await this.#deps.together(events, last.signal)) {
        for (const one of group) this.#over(one).resolve({ kind: 'stored' })
        return
      }
    } catch (error) {
      for (const one of group) this.#over(one).reject(error)
      return
    }
    for (const one of group) await this.#alone(one)
  }

  async #alone(one: Waiting): Promise<void> {
    if (one.signal.aborted) return
    try {
      const emitted = await this.#deps.alone(one.event, one.signal)
      this.#over(one).resolve(emitted)
    } catch (error) {
      this.#over(one).reject(error)
    }
  }

  #over(one: Waiting): Waiting {
    this.#bySignal.get(one.signal)?.delete(one)
    return one
  }
}

/** Aborts when every one of several signals has: until then somebody waits. */
class LastAbort implements Disposable {
  readonly #over = new AbortController()
  readonly #listening: readonly (() => void)[]

  constructor(signals: ReadonlySet<AbortSignal>) {
    let left = signals.size
    this.#listening = [...signals].map(signal => {
      const abort = () => {
        if (--left === 0) this.#over.abort(signal.reason)
      }
      signal.addEventListener('abort', abort, { once: true })
      return () => signal.removeEventListener('abort', abort)
    })
  }

  get signal(): AbortSignal {
    return this.#over.signal
  }

  [Symbol.dispose](): void {
    for (const stop of this.#listening) stop()
  }
}
