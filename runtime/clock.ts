/** Time, passed in wherever it matters, so that tests turn it by hand. Only a `main.ts` may name `systemClock`. */
export interface Clock {
  /** Wall time in ms since the epoch. May jump in either direction; never measure a duration with it. */
  nowMs(): number
  /** Ms since an arbitrary start; never goes back. For durations and timeouts. */
  monotonicMs(): number
  /** Calls `action` once, `delayMs` from now, unless the returned function is called first. Never before its time. */
  after(delayMs: number, action: () => void): Cancel
}

/** Cancels what was scheduled. Idempotent. */
export type Cancel = () => void

/** Node's timers overflow above 2^31 - 1 ms and would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, action) {
    let timer: NodeJS.Timeout
    const arm = (leftMs: number) => {
      const stepMs = Math.min(leftMs, LONGEST_TIMER_MS)
      timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : action()), stepMs)
    }
    arm(Math.max(0, Math.ceil(delayMs)))
    return () => clearTimeout(timer)
  },
}

/** Resolves after `delayMs`. @throws the signal's reason, at once, when `signal` aborts. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const stop = () => {
      cancel()
      reject(signal.reason)
    }
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
    signal.addEventListener('abort', stop, { once: true })
  })
}
