import type { RabbitDelivery } from '../../clients/rabbitmq/consumer.ts'
import type { Trouble } from '../../clients/rabbitmq/outcome.ts'
import type { Cancel } from '../../runtime/clock.ts'
import { type AdapterDeps, DRAIN_MS } from '../adapter.ts'
import type { DeadLetterExchange } from './dead-letters.ts'
import { giveBack, type Handled, handle } from './handle.ts'
import { Terms } from './terms.ts'
import { type FromQueue, toEvent } from './to-event.ts'

/** The end of a drain, kept for giving back what could not be finished: at most, and as a part of the whole. */
const GIVE_BACK_MAX_MS = 2_000
const GIVE_BACK_PART = 0.2

export interface DeliveriesOptions {
  /** For the log. */
  readonly queue: string
  readonly from: FromQueue
  readonly deadLetters: Pick<DeadLetterExchange, 'look'>
}

interface Held {
  readonly session: AbortSignal
  /** Why nobody takes its event, while that is so. */
  refused: string | undefined
}

/** Every message that is held, over all connections, and what is told of them. */
export class Deliveries {
  readonly #options: DeliveriesOptions
  readonly #deps: AdapterDeps
  readonly #held = new Set<Held>()
  /** Those of them that nobody takes. */
  readonly #refused = new Set<Held>()
  readonly #terms = new WeakMap<AbortSignal, Terms>()
  readonly #broken = new AbortController()
  /** Aborts when a drain has no time left to finish anything. */
  readonly #tooLate = new AbortController()
  #changed = Promise.withResolvers<void>()
  #cancel: Cancel = () => {}
  #ready = false
  #emitted = 0
  #connectionError: string | undefined

  constructor(options: DeliveriesOptions, deps: AdapterDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** Aborts for what should not happen: a mistake in this code. */
  get broken(): AbortSignal {
    return this.#broken.signal
  }

  /** From now on what is held is finished, or, towards the end of the time, given back. Called once, when the adapter is to stop. */
  limitDrain(): void {
    const { clock, drainMs = DRAIN_MS } = this.#deps
    const giveBackMs = Math.min(GIVE_BACK_MAX_MS, drainMs * GIVE_BACK_PART)
    this.#cancel = clock.after(drainMs - giveBackMs, () => {
      this.#tooLate.abort(new Error('the adapter stops'))
      this.#wake()
    })
  }

  /** Takes one message to its end. `session` aborts when the connection that brought it is lost. */
  take(delivery: RabbitDelivery, session: AbortSignal): void {
    const held: Held = { session, refused: undefined }
    this.#held.add(held)
    this.#tell()
    void this.#finish(delivery, held).then(() => {
      this.#held.delete(held)
      this.#refused.delete(held)
      this.#tell()
      this.#wake()
    })
  }

  /** Waits until nothing of `session`, or of any, is held. */
  async settled(session?: AbortSignal): Promise<void> {
    const isHeld = () => [...this.#held].some(held => session === undefined || held.session === session)
    while (isHeld()) await this.#changed.promise
    if (session === undefined) this.#cancel()
  }

  /** Waits for `work`, and not for longer than a drain has. */
  async orTooLate(work: Promise<void>): Promise<void> {
    let over = false
    void work.then(() => {
      over = true
      this.#wake()
    })
    while (!over && !this.#tooLate.signal.aborted) await this.#changed.promise
  }

  tellConnection(found: Trouble | undefined): void {
    this.#connectionError = found?.reason
    // While the connection is away messages wait; those of a queue that is not there do not.
    if (found === undefined) this.#ready = true
    else if (found.what === 'missing') this.#ready = false
    this.#tell()
  }

  /** Wakes everybody who waits for a change. */
  #wake(): void {
    const { resolve } = this.#changed
    this.#changed = Promise.withResolvers()
    resolve()
  }

  /** Never rejects: what should not happen ends the adapter, and the message comes again. */
  async #finish(delivery: RabbitDelivery, held: Held): Promise<void> {
    const { queue, from, deadLetters } = this.#options
    const { emit, clock, random, log } = this.#deps
    const event = toEvent(delivery, from)
    const facts = { queue, event: event.attributes.id, redelivered: delivery.redelivered }
    const deps = {
      ...{ emit, clock, random, deadLetters },
      onTaken: () => {
        this.#emitted++
      },
      onHeld: (refused: { readonly reason: string }, why: string) => {
        held.refused = heldWords(event.attributes.id, refused.reason, why)
        this.#refused.add(held)
        log.error({ ...facts, reason: refused.reason, why }, 'a message cannot be delivered and is held')
        this.#tell()
      },
    }
    try {
      this.#logHandled(await handle(delivery, event, deps, this.#termsOf(held.session).signal()), facts)
    } catch (error) {
      if (held.session.aborted) return log.debug(facts, 'a message was held when its connection was lost')
      if (!this.#tooLate.signal.aborted) return this.#broken.abort(error)
      await giveBack(delivery, event, clock)
      log.warn(facts, 'a message was given back unfinished')
    }
  }

  #termsOf(session: AbortSignal): Terms {
    const known = this.#terms.get(session)
    if (known !== undefined) return known
    const terms = new Terms(this.#deps.clock, [session, this.#tooLate.signal])
    this.#terms.set(session, terms)
    return terms
  }

  #logHandled(handled: Handled, facts: object): void {
    const { log } = this.#deps
    if (handled.kind === 'acknowledged') log.debug(facts, 'a message became an event')
    else if (handled.kind === 'rejected')
      log.error({ ...facts, ...handled }, 'a message went to the dead-letter exchange')
    else log.warn({ ...facts, ...handled }, 'a message was held for as long as it may be and went back to its queue')
  }

  #tell(): void {
    const [refused] = this.#refused
    this.#deps.report({
      ready: this.#ready,
      error: this.#connectionError ?? refused?.refused,
      held: this.#held.size,
      emitted: this.#emitted,
    })
  }
}

function heldWords(id: string | undefined, reason: string, why: string): string {
  const mend = 'give the source a dead-letter sink, or the queue a dead-letter exchange'
  return `message ${id} is refused (${reason}) and ${why}: it is held and offered again; ${mend}`
}
