import type { Clock } from './clock.ts'

/**
 * Runs `request` for `timeoutMs` at most: it settles by then even where `request` does not heed the signal it is given.
 * @returns `late` where it has not ended in time; whether it did what it was asked is then unknown.
 * @throws the signal's reason when `signal` aborts, and what `request` throws.
 */
export async function inTime<T, L>(
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
  request: (signal: AbortSignal) => Promise<T>,
  late: L,
): Promise<T | L> {
  signal.throwIfAborted()
  const stop = new AbortController()
  const ended = Promise.withResolvers<L>()
  const forward = () => {
    stop.abort(signal.reason)
    ended.reject(signal.reason)
  }
  const cancel = clock.after(timeoutMs, () => {
    ended.resolve(late)
    stop.abort()
  })
  signal.addEventListener('abort', forward, { once: true })
  try {
    const asked = request(stop.signal)
    // Whichever comes second has nobody to tell.
    asked.catch(() => {})
    ended.promise.catch(() => {})
    return await Promise.race([ended.promise, asked])
  } finally {
    cancel()
    signal.removeEventListener('abort', forward)
  }
}

/** Ends something that may not let go: waits no longer than `timeoutMs`. Never rejects. */
export async function endInTime(clock: Clock, timeoutMs: number, end: () => Promise<unknown>): Promise<void> {
  await inTime(clock, timeoutMs, new AbortController().signal, end, undefined).catch(() => {})
}
