import type { Worker } from 'node:worker_threads'
import type { Log } from '../../runtime/log.ts'
import type { Attempt } from '../attempt.ts'
import type { Poster } from '../poster.ts'
import type { Post } from '../sink-token.ts'
import { startThread } from '../thread.ts'
import { type Call, type Report, readEnded, type Settings, writeCalls } from './wire.ts'

export interface DispatchersDeps extends Settings {
  readonly log: Log
  /** A thread ended that was not told to. What it had in hand has no outcome: the process must end. */
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
    let chosen = threads[0]
    for (const thread of threads) if (chosen === undefined || thread.open < chosen.open) chosen = thread
    if (chosen === undefined) throw new RangeError('there are no dispatchers')
    const thread = chosen
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

class Dispatcher {
  /** Requests that have no outcome yet. */
  open = 0
  readonly #worker: Worker
  readonly #exited: Promise<unknown>
  readonly #waiting = new Slots<Tell>()
  readonly #signals = new Signals(signal => this.#worker.postMessage({ kind: 'abandon', signal }))
  #calls: Call[] = []
  #ended = false

  constructor({ addresses, caFile, log, onFailure }: DispatchersDeps) {
    const settings: Settings = { addresses, caFile }
    this.#worker = startThread('weir-dispatch', new URL('./main', import.meta.url), settings)
    this.#exited = new Promise(resolve => this.#worker.once('exit', resolve))
    const tell = (call: number, attempt: Attempt) => {
      this.open--
      this.#waiting.take(call)?.(attempt)
    }
    this.#worker.on('message', (report: Report) => {
      if (report.kind === 'ended') readEnded(report, tell)
      else log[report.level](report.facts, report.words)
    })
    const fail = (error: Error) => {
      if (this.#ended) return
      this.#ended = true
      onFailure(error)
    }
    this.#worker.on('error', cause => fail(new Error('A thread that delivers events crashed.', { cause })))
    this.#worker.on('exit', code => fail(new Error(`A thread that delivers events ended with ${code}.`)))
  }

  post(request: Call['request'], token: string | undefined, signal: AbortSignal, tell: Tell): void {
    this.open++
    this.#calls.push({ id: this.#waiting.put(tell), request, token, signal: this.#signals.numberOf(signal) })
    if (this.#calls.length === 1) setImmediate(() => this.#send())
  }

  async close(): Promise<void> {
    this.#ended = true
    this.#send()
    this.#worker.postMessage({ kind: 'close' })
    await this.#exited
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
    this.#values[slot] = undefined
    this.#free.push(slot)
    return value
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
