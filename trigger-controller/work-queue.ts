import type { Cancel, Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'

/**
 * Keys that something is to be done about. A key is worked on by one worker at a time; asked for again meanwhile, it is
 * worked on once more afterwards, however often it was asked for. Disposing aborts what runs and waits for it.
 */
export interface WorkQueue extends AsyncDisposable {
  add(key: string): void
  /** Resolves when nothing is queued or running. Keys that wait after a failure do not count. */
  idle(): Promise<void>
}

export interface WorkQueueDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
}

export interface WorkQueueOptions {
  /** Keys worked on at once. */
  readonly concurrency: number
  /** Wait after the first failure of a key; doubles with each further one, up to the other. */
  readonly backoffMs: number
  readonly backoffMaxMs: number
  /** Work on a key is aborted after this: a hung peer must not keep a worker for ever. */
  readonly timeoutMs: number
}

const WORK_QUEUE_DEFAULTS: WorkQueueOptions = {
  concurrency: 4,
  backoffMs: 100,
  backoffMaxMs: 60_000,
  timeoutMs: 30_000,
}

/** Does whatever `key` needs. Throwing means: again, later. */
export type Work = (key: string, signal: AbortSignal) => Promise<void>

export function openWorkQueue(
  work: Work,
  deps: WorkQueueDeps,
  options: WorkQueueOptions = WORK_QUEUE_DEFAULTS,
): WorkQueue {
  return new KeyedWork(work, deps, options)
}

class KeyedWork implements WorkQueue {
  readonly #work: Work
  readonly #deps: WorkQueueDeps
  readonly #options: WorkQueueOptions
  /** In order of arrival. */
  readonly #queued = new Set<string>()
  readonly #running = new Map<string, Promise<void>>()
  /** Asked for again while they run. */
  readonly #again = new Set<string>()
  readonly #failures = new Map<string, number>()
  readonly #waiting = new Map<string, Cancel>()
  readonly #closing = new AbortController()
  #idlers: (() => void)[] = []

  constructor(work: Work, deps: WorkQueueDeps, options: WorkQueueOptions) {
    this.#work = work
    this.#deps = deps
    this.#options = options
  }

  add(key: string): void {
    if (this.#closing.signal.aborted) return
    // News about a key may be what mends it: no back-off stands in its way.
    this.#waiting.get(key)?.()
    this.#waiting.delete(key)
    if (this.#running.has(key)) this.#again.add(key)
    else this.#queued.add(key)
    this.#fill()
  }

  idle(): Promise<void> {
    return new Promise(resolve => {
      this.#idlers.push(resolve)
      this.#tellIdlers()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('the work queue is closing'))
    this.#queued.clear()
    this.#again.clear()
    for (const cancel of this.#waiting.values()) cancel()
    this.#waiting.clear()
    await Promise.all(this.#running.values())
    this.#tellIdlers()
  }

  #fill(): void {
    for (const key of this.#queued) {
      if (this.#running.size >= this.#options.concurrency) return
      this.#queued.delete(key)
      this.#running.set(key, this.#run(key))
    }
  }

  async #run(key: string): Promise<void> {
    // Off the caller's stack: `add` never runs work, and a burst of adds is one.
    await Promise.resolve()
    this.#again.delete(key)
    const timeout = new AbortController()
    const cancel = this.#deps.clock.after(this.#options.timeoutMs, () =>
      timeout.abort(new Error(`${key} was not done within ${this.#options.timeoutMs} ms`)),
    )
    try {
      await this.#work(key, AbortSignal.any([this.#closing.signal, timeout.signal]))
      this.#failures.delete(key)
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#failed(key, error)
    } finally {
      cancel()
      this.#running.delete(key)
      if (this.#again.delete(key)) this.#queued.add(key)
      this.#fill()
      this.#tellIdlers()
    }
  }

  #failed(key: string, error: unknown): void {
    const failures = (this.#failures.get(key) ?? 0) + 1
    this.#failures.set(key, failures)
    const { backoffMs, backoffMaxMs } = this.#options
    const longest = Math.min(backoffMaxMs, backoffMs * 2 ** Math.min(failures - 1, 30))
    // Half fixed, half chance: keys that failed together do not come back together.
    const waitMs = longest / 2 + (longest / 2) * this.#deps.random()
    this.#deps.log.warn({ key, failures, waitMs: Math.round(waitMs), error }, 'work on a resource failed')
    if (this.#again.has(key)) return
    this.#waiting.set(
      key,
      this.#deps.clock.after(waitMs, () => this.add(key)),
    )
  }

  #tellIdlers(): void {
    if (this.#queued.size > 0 || this.#running.size > 0) return
    const idlers = this.#idlers
    this.#idlers = []
    for (const resolve of idlers) resolve()
  }
}
