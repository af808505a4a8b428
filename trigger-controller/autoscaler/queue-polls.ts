import type { BacklogQuery, BacklogReader } from '../../clients/backlog.ts'
import type { Cancel, Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { abortable } from '../abortable.ts'
import type { Reading } from './observe.ts'
import type { QueueWatch } from './target.ts'

export interface QueuePollsDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  /** @throws where the credentials cannot be right: the reading is unknown, and says why. */
  readonly openBacklog: (query: BacklogQuery) => Promise<BacklogReader>
  /** Told after each reading, with the watch's key. */
  readonly onReading: (key: string) => void
}

/** One reading must not take longer. */
const READ_TIMEOUT_MS = 10_000
/** A system that does not answer is asked less and less often, down to this, or to its own period where that is longer. */
const BACKOFF_MAX_MS = 30_000

/** Reads the lengths of queues elsewhere, each in its own period, and keeps the last reading. Disposing ends all of it. */
export class QueuePolls implements AsyncDisposable {
  readonly #deps: QueuePollsDeps
  readonly #polls = new Map<string, Poll>()

  constructor(deps: QueuePollsDeps) {
    this.#deps = deps
  }

  /** Exactly these from now on. A watch that did not change keeps its reading and its rhythm. */
  watch(watches: readonly QueueWatch[]): void {
    const wanted = new Map(watches.map(watch => [watch.key, watch]))
    for (const [key, poll] of this.#polls) {
      const watch = wanted.get(key)
      if (watch !== undefined && poll.follows(watch)) wanted.delete(key)
      else {
        poll.stop()
        this.#polls.delete(key)
      }
    }
    for (const [key, watch] of wanted) this.#polls.set(key, new Poll(watch, this.#deps))
  }

  read(key: string): Reading | undefined {
    return this.#polls.get(key)?.reading
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const polls = [...this.#polls.values()]
    this.#polls.clear()
    await Promise.all(polls.map(poll => poll.stop()))
  }
}

class Poll {
  readonly #watch: QueueWatch
  readonly #deps: QueuePollsDeps
  #reader: Promise<BacklogReader> | undefined
  readonly #stopped = new AbortController()
  #reading: Reading | undefined
  #failures = 0
  #cancel: Cancel = () => {}
  #running: Promise<void>

  constructor(watch: QueueWatch, deps: QueuePollsDeps) {
    this.#watch = watch
    this.#deps = deps
    this.#running = this.#once()
  }

  get reading(): Reading | undefined {
    return this.#reading
  }

  follows(watch: QueueWatch): boolean {
    return JSON.stringify(watch) === JSON.stringify(this.#watch)
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the queue is no longer watched'))
    this.#cancel()
    await this.#running
    await (await this.#reader?.catch(() => undefined))?.close()
  }

  /** One that could not be opened is opened anew next time. */
  #open(): Promise<BacklogReader> {
    this.#reader ??= this.#deps.openBacklog(this.#watch.backlog).catch((error: unknown) => {
      this.#reader = undefined
      throw error
    })
    return this.#reader
  }

  async #once(): Promise<void> {
    const { clock, log } = this.#deps
    const timeout = new AbortController()
    const cancel = clock.after(READ_TIMEOUT_MS, () => timeout.abort(new Error(`no answer in ${READ_TIMEOUT_MS} ms`)))
    try {
      const signal = AbortSignal.any([this.#stopped.signal, timeout.signal])
      const reader = await this.#open()
      const value = await abortable(reader.count(signal), signal)
      this.#reading = { kind: 'known', value }
      this.#failures = 0
    } catch (error) {
      if (this.#stopped.signal.aborted) return
      this.#failures++
      this.#reading = { kind: 'unknown', reason: wordsOf(error) }
      if (this.#failures === 1) log.warn({ queue: this.#watch.key, reason: wordsOf(error) }, 'a queue cannot be read')
    } finally {
      cancel()
    }
    if (this.#stopped.signal.aborted) return
    this.#cancel = clock.after(this.#waitMs(), () => {
      this.#running = this.#once()
    })
    this.#deps.onReading(this.#watch.key)
  }

  #waitMs(): number {
    const { pollMs } = this.#watch
    const backedOffMs = Math.min(pollMs * 2 ** Math.min(this.#failures, 10), Math.max(pollMs, BACKOFF_MAX_MS))
    // A tenth of chance keeps many queues of one account from being asked in step.
    return backedOffMs * (0.95 + 0.1 * this.#deps.random())
  }
}

const REASON_MAX = 200

/** The first line of an error, short, without what may be a key: addresses lose their query. */
function wordsOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const line = text.split('\n')[0] ?? ''
  return line.replace(/\?\S*/g, '?…').slice(0, REASON_MAX)
}
