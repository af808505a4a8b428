import type { Cancel, Clock } from '../../runtime/clock.ts'

/** Due times are wall times and timers are not: after a jump of the wall clock forward, nothing is later than this. */
const RECHECK_MS = 60_000
/** Less than this is no jump, but a clock that is set right little by little. */
export const JUMP_MS = 1000

/**
 * One timer for the earliest of many wall times. Where the wall clock is set back, what is due keeps its distance from now:
 * nothing waits longer because the date was wrong. Where it is set forward, or the machine slept, what is due by then is due.
 */
export class DueTimer {
  readonly #clock: Clock
  readonly #action: () => void
  readonly #onBack: (byMs: number) => void
  #dueMs = Number.POSITIVE_INFINITY
  #cancel: Cancel | undefined
  /** How far the wall clock is ahead of the monotonic one, as far as is known. */
  #aheadMs: number

  /**
   * @param action called when a time that was asked for has come; whatever is still to come is asked for again by it.
   * @param onBack the wall clock was set back by so many ms: times that were asked for before are as much earlier now.
   */
  constructor(clock: Clock, action: () => void, onBack: (byMs: number) => void) {
    this.#clock = clock
    this.#action = action
    this.#onBack = onBack
    this.#aheadMs = clock.nowMs() - clock.monotonicMs()
  }

  /** Notices whether the wall clock was set back. To be called before a new due time is kept beside older ones. */
  look(): void {
    const aheadMs = this.#clock.nowMs() - this.#clock.monotonicMs()
    const backMs = Math.round(this.#aheadMs - aheadMs)
    if (Math.abs(backMs) < JUMP_MS) return
    this.#aheadMs = aheadMs
    if (backMs < 0) return
    this.#dueMs -= backMs
    this.#onBack(backMs)
  }

  /** Makes sure that `action` is called at `dueMs`, or earlier when an earlier time was asked for. */
  wakeAt(dueMs: number): void {
    if (dueMs >= this.#dueMs) return
    this.#cancel?.()
    this.#dueMs = dueMs
    this.#arm()
  }

  cancel(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#dueMs = Number.POSITIVE_INFINITY
  }

  #arm(): void {
    const leftMs = Math.max(0, this.#dueMs - this.#clock.nowMs())
    this.#cancel = this.#clock.after(Math.min(leftMs, RECHECK_MS), () => {
      this.#cancel = undefined
      this.look()
      if (this.#clock.nowMs() < this.#dueMs) {
        // Unless `onBack` asked for a time of its own.
        if (this.#cancel === undefined) this.#arm()
        return
      }
      this.cancel()
      this.#action()
    })
  }
}
