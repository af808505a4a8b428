import type { Clock } from '../../runtime/clock.ts'
import type { BacklogReader } from '../backlog.ts'
import { TroubleError } from '../trouble.ts'
import type { RabbitAccess } from './access.ts'
import { type Link, openLink } from './link.ts'
import { type QueueCounts, readQueueCounts, readQueueDetails } from './management.ts'
import type { Trouble } from './outcome.ts'
import { seeQueue } from './topology.ts'

/** The messages of a RabbitMQ queue. */
export interface RabbitBacklog {
  readonly system: 'rabbitmq'
  readonly access: RabbitAccess
  readonly queue: string
  /**
   * `amqp` sees at once what waits, and nothing of what consumers hold. `http`, the management API, sees both, up to 5 s
   * late. `both` takes the larger: what waits at once, with what is held where the management API can be reached.
   */
  readonly protocol: 'amqp' | 'http' | 'both'
  /** `ready` leaves out what consumers hold. `rate` is messages that come in per second, only with `http`. */
  readonly what: 'all' | 'ready' | 'rate'
}

/** A management API that could not be read is not asked again for this long, where there is another way. */
const REST_MS = 60_000

/** Counts as KEDA's rabbitmq scaler does, `both` apart. */
export function openRabbitBacklog(query: RabbitBacklog, clock: Clock): BacklogReader {
  return new Reader(query, clock)
}

class Reader implements BacklogReader {
  readonly #query: RabbitBacklog
  readonly #clock: Clock
  #link: Link | undefined
  #restUntilMs = 0

  constructor(query: RabbitBacklog, clock: Clock) {
    this.#query = query
    this.#clock = clock
  }

  async count(signal: AbortSignal): Promise<number> {
    const { protocol, what } = this.#query
    if (what === 'rate') return this.#rate(signal)
    if (protocol === 'amqp') return this.#ready(signal)
    if (protocol === 'http') return countIn(known(await this.#counts(signal)), what)
    const ready = await this.#ready(signal)
    if (this.#clock.monotonicMs() < this.#restUntilMs) return ready
    const counts = await this.#counts(signal)
    if (counts.kind === 'counts') return Math.max(ready, countIn(counts, what))
    this.#restUntilMs = this.#clock.monotonicMs() + REST_MS
    return ready
  }

  async close(): Promise<void> {
    const link = this.#link
    this.#link = undefined
    await link?.close()
  }

  #counts(signal: AbortSignal): Promise<QueueCounts | Trouble> {
    return readQueueCounts(this.#query.access, this.#query.queue, this.#clock, signal)
  }

  /** Messages that wait count as one a second where nothing comes in: somebody has to take them. */
  async #rate(signal: AbortSignal): Promise<number> {
    const { access, queue } = this.#query
    const { publishRate = 0 } = known(await readQueueDetails(access, queue, this.#clock, signal))
    if (publishRate >= 1) return publishRate
    const waiting = countIn(known(await this.#counts(signal)), 'all')
    return Math.max(publishRate, Math.min(waiting, 1))
  }

  async #ready(signal: AbortSignal): Promise<number> {
    const link = await this.#linked(signal)
    const seen = known(await link.call(() => seeQueue(link, this.#query.queue), signal))
    return seen.ready
  }

  /** One connection for all counts, as long as it lasts. */
  async #linked(signal: AbortSignal): Promise<Link> {
    if (this.#link !== undefined) return this.#link
    const link = known(await openLink(this.#query.access, this.#clock, signal))
    this.#link = link
    void link.ended.then(() => {
      if (this.#link === link) this.#link = undefined
    })
    return link
  }
}

function countIn({ ready, unacknowledged }: QueueCounts, what: 'all' | 'ready'): number {
  return what === 'ready' ? ready : ready + unacknowledged
}

/** Unknown is not zero. */
function known<T extends { readonly kind: string }>(answer: T | Trouble): T {
  if (isTrouble(answer)) throw new TroubleError(answer)
  return answer
}

function isTrouble(answer: { readonly kind: string }): answer is Trouble {
  return answer.kind === 'trouble'
}
