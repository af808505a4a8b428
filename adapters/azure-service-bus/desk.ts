import type { Holder } from '../../clients/azure-service-bus/bus.ts'
import type { BusMessage } from '../../clients/azure-service-bus/message.ts'
import type { Trouble } from '../../clients/azure-service-bus/outcome.ts'
import type { AzureServiceBusSourceResource } from '../../crds/azure-service-bus-source.ts'
import type { Cancel } from '../../runtime/clock.ts'
import { type AdapterDeps, DRAIN_MS } from '../adapter.ts'
import { type HandleDeps, handle } from './handle.ts'
import { type Lock, LockLostError } from './lock.ts'

/** The end of a drain, kept for giving back what could not be finished: at most, and as a part of the whole. */
const GIVE_BACK_MAX_MS = 3_000
const GIVE_BACK_PART = 0.3

/** `failed`: the message comes again, now or when its lock is over. What follows it in order must not go before it. */
export type Finished = 'done' | 'failed'

/** What both ways of taking messages share: how one is finished, what is told of it, and when a drain is over. */
export class Desk {
  readonly #deps: AdapterDeps
  readonly #handling: HandleDeps
  readonly #locks = new Set<Lock>()
  /** Aborts at the very end of a drain: no call may last longer. */
  readonly #end = new AbortController()
  readonly #broken = new AbortController()
  #tooLate: Error | undefined
  #idle = Promise.withResolvers<void>()
  #cancels: readonly Cancel[] = []
  #ready = false
  #held = 0
  #emitted = 0
  #linkError: string | undefined
  /** Of a call that is made again: of no concern once the connection is known to be good, or nothing is held. */
  #callError: string | undefined
  #messageError: string | undefined

  constructor(url: string, source: AzureServiceBusSourceResource, deps: AdapterDeps) {
    const { clock, random, emit, emitInOrder } = deps
    this.#deps = deps
    this.#handling = {
      url,
      spec: source.spec,
      clock,
      random,
      emit,
      emitInOrder,
      onTaken: events => {
        this.#emitted += events
      },
      onTrouble: found => this.#tell({ callError: found.reason }),
    }
  }

  get lockDeps(): HandleDeps {
    return this.#handling
  }

  /** Aborts when a call may not last any longer. */
  get end(): AbortSignal {
    return this.#end.signal
  }

  /** Aborts with what is a mistake in this code. */
  get broken(): AbortSignal {
    return this.#broken.signal
  }

  /** Takes one message to its end under `lock`, which is the caller's to dispose. Never rejects. */
  async finish(message: BusMessage, lock: Lock, holder: Holder): Promise<Finished> {
    this.#locks.add(lock)
    this.#held++
    this.#tell({})
    const { maxLockRenewalMs } = this.#handling.spec
    const tooLong = new Error('it has been held for as long as maxLockRenewal allows')
    const cancel =
      maxLockRenewalMs === undefined ? () => {} : this.#deps.clock.after(maxLockRenewalMs, () => lock.abandon(tooLong))
    if (this.#tooLate !== undefined) lock.abandon(this.#tooLate)
    try {
      return await this.#handle(message, lock, holder)
    } finally {
      cancel()
      this.#locks.delete(lock)
      this.#held--
      if (this.#held === 0) {
        this.#callError = undefined
        this.#idle.resolve()
      }
      this.#tell({})
    }
  }

  async #handle(message: BusMessage, lock: Lock, holder: Holder): Promise<Finished> {
    const { log } = this.#deps
    const facts = { source: this.#handling.url, message: message.sequence, deliveries: message.deliveries }
    try {
      const handled = await handle(message, lock, holder, this.#handling)
      this.#messageError = handled.kind === 'abandoned' ? wordsOf(message, handled.reason) : undefined
      if (handled.kind === 'taken') log.debug(facts, 'a message became an event')
      else if (handled.kind === 'dead') log.error({ ...facts, ...handled }, 'a message went to the dead-letter queue')
      else log.error({ ...facts, ...handled }, 'a message cannot be delivered')
      return handled.kind === 'abandoned' ? 'failed' : 'done'
    } catch (error) {
      if (!lock.signal.aborted || error !== lock.signal.reason) {
        this.#broken.abort(error)
        return 'failed'
      }
      if (error instanceof LockLostError) {
        log.warn({ ...facts, reason: error.message }, 'a message was lost while it was held')
        return 'failed'
      }
      await holder.abandon(message, this.#end.signal).catch(() => {})
      log.warn({ ...facts, reason: String(error) }, 'a message was given back unfinished')
      return 'failed'
    }
  }

  /** Resolves when nothing is held any more. */
  async idle(): Promise<void> {
    while (this.#held > 0) {
      this.#idle = Promise.withResolvers()
      await this.#idle.promise
    }
    for (const cancel of this.#cancels) cancel()
  }

  /** From now on what is held is finished, or, towards the end of the time, given back. */
  limitDrain(): void {
    const { clock, drainMs = DRAIN_MS } = this.#deps
    const giveBackMs = Math.min(GIVE_BACK_MAX_MS, drainMs * GIVE_BACK_PART)
    const tooLate = new Error('the adapter stops')
    const abandon = () => {
      this.#tooLate = tooLate
      for (const lock of this.#locks) lock.abandon(tooLate)
    }
    this.#cancels = [clock.after(drainMs - giveBackMs, abandon), clock.after(drainMs, () => this.#end.abort(tooLate))]
  }

  /** Messages can come. */
  open(): void {
    this.#ready = true
    this.#tell({ linkError: undefined, callError: undefined })
  }

  trouble(found: Trouble): void {
    if (this.#linkError !== found.reason) {
      this.#deps.log.warn({ source: this.#handling.url, reason: found.reason }, 'no messages can be received')
    }
    this.#tell({ linkError: found.reason })
  }

  #tell(news: { readonly linkError?: string | undefined; readonly callError?: string | undefined }): void {
    if ('linkError' in news) this.#linkError = news.linkError
    if ('callError' in news) this.#callError = news.callError
    this.#deps.report({
      ready: this.#ready,
      error: this.#linkError ?? this.#callError ?? this.#messageError,
      held: this.#held,
      emitted: this.#emitted,
    })
  }
}

function wordsOf(message: BusMessage, reason: string): string {
  return `message ${message.sequence} cannot be delivered (${reason}); it comes again`
}
