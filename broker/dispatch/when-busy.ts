import type { Cancel, Clock } from '../../runtime/clock.ts'
import type { Poster } from '../poster.ts'

export interface WhenBusyDeps {
  readonly clock: Clock
  /** The share of the time since it was asked last in which this thread was not idle, 0 to 1. */
  readonly utilization: () => number
  readonly openOther: () => Poster
}

const LOOK_MS = 1000
/** A thread that has no time left is at 1; a start or a burst is over sooner than this. */
const BUSY = 0.85
const BUSY_LOOKS = 5

/**
 * Posts by `own` until this thread has been busy for five seconds on end, and by another poster, opened then, from there on.
 * What `own` has begun it finishes. There is no way back: what was busy once will be again.
 */
export function postElsewhereWhenBusy(own: Poster, { clock, utilization, openOther }: WhenBusyDeps): Poster {
  let other: Poster | undefined
  let busy = 0
  let cancel: Cancel
  const look = () => {
    busy = utilization() >= BUSY ? busy + 1 : 0
    if (busy < BUSY_LOOKS) cancel = clock.after(LOOK_MS, look)
    else other = openOther()
  }
  cancel = clock.after(LOOK_MS, look)
  return {
    post: (request, token, signal) => (other ?? own).post(request, token, signal),
    async [Symbol.asyncDispose]() {
      cancel()
      await Promise.all([own[Symbol.asyncDispose](), other?.[Symbol.asyncDispose]()])
    },
  }
}
