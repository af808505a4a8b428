import type { Lost, Trouble } from '../../clients/azure-storage-queue/outcome.ts'
import type { Held, QueueMessage, StorageQueue } from '../../clients/azure-storage-queue/queue.ts'
import { type Cancel, type Clock, sleep } from '../../runtime/clock.ts'
import { type Backoff, backoffMs } from '../backoff.ts'

export interface LeaseDeps {
  readonly clock: Clock
  readonly random: () => number
  /** Told when a call to the service failed and will be made again. */
  readonly onTrouble: (found: Trouble) => void
}

/** Somebody else may have the message by now, or it is gone: it must be neither finished nor given back. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError'
  readonly code = 'lease-lost'
  readonly why: Lost['why']

  constructor(why: Lost['why']) {
    super(why === 'gone' ? 'the message is gone from its queue' : 'the message was received again, by us or by another')
    this.why = why
  }
}

/** Calls that change a message are made again in this rhythm; one that found it gone or taken is not. */
export const AGAIN: Backoff = { minMs: 100, maxMs: 5_000 }

/**
 * The right to one message: renewed at half of its life with the newest receipt, until it is finished, given back, lost or
 * disposed. Calls about one message never overlap, because each receipt is good for one of them.
 */
export class Lease implements Disposable {
  readonly #queue: StorageQueue
  readonly #visibilityMs: number
  readonly #deps: LeaseDeps
  readonly #over = new AbortController()
  readonly #disposed = new AbortController()
  #held: Held
  #last: Promise<unknown> = Promise.resolve()
  #cancel: Cancel = () => {}

  constructor(message: QueueMessage, queue: StorageQueue, visibilityMs: number, deps: LeaseDeps) {
    this.#held = message
    this.#queue = queue
    this.#visibilityMs = visibilityMs
    this.#deps = deps
    this.#renewIn(visibilityMs / 2)
  }

  /** Aborts with a `LeaseLostError`, or with what `abandon` was given: from then on work on the message is in vain. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** Ends the work on the message; it stays hidden and renewed until it is given back or the lease disposed. */
  abandon(reason: Error): void {
    this.#over.abort(reason)
  }

  /** Deletes the message, however often that has to be tried. @throws the reason of `signal`, see there. */
  async delete(): Promise<void> {
    for (let failures = 0; ; failures++) {
      const done = await this.#alone(held => this.#queue.delete(held, this.signal))
      const lost = lostIn(done)
      if (done.kind === 'deleted') return this[Symbol.dispose]()
      if (lost !== undefined) this.#lose(lost)
      else if (done.kind === 'trouble') this.#deps.onTrouble(done)
      await sleep(this.#deps.clock, backoffMs(failures, AGAIN, this.#deps.random), this.signal)
    }
  }

  /** Lets others have the message after `delayMs`. One try: where it fails the message comes back when its time is over. */
  async giveBack(delayMs: number, signal: AbortSignal): Promise<void> {
    this.#cancel()
    const done = await this.#alone(held => this.#queue.renew(held, delayMs, signal))
    if (done.kind === 'trouble') this.#deps.onTrouble(done)
    this[Symbol.dispose]()
  }

  /** Ends the renewals. Idempotent. */
  [Symbol.dispose](): void {
    this.#cancel()
    this.#disposed.abort()
  }

  #renewIn(delayMs: number): void {
    if (this.#disposed.signal.aborted) return
    this.#cancel = this.#deps.clock.after(delayMs, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const startedMs = this.#deps.clock.monotonicMs()
    const renewed = this.#alone(async held => {
      const done = await this.#queue.renew(held, this.#visibilityMs, this.#disposed.signal)
      // Here, and not further down: the next call about this message may start before we are told.
      if (done.kind === 'renewed') this.#held = { id: held.id, receipt: done.receipt }
      return done
    })
    const done = await renewed.catch((error: unknown) => {
      if (this.#disposed.signal.aborted) return undefined
      throw error
    })
    if (done === undefined) return
    const lost = lostIn(done)
    if (lost !== undefined) return this.#lose(lost)
    if (done.kind === 'renewed') {
      // The service counted from some moment of the call: from its start on is safe.
      const tookMs = this.#deps.clock.monotonicMs() - startedMs
      return this.#renewIn(Math.max(0, this.#visibilityMs / 2 - tookMs))
    }
    if (done.kind === 'trouble') this.#deps.onTrouble(done)
    this.#renewIn(this.#visibilityMs / 10)
  }

  #lose(why: Lost['why']): void {
    this.#cancel()
    this.#over.abort(new LeaseLostError(why))
  }

  /** Runs `call` with the newest receipt after the calls before it. */
  #alone<T>(call: (held: Held) => Promise<T>): Promise<T> {
    const mine = this.#last.then(() => call(this.#held))
    this.#last = mine.catch(() => {})
    return mine
  }
}

/** With its queue a message is gone too. */
function lostIn(done: { readonly kind: string } | Lost | Trouble): Lost['why'] | undefined {
  if (done.kind === 'lost' && 'why' in done) return done.why
  return done.kind === 'trouble' && 'what' in done && done.what === 'queue-missing' ? 'gone' : undefined
}
