import type { BatchPolicy } from '../contract/routes.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import type { Lease } from './store.ts'

/** When a Trigger's next batch is due, and what is left of batches that failed. */
export class Batches {
  /** Halves of batches that failed, leased already; they go before anything else. */
  readonly halves: (readonly Lease[])[] = []
  readonly #clock: Clock
  readonly #onRipe: () => void
  #timer: Cancel | undefined
  #ripe = false

  constructor(clock: Clock, onRipe: () => void) {
    this.#clock = clock
    this.#onRipe = onRipe
  }

  /**
   * Whether a batch may go now: it is full, or its first event has waited long enough. `onRipe` is called when it has.
   * True is said once for each time that passed.
   */
  isRipe(waiting: number, { maxEvents, maxWaitMs }: BatchPolicy): boolean {
    if (waiting >= maxEvents || (this.#ripe && waiting > 0)) {
      this.#reset()
      return true
    }
    if (waiting === 0) this.#reset()
    else {
      this.#timer ??= this.#clock.after(maxWaitMs, () => {
        this.#ripe = true
        this.#onRipe()
      })
    }
    return false
  }

  /** What waits has waited long enough: it was to go with the last batch, and did not fit. */
  ripen(): void {
    this.#ripe = true
  }

  /** Returns what was leased and not sent. */
  stop(): Lease[] {
    this.#reset()
    return this.halves.splice(0).flat()
  }

  #reset(): void {
    this.#timer?.()
    this.#timer = undefined
    this.#ripe = false
  }
}

/**
 * Which of `leases` share the next request: those that are as far as the first one, up to the bytes. What failed before goes in
 * smaller company each time, so that an event which brings the handler down ends up alone. Pure.
 */
export function takeBatch(
  leases: readonly Lease[],
  { maxEvents, maxBytes }: BatchPolicy,
): { readonly batch: readonly Lease[]; readonly rest: readonly Lease[] } {
  const [first] = leases
  if (first === undefined) return { batch: [], rest: [] }
  const most = Math.max(1, Math.floor(maxEvents / 2 ** Math.min(first.attempt, 30)))
  const batch: Lease[] = []
  const rest: Lease[] = []
  let bytes = BRACKETS
  for (const lease of leases) {
    const next = bytes + sizeInBatch(lease)
    const fits = batch.length === 0 || (batch.length < most && next <= maxBytes)
    const alike = lease.stage === first.stage && lease.attempt === first.attempt
    if (fits && alike && rest.length === 0) {
      batch.push(lease)
      bytes = next
    } else rest.push(lease)
  }
  return { batch, rest }
}

const BRACKETS = 2

/** No less than what it takes in a batch: base64 and the names of the attributes included. */
function sizeInBatch({ event: { attributes, body, mode } }: Lease): number {
  if (mode === 'structured') return body.byteLength + 1
  let bytes = Math.ceil((body.byteLength * 4) / 3) + 32
  for (const name in attributes) bytes += name.length + 6 + JSON.stringify(attributes[name]).length
  return bytes
}
