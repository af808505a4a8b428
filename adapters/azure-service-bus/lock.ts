import type { Renewed } from '../../clients/azure-service-bus/bus.ts'
import type { Trouble } from '../../clients/azure-service-bus/outcome.ts'
import type { Cancel, Clock } from '../../runtime/clock.ts'
import type { Backoff } from '../backoff.ts'

export interface LockDeps {
  readonly clock: Clock
  readonly random: () => number
  /** Told when a call to the service failed and will be made again. */
  readonly onTrouble: (found: Trouble) => void
}

/** Somebody else may have the message by now, or it is gone: it must be neither finished nor given back. */
export class LockLostError extends Error {
  override readonly name = 'LockLostError'
  readonly code = 'lock-lost'

  constructor() {
    super('the lock was lost: the message is received again, by us or by another')
  }
}

/** Calls that change a message are made again in this rhythm. */
export const AGAIN: Backoff = { minMs: 100, maxMs: 5_000 }
/** The service's clock and ours may differ: whatever the end of a lock looks like, it is renewed no later and no sooner. */
const RENEW_MAX_MS = 15_000
const RENEW_MIN_MS = 250
const RENEW_AGAIN_MS = 1_000

/** The right to a message or a session: renewed at half of its life, until it is lost or disposed. */
export class Lock implements Disposable {
  readonly #renew: (signal: AbortSignal) => Promise<Renewed>
  readonly #deps: LockDeps
  readonly #over = new AbortController()
  readonly #disposed = new AbortController()
  #cancel: Cancel = () => {}

  constructor(renew: (signal: AbortSignal) => Promise<Renewed>, untilMs: number | undefined, deps: LockDeps) {
    this.#renew = renew
    this.#deps = deps
    this.#renewBefore(untilMs)
  }

  /** Aborts with a `LockLostError`, or with what `abandon` was given: from then on work under it is in vain. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** Ends the work under it; it stays renewed until it is disposed. */
  abandon(reason: Error): void {
    this.#over.abort(reason)
  }

  lose(): void {
    this[Symbol.dispose]()
    this.#over.abort(new LockLostError())
  }

  /** Ends the renewals. Idempotent. */
  [Symbol.dispose](): void {
    this.#cancel()
    this.#disposed.abort()
  }

  #renewBefore(untilMs: number | undefined): void {
    const leftMs = untilMs === undefined ? 0 : untilMs - this.#deps.clock.nowMs()
    this.#renewIn(Math.min(RENEW_MAX_MS, Math.max(RENEW_MIN_MS, leftMs / 2)))
  }

  #renewIn(delayMs: number): void {
    if (this.#disposed.signal.aborted) return
    this.#cancel = this.#deps.clock.after(delayMs, () => void this.#renewNow())
  }

  /** Never rejects: the client puts what fails into words, and the signal it is given is ours. */
  async #renewNow(): Promise<void> {
    const done = await this.#renew(this.#disposed.signal).catch(() => undefined)
    if (done === undefined || this.#disposed.signal.aborted) return
    if (done.kind === 'lost') return this.lose()
    if (done.kind === 'renewed') return this.#renewBefore(done.untilMs)
    this.#deps.onTrouble(done)
    this.#renewIn(RENEW_AGAIN_MS)
  }
}
