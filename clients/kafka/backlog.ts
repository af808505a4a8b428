import type { Clock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import type { BacklogReader } from '../backlog.ts'
import { trouble } from '../trouble.ts'
import type { KafkaAccess } from './access.ts'
import { countLag, type LagRules } from './lag.ts'
import { KafkaError, type Trouble } from './outcome.ts'
import { type Lookout, openLookout, type Positions } from './positions.ts'

/** What a consumer group has still to read. */
export interface KafkaBacklog extends LagRules {
  readonly system: 'kafka'
  readonly access: KafkaAccess
  readonly group: string
  /** Empty: all those in which the group has read something. */
  readonly topics: readonly string[]
}

/** Counts as KEDA's kafka scaler does, but for what would count records that nobody can read any more. */
export function openKafkaBacklog(query: KafkaBacklog, clock: Clock): BacklogReader {
  return new Reader(query, clock)
}

class Reader implements BacklogReader {
  readonly #query: KafkaBacklog
  readonly #clock: Clock
  #lookout: Promise<Lookout> | undefined
  #last: Positions | undefined

  constructor(query: KafkaBacklog, clock: Clock) {
    this.#query = query
    this.#clock = clock
  }

  async count(signal: AbortSignal): Promise<number> {
    // What goes wrong is thrown, so that the client's own log would only say it again.
    this.#lookout ??= openLookout(this.#query.access, { log: silentLog }, this.#clock)
    const lookout = await this.#lookout
    const positions = known(await this.#read(lookout, signal))
    const count = countLag(positions.partitions, this.#last?.partitions, this.#query)
    this.#last = positions
    return count
  }

  async close(): Promise<void> {
    const lookout = await this.#lookout
    this.#lookout = undefined
    await lookout?.close()
  }

  async #read(lookout: Lookout, signal: AbortSignal): Promise<Positions | Trouble> {
    const { group, topics: given } = this.#query
    const there = await lookout.topics(signal)
    if (there.kind === 'trouble') return there
    if (given.length === 0) {
      const read = await lookout.topicsOf(group, signal)
      if (read.kind === 'trouble') return read
      return lookout.positions(
        group,
        [...read.names].filter(name => there.names.has(name)),
        signal,
      )
    }
    const absent = given.find(topic => !there.names.has(topic))
    if (absent !== undefined) return trouble('missing', `the topic ${JSON.stringify(absent)} does not exist`)
    return lookout.positions(group, given, signal)
  }
}

/** Unknown is not zero. */
function known(answer: Positions | Trouble): Positions {
  if (answer.kind === 'trouble') throw new KafkaError(answer)
  return answer
}
