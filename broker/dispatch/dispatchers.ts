import type { Worker } from 'node:worker_threads'
import type { Log } from '../../runtime/log.ts'
import type { Attempt } from '../attempt.ts'
import type { Poster } from '../poster.ts'
import type { Post } from '../sink-token.ts'
import { startThread } from '../thread.ts'
import { type Call, type Report, readEnded, type Settings, writeCalls } from './wire.ts'

export interface DispatchersDeps extends Settings {
  readonly log: Log
  /** A thread ended that was not told to. What it had in hand has no outcome until it is abandoned: the process must end. */
  readonly onFailure: (error: Error) => void
}

/**
 * A poster whose requests are made by `count` threads, so that this one is left for what it alone can do. A request goes to
 * the thread that has the fewest open.
 */
export function openDispatchers(count: number, deps: DispatchersDeps): Poster {
  const threads = Array.from({ length: count }, () => new Dispatcher(deps))
  const post: Post = (request, token, signal) => {
    if (signal.aborted) return Promise.resolve({ kind: 'abandoned', tookMs: 0 })
    const thread = threads.reduce((least, one) => (one.open < least.open ? one : least))
    return new Promise(resolve => thread.post(request, token, signal, resolve))
  }
  return {
    post,
    async [Symbol.asyncDispose]() {
      await Promise.all(threads.map(thread => thread.close()))
    },
  }
}

type Tell = (attempt: Attempt) => void

interface Waiting {
  readonly tell: Tell
  readonly signal: AbortSignal
}

class Dispatcher {
  /** Requests that have no outcome yet. */
  open = 0
  readonly #worker: Worker
  readonly #exited: Promise<unknown>
  readonly #waiting = new Slots<Waiting>()
  readonly #signals = new Signals(signal => this.#abandon(signal))
  #calls: Call[] = []
  /** It was told to end, or did. */
  #ended = false
  #failed = false

  constructor({ addresses, caFile, log, onFailure }: DispatchersDeps) {
    const settings: Settings = { addresses, caFile }
    this.#worker = startThread('weir-dispatch', new URL('./main', import.meta.url), settings)
    this.#exited = new Promise(resolve => this.#worker.once('exit', resolve))
    const tell = (call: number, attempt: Attempt) => this.#tell(call, attempt)
    this.#worker.on('message', (report: Report) => {
      if (report.kind === 'ended') readEnded(report, tell)
      else log[report.level](report.facts, report.words)
    })
    const fail = (how: string, cause?: unknown) => {
      if (this.#ended) return
      this.#ended = true
      this.#failed = true
      const owed = 'what it had in hand is owed, and sent again after the next start'
      this.#giveUp()
      onFailure(new Error(`a thread that delivers events ${how}; ${owed}`, { cause }))
    }
    this.#worker.on('error', cause =>
      fail(`crashed (${cause instanceof Error ? cause.message : String(cause)})`, cause),
    )
    this.#worker.on('exit', code => fail(`ended with ${code}`))
  }

  post(request: Call['request'], token: string | undefined, signal: AbortSignal, tell: Tell): void {
    this.open++
    this.#calls.push({
      id: this.#waiting.put({ tell, signal }),
      request,
      token,
      signal: this.#signals.numberOf(signal),
    })
    if (this.#calls.length === 1) setImmediate(() => this.#send())
  }

  async close(): Promise<void> {
    this.#ended = true
    this.#send()
    this.#worker.postMessage({ kind: 'close' })
    await this.#exited
  }

  #tell(call: number, attempt: Attempt): void {
    const waiting = this.#waiting.take(call)
    if (waiting === undefined) return
    this.open--
    waiting.tell(attempt)
  }

  #abandon(signal: number): void {
    if (this.#failed) this.#giveUp()
    else this.#worker.postMessage({ kind: 'abandon', signal })
  }

  /** In place of a thread that failed: what was abandoned is told so, before or after. */
  #giveUp(): void {
    for (const [call, { signal }] of this.#waiting.taken()) {
      if (signal.aborted) this.#tell(call, { kind: 'abandoned', tookMs: 0 })
    }
  }

  #send(): void {
    if (this.#calls.length === 0) return
    const message = writeCalls(this.#calls)
    this.#calls = []
    this.#worker.postMessage(message, [message.bodies.buffer])
  }
}

/** Numbers for what waits; a number is used again. A Map whose entries come and go would leave its tables behind. */
class Slots<Value> {
  readonly #values: (Value | undefined)[] = []
  readonly #free: number[] = []

  put(value: Value): number {
    const slot = this.#free.pop() ?? this.#values.length
    this.#values[slot] = value
    return slot
  }

  take(slot: number): Value | undefined {
    const value = this.#values[slot]
    if (value === undefined) return undefined
    this.#values[slot] = undefined
    this.#free.push(slot)
    return value
  }

  taken(): readonly (readonly [slot: number, value: Value])[] {
    return this.#values.flatMap((value, slot) => (value === undefined ? [] : [[slot, value] as const]))
  }
}

/** Numbers for signals, and word to the thread when one aborts. */
class Signals {
  readonly #numbers = new WeakMap<AbortSignal, number>()
  readonly #onAbort: (signal: number) => void
  #next = 0

  constructor(onAbort: (signal: number) => void) {
    this.#onAbort = onAbort
  }

  numberOf(signal: AbortSignal): number {
    let number = this.#numbers.get(signal)
    if (number === undefined) {
      const given = this.#next++
      number = given
      this.#numbers.set(signal, given)
      signal.addEventListener('abort', () => this.#onAbort(given), { once: true })
    }
    return number
  }
}
