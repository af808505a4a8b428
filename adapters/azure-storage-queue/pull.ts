import { type QueueMessage, RECEIVE_MAX, type StorageQueue } from '../../clients/azure-storage-queue/queue.ts'
import type { AzureStorageQueueSourceResource } from '../../crds/azure-storage-queue-source.ts'
import { type Cancel, sleep } from '../../runtime/clock.ts'
import { type AdapterDeps, DRAIN_MS } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import { type HandleDeps, type Handled, handle } from './handle.ts'
import { Lease, LeaseLostError } from './lease.ts'

type Polled = 'full' | 'some' | 'none' | 'trouble'

/** Polls that fail are repeated in this rhythm. */
const TROUBLE: Backoff = { minMs: 500, maxMs: 30_000 }
/** The end of a drain, kept for giving back what could not be finished: at most, and as a part of the whole. */
const GIVE_BACK_MAX_MS = 2_000
const GIVE_BACK_PART = 0.2
/** The service's limit for a queue's name. */
const NAME_MAX = 63

/**
 * Polls `queue` until `signal` aborts, and takes every message to its end: as many at once as the source's `parallelism`.
 * Then it stops polling, finishes what it holds, and gives back what it could not finish in time. It throws only what is a
 * mistake in this code; the messages then come back when their leases are over.
 */
export function pull(
  queue: StorageQueue,
  source: AzureStorageQueueSourceResource,
  deps: AdapterDeps,
  signal: AbortSignal,
): Promise<void> {
  return new Puller(queue, source, deps).run(signal)
}

class Puller {
  readonly #queue: StorageQueue
  readonly #source: AzureStorageQueueSourceResource
  readonly #deps: AdapterDeps
  readonly #handling: HandleDeps
  readonly #leases = new Set<Lease>()
  /** Aborts at the very end of a drain: no call may last longer. */
  readonly #end = new AbortController()
  readonly #broken = new AbortController()
  #tooLate: Error | undefined
  #changed = Promise.withResolvers<void>()
  #ready = false
  #emitted = 0
  #pollError: string | undefined
  #messageError: string | undefined

  constructor(queue: StorageQueue, source: AzureStorageQueueSourceResource, deps: AdapterDeps) {
    const { clock, random, emit } = deps
    this.#queue = queue
    this.#source = source
    this.#deps = deps
    this.#handling = {
      queue,
      poison: poisonOf(queue, source.spec),
      spec: source.spec,
      clock,
      random,
      emit,
      onStored: () => {
        this.#emitted++
      },
      onTrouble: found => this.#tell({ messageError: found.reason }),
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#broken.signal])
    let cancels: readonly Cancel[] = []
    const stopping = () => {
      cancels = this.#limitDrain()
      this.#changed.resolve()
    }
    if (stop.aborted) stopping()
    else stop.addEventListener('abort', stopping, { once: true })
    await this.#pull(stop).catch((error: unknown) => this.#broken.abort(error))
    while (this.#leases.size > 0) await this.#nextChange()
    for (const cancel of cancels) cancel()
    this.#broken.signal.throwIfAborted()
  }

  async #pull(stop: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps
    let last: Polled = 'none'
    for (let pauses = 0; !stop.aborted; pauses++) {
      await this.#room(stop)
      if (stop.aborted) return
      const polled = await this.#poll()
      if (polled !== last || polled === 'some') pauses = 0
      last = polled
      if (polled === 'full') continue
      const rhythm = polled === 'trouble' ? TROUBLE : this.#source.spec.pollInterval
      await sleep(clock, backoffMs(pauses, rhythm, random), stop).catch(() => {})
    }
  }

  /** Waits until half of the slots are free, so that one call brings many. */
  async #room(stop: AbortSignal): Promise<void> {
    while (this.#leases.size > this.#source.spec.parallelism / 2 && !stop.aborted) await this.#nextChange()
  }

  async #nextChange(): Promise<void> {
    this.#changed = Promise.withResolvers()
    await this.#changed.promise
  }

  /** Not cut short by a stop: what the service has handed out must not stay hidden from everybody. */
  async #poll(): Promise<Polled> {
    const { parallelism, visibilityTimeoutMs } = this.#source.spec
    const asked = Math.min(RECEIVE_MAX, parallelism - this.#leases.size)
    const received = await this.#queue.receive(asked, visibilityTimeoutMs, this.#end.signal).catch((error: unknown) => {
      if (this.#end.signal.aborted) return undefined
      throw error
    })
    if (received === undefined) return 'none'
    if (received.kind === 'trouble') {
      if (this.#pollError !== received.reason) {
        this.#deps.log.warn({ source: this.#queue.url, reason: received.reason }, 'a queue cannot be polled')
      }
      this.#tell({ pollError: received.reason })
      return 'trouble'
    }
    for (const message of received.messages) this.#take(message)
    this.#ready = true
    this.#tell({ pollError: undefined })
    if (received.messages.length === 0) return 'none'
    return received.messages.length === asked ? 'full' : 'some'
  }

  #take(message: QueueMessage): void {
    const lease = new Lease(message, this.#queue, this.#source.spec.visibilityTimeoutMs, this.#handling)
    this.#leases.add(lease)
    if (this.#tooLate !== undefined) lease.abandon(this.#tooLate)
    void this.#finish(message, lease).then(() => {
      lease[Symbol.dispose]()
      this.#leases.delete(lease)
      this.#tell({})
      this.#changed.resolve()
    })
  }

  /** Never rejects: what should not happen ends the adapter, and the message comes back when its lease is over. */
  async #finish(message: QueueMessage, lease: Lease): Promise<void> {
    const facts = { source: this.#queue.url, message: message.id, dequeueCount: message.dequeueCount }
    try {
      const handled = await handle(message, lease, this.#handling)
      this.#messageError = handled.kind === 'postponed' ? postponedWords(handled, message) : undefined
      this.#logHandled(handled, facts)
    } catch (error) {
      if (!lease.signal.aborted || error !== lease.signal.reason) return this.#broken.abort(error)
      if (error instanceof LeaseLostError) {
        this.#messageError = undefined
        return this.#deps.log.warn({ ...facts, reason: error.message }, 'a message was lost while it was held')
      }
      await lease.giveBack(0, this.#end.signal).catch(() => {})
      this.#deps.log.warn(facts, 'a message was given back unfinished')
    }
  }

  #logHandled(handled: Handled, facts: object): void {
    const { log } = this.#deps
    if (handled.kind === 'stored') log.debug(facts, 'a message became an event')
    else if (handled.kind === 'postponed') log.error({ ...facts, ...handled }, 'a message cannot be delivered')
    else log.error({ ...facts, ...handled, poison: this.#handling.poison?.name }, 'a message went to the poison queue')
  }

  /** From now on what is held is finished, or, towards the end of the time, given back. */
  #limitDrain(): Cancel[] {
    const { clock, drainMs = DRAIN_MS } = this.#deps
    const giveBackMs = Math.min(GIVE_BACK_MAX_MS, drainMs * GIVE_BACK_PART)
    const tooLate = new Error('the adapter stops')
    const abandon = () => {
      this.#tooLate = tooLate
      for (const lease of this.#leases) lease.abandon(tooLate)
    }
    return [clock.after(drainMs - giveBackMs, abandon), clock.after(drainMs, () => this.#end.abort(tooLate))]
  }

  #tell(news: { readonly pollError?: string | undefined; readonly messageError?: string }): void {
    if ('pollError' in news) this.#pollError = news.pollError
    if (news.messageError !== undefined) this.#messageError = news.messageError
    this.#deps.report({
      ready: this.#ready,
      error: this.#pollError ?? this.#messageError,
      held: this.#leases.size,
      emitted: this.#emitted,
    })
  }
}

/** A queue that holds poison has no poison queue of its own, and neither has one whose name is too long to add to. */
function poisonOf(queue: StorageQueue, spec: AzureStorageQueueSourceResource['spec']): StorageQueue | undefined {
  const name = spec.poison.queueName ?? `${queue.name}-poison`
  if (spec.poison.disabled || name === queue.name || name.length > NAME_MAX) return undefined
  if (spec.poison.queueName === undefined && queue.name.endsWith('-poison')) return undefined
  return queue.sibling(name)
}

function postponedWords(handled: { readonly reason: string; readonly delayMs: number }, message: QueueMessage): string {
  return `message ${message.id} cannot be delivered (${handled.reason}) and there is no poison queue; it is tried again`
}
