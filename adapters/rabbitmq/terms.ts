import type { Clock } from '../../runtime/clock.ts'

/** Well below the 30 min after which RabbitMQ closes the channel of a consumer that has not acknowledged (`consumer_timeout`). */
export const HOLD_MAX_MS = 20 * 60_000
/** Messages that come within this share one signal: one for each costs more than the message. */
const SHARED_MS = 10_000

/** A message was held for as long as it may be: it goes back to its queue. */
export class HeldTooLongError extends Error {
  override readonly name = 'HeldTooLongError'
  readonly code = 'held-too-long'

  constructor() {
    super('it was held for too long')
  }
}

/** How long messages of one connection may be held. */
export class Terms {
  readonly #clock: Clock
  readonly #ends: readonly AbortSignal[]
  #signal: AbortSignal | undefined
  #untilMs = 0

  /** @param ends abort when no message of the connection can be worked on any longer. */
  constructor(clock: Clock, ends: readonly AbortSignal[]) {
    this.#clock = clock
    this.#ends = ends
  }

  /** For a message that is taken now: aborts with the reason of the first of `ends`, or with a `HeldTooLongError` after `HOLD_MAX_MS` at most. */
  signal(): AbortSignal {
    const nowMs = this.#clock.monotonicMs()
    if (this.#signal === undefined || nowMs >= this.#untilMs) {
      this.#signal = this.#term()
      this.#untilMs = nowMs + SHARED_MS
    }
    return this.#signal
  }

  #term(): AbortSignal {
    const over = new AbortController()
    const cancel = this.#clock.after(HOLD_MAX_MS, () => over.abort(new HeldTooLongError()))
    const signal = AbortSignal.any([...this.#ends, over.signal])
    if (signal.aborted) cancel()
    else signal.addEventListener('abort', cancel, { once: true })
    return signal
  }
}
