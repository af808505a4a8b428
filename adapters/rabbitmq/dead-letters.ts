import type { RabbitAccess } from '../../clients/rabbitmq/access.ts'
import { leadsSomewhere, readQueueDetails } from '../../clients/rabbitmq/management.ts'
import type { Clock } from '../../runtime/clock.ts'

/** Whether a queue keeps what is rejected, as far as it can be known: over AMQP it cannot. */
export type DeadLetters =
  | { readonly kind: 'kept' }
  /** Rejecting a message would lose it, or nobody knows; why, in words. */
  | { readonly kind: 'lost'; readonly reason: string }

/** What was found out is believed for this long: somebody may mend it while messages wait. */
const BELIEVED_MS = 10_000

/** Asks the management API, and not for every message. */
export class DeadLetterExchange {
  readonly #access: RabbitAccess
  readonly #queue: string
  readonly #clock: Clock
  #found: Promise<DeadLetters> | undefined
  #untilMs = 0

  constructor(access: RabbitAccess, queue: string, clock: Clock) {
    this.#access = access
    this.#queue = queue
    this.#clock = clock
  }

  /** @throws the signal's reason. */
  async look(signal: AbortSignal): Promise<DeadLetters> {
    const nowMs = this.#clock.monotonicMs()
    if (this.#found === undefined || nowMs >= this.#untilMs) {
      this.#untilMs = nowMs + BELIEVED_MS
      this.#found = this.#ask(signal)
      this.#found.catch(() => {
        this.#found = undefined
      })
    }
    return this.#found
  }

  async #ask(signal: AbortSignal): Promise<DeadLetters> {
    const details = await readQueueDetails(this.#access, this.#queue, this.#clock, signal)
    if (details.kind === 'trouble') return lost(`whether the queue keeps dead letters is unknown (${details.reason})`)
    const { deadLetter } = details
    if (deadLetter === undefined) return lost('the queue has no dead-letter exchange')
    const leads = await leadsSomewhere(this.#access, deadLetter, this.#queue, this.#clock, signal)
    if (leads === true) return { kind: 'kept' }
    if (leads === false)
      return lost(`the queue's dead-letter exchange ${JSON.stringify(deadLetter.exchange)} leads to no queue`)
    return lost(`whether the queue's dead-letter exchange leads to a queue is unknown (${leads.reason})`)
  }
}

function lost(reason: string): DeadLetters {
  return { kind: 'lost', reason }
}
