import assert from 'node:assert/strict'
import type { Lost, Trouble } from '../../../clients/azure-storage-queue/outcome.ts'
import {
  CALL_TIMEOUT_MS,
  type Held,
  type Put,
  type QueueMessage,
  type Received,
  type StorageQueue,
} from '../../../clients/azure-storage-queue/queue.ts'
import { trouble } from '../../../clients/trouble.ts'
import { type Clock, sleep } from '../../../runtime/clock.ts'

/** What becomes of one call: it works, it never reaches the service, or it is done and its answer is lost. */
export type Fate = 'works' | 'not-done' | 'answer-lost'

interface Kept {
  readonly id: string
  readonly text: string
  readonly insertedMs: number
  dequeueCount: number
  receipt: string
  visibleMs: number
}

/** An account with queues in memory, as the service behaves: visibility, receipts, and calls that fail. */
export class MemoryAccount {
  readonly clock: Clock
  readonly queues = new Map<string, Kept[]>()
  /** Time one call takes, ms, and how it ends. */
  latencyMs: () => number = () => 5
  fate: () => Fate = () => 'works'
  #receipts = 0
  #ids = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  make(name: string): void {
    if (!this.queues.has(name)) this.queues.set(name, [])
  }

  /** Puts a message without any of the faults. @returns its id. */
  add(name: string, text: string): string {
    const id = `id-${++this.#ids}`
    const nowMs = this.clock.monotonicMs()
    this.queues.get(name)?.push({
      ...{ id, text, receipt: this.receipt(), dequeueCount: 0 },
      ...{ insertedMs: this.clock.nowMs(), visibleMs: nowMs },
    })
    return id
  }

  texts(name: string): string[] {
    return (this.queues.get(name) ?? []).map(one => one.text)
  }

  receipt(): string {
    return `receipt-${++this.#receipts}`
  }

  open(name: string): StorageQueue {
    return new MemoryQueue(this, name)
  }
}

class MemoryQueue implements StorageQueue {
  readonly #account: MemoryAccount
  readonly name: string
  /** Calls under way about one message: there must never be two from one holder. */
  readonly #busy = new Set<string>()

  constructor(account: MemoryAccount, name: string) {
    this.#account = account
    this.name = name
  }

  get url(): string {
    return `https://acme.queue.example/${this.name}`
  }

  async receive(max: number, visibilityMs: number, signal: AbortSignal): Promise<Received> {
    assert.ok(max >= 1, 'the service refuses to give nothing')
    const answer = await this.#call(signal, queue => {
      const nowMs = this.#account.clock.monotonicMs()
      const taken = queue.filter(one => one.visibleMs <= nowMs).slice(0, Math.min(max, 32))
      const messages = taken.map((one): QueueMessage => {
        one.dequeueCount++
        one.receipt = this.#account.receipt()
        one.visibleMs = nowMs + visibilityMs
        return { ...one }
      })
      return { kind: 'messages' as const, messages }
    })
    assert(answer.kind !== 'lost')
    return answer
  }

  renew(held: Held, visibilityMs: number, signal: AbortSignal) {
    return this.#about(held, () =>
      this.#call(signal, queue => {
        const found = find(queue, held)
        if ('kind' in found) return found
        found.receipt = this.#account.receipt()
        found.visibleMs = this.#account.clock.monotonicMs() + visibilityMs
        return { kind: 'renewed' as const, receipt: found.receipt }
      }),
    )
  }

  delete(held: Held, signal: AbortSignal) {
    return this.#about(held, () =>
      this.#call(signal, queue => {
        const found = find(queue, held)
        if ('kind' in found) return found
        queue.splice(queue.indexOf(found), 1)
        return { kind: 'deleted' as const }
      }),
    )
  }

  async put(text: string, signal: AbortSignal): Promise<Put> {
    const answer = await this.#call(signal, () => {
      this.#account.add(this.name, text)
      return { kind: 'put' as const }
    })
    assert(answer.kind !== 'lost')
    return answer
  }

  async create(signal: AbortSignal): Promise<{ readonly kind: 'created' } | Trouble> {
    await sleep(this.#account.clock, this.#account.latencyMs(), signal)
    this.#account.make(this.name)
    return { kind: 'created' }
  }

  async approximateCount(): Promise<number> {
    return this.#account.queues.get(this.name)?.length ?? 0
  }

  async peekCount(max: number): Promise<number> {
    return Math.min(max, await this.approximateCount())
  }

  sibling(name: string): StorageQueue {
    return this.#account.open(name)
  }

  async #about<T>(held: Held, call: () => Promise<T>): Promise<T> {
    assert.ok(!this.#busy.has(held.id), `two calls about ${held.id} at once`)
    this.#busy.add(held.id)
    try {
      return await call()
    } finally {
      this.#busy.delete(held.id)
    }
  }

  async #call<T>(signal: AbortSignal, work: (queue: Kept[]) => T | Lost): Promise<T | Lost | Trouble> {
    const { clock } = this.#account
    signal.throwIfAborted()
    const fate = this.#account.fate()
    const latencyMs = Math.min(this.#account.latencyMs(), CALL_TIMEOUT_MS)
    await sleep(clock, latencyMs / 2, signal)
    const queue = this.#account.queues.get(this.name)
    const done = fate === 'not-done' || queue === undefined ? undefined : work(queue)
    await sleep(clock, latencyMs / 2, signal)
    if (queue === undefined) return trouble('queue-missing', `there is no queue ${this.name}`)
    if (fate !== 'works' || done === undefined) return trouble('unreachable', 'the network is down')
    return done
  }
}

function find(queue: readonly Kept[], held: Held): Kept | Lost {
  const found = queue.find(one => one.id === held.id)
  if (found === undefined) return { kind: 'lost', why: 'gone' }
  return found.receipt === held.receipt ? found : { kind: 'lost', why: 'receipt-stale' }
}
