import type { Admin } from 'kafkajs'
import type { Clock } from '../../runtime/clock.ts'
import type { KafkaAccess } from './access.ts'
import { type ClientDeps, call, endWithin, type KafkaClient, openKafka } from './client.ts'
import type { Trouble } from './outcome.ts'

/** One partition, as the brokers see it and a group reads it. */
export interface PartitionPosition {
  readonly topic: string
  readonly partition: number
  /** The first offset that is still there, and the one that the next record gets. */
  readonly low: bigint
  readonly high: bigint
  /** The next offset that the group reads; undefined where it has read nothing yet. */
  readonly committed: bigint | undefined
}

export interface Positions {
  readonly kind: 'positions'
  readonly partitions: readonly PartitionPosition[]
}

export interface Topics {
  readonly kind: 'topics'
  readonly names: ReadonlySet<string>
}

/** Looks at topics and groups over a connection of its own. Changes nothing, makes no topic. */
export interface Lookout {
  /** The topics there are. @throws the signal's reason, as the others do. */
  topics(signal: AbortSignal): Promise<Topics | Trouble>
  /** All partitions of `topics`, which exist. */
  positions(group: string, topics: readonly string[], signal: AbortSignal): Promise<Positions | Trouble>
  /** The topics in which `group` has read something. */
  topicsOf(group: string, signal: AbortSignal): Promise<Topics | Trouble>
  /** Never rejects. */
  close(): Promise<void>
}

export async function openLookout(access: KafkaAccess, deps: ClientDeps, clock: Clock): Promise<Lookout> {
  return new AdminLookout(await openKafka(access, deps), clock)
}

class AdminLookout implements Lookout {
  readonly #client: KafkaClient
  readonly #clock: Clock
  readonly #admin: Admin
  #connected: Promise<void> | undefined

  constructor(client: KafkaClient, clock: Clock) {
    this.#client = client
    this.#clock = clock
    this.#admin = client.kafka.admin()
  }

  topics(signal: AbortSignal): Promise<Topics | Trouble> {
    return this.#call(async admin => ({ kind: 'topics', names: new Set(await admin.listTopics()) }), signal)
  }

  positions(group: string, topics: readonly string[], signal: AbortSignal): Promise<Positions | Trouble> {
    return this.#call(async admin => {
      // Committed offsets first: what is committed later is no more than the end that is read after it.
      const committed = await committedIn(admin, group, topics)
      const partitions = await Promise.all(topics.map(topic => partitionsOf(admin, topic, committed)))
      return { kind: 'positions', partitions: partitions.flat() }
    }, signal)
  }

  topicsOf(group: string, signal: AbortSignal): Promise<Topics | Trouble> {
    return this.#call(async admin => {
      const all = await admin.fetchOffsets({ groupId: group })
      const read = all.filter(({ partitions }) => partitions.some(({ offset }) => offsetOf(offset) !== undefined))
      return { kind: 'topics', names: new Set(read.map(({ topic }) => topic)) }
    }, signal)
  }

  async close(): Promise<void> {
    await endWithin(this.#admin.disconnect(), this.#clock)
    this.#client.cut()
  }

  #call<T>(work: (admin: Admin) => Promise<T>, signal: AbortSignal): Promise<T | Trouble> {
    return call(
      this.#client.where,
      async () => {
        await this.#connect()
        return work(this.#admin)
      },
      this.#clock,
      signal,
    )
  }

  /** One connection for everybody who asks at once. */
  #connect(): Promise<void> {
    this.#connected ??= this.#admin.connect().catch(error => {
      this.#connected = undefined
      throw error
    })
    return this.#connected
  }
}

async function committedIn(admin: Admin, group: string, topics: readonly string[]): Promise<Map<string, bigint>> {
  const found = new Map<string, bigint>()
  if (topics.length === 0) return found
  for (const { topic, partitions } of await admin.fetchOffsets({ groupId: group, topics: [...topics] }))
    for (const { partition, offset } of partitions) {
      const at = offsetOf(offset)
      if (at !== undefined) found.set(`${topic}/${partition}`, at)
    }
  return found
}

async function partitionsOf(
  admin: Admin,
  topic: string,
  committed: ReadonlyMap<string, bigint>,
): Promise<PartitionPosition[]> {
  const offsets = await admin.fetchTopicOffsets(topic)
  return offsets.map(({ partition, low, high }) => ({
    topic,
    partition,
    low: BigInt(low),
    high: BigInt(high),
    committed: committed.get(`${topic}/${partition}`),
  }))
}

/** Negative ones stand for none (-1), and for the earliest (-2), which is the same to a group that begins there. */
function offsetOf(text: string): bigint | undefined {
  const offset = BigInt(text)
  return offset < 0n ? undefined : offset
}
