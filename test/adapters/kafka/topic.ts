import type { AdapterJob } from '../../../adapters/registry.ts'
import { consumerGroupOf, type KafkaSourceResource } from '../../../crds/kafka-source.ts'
import type { Upstream } from '../../conformance/adapter.ts'
import { type KafkaServer, openHands, openTopic, uniqueTopic } from '../../servers/kafka.ts'
import { sourceOf } from './source.ts'

/** One topic of a real server, as the promises of adapters ask for it. */
export class TestTopic implements Upstream {
  readonly name = uniqueTopic()
  readonly aside = undefined
  readonly steal = undefined
  readonly crash: Upstream['crash']
  readonly server: KafkaServer
  readonly #partitions: number
  readonly #config: Readonly<Record<string, string>>
  readonly #changes: Partial<KafkaSourceResource['spec']>
  #messages = 0

  constructor(
    server: KafkaServer,
    settings: {
      readonly partitions?: number
      /** Of the topic. */
      readonly config?: Readonly<Record<string, string>>
      readonly changes?: Partial<KafkaSourceResource['spec']>
      readonly crash?: Upstream['crash']
    } = {},
  ) {
    this.server = server
    this.#partitions = settings.partitions ?? 2
    this.#config = settings.config ?? {}
    this.#changes = settings.changes ?? {}
    this.crash = settings.crash
  }

  get source(): KafkaSourceResource {
    return sourceOf(this.server.broker, this.name, this.#changes)
  }

  async make(): Promise<void> {
    await using hands = await openHands(this.server.broker)
    const configEntries = Object.entries(this.#config).map(([name, value]) => ({ name, value }))
    await openTopic(hands, { topic: this.name, numPartitions: this.#partitions, configEntries })
  }

  async remove(): Promise<void> {
    await using hands = await openHands(this.server.broker)
    await hands.admin.deleteTopics({ topics: [this.name] })
  }

  async put(texts: readonly string[]): Promise<string[]> {
    await using hands = await openHands(this.server.broker)
    const messages = texts.map(value => ({ value, partition: this.#messages++ % this.#partitions }))
    // One after the other where they are few: the ids follow from the offsets, which are told per partition.
    const next = new Map<number, bigint>()
    const sent = await hands.producer.send({ topic: this.name, messages })
    for (const { partition, baseOffset } of sent) next.set(partition, BigInt(baseOffset ?? 0))
    return messages.map(({ partition }) => {
      const offset = next.get(partition) ?? 0n
      next.set(partition, offset + 1n)
      return `partition:${partition}/offset:${offset}`
    })
  }

  job(sinkUrl: string, deadLetterUrl?: string): AdapterJob {
    return {
      source: this.source,
      credentials: {},
      sink: { url: sinkUrl, takesBatches: false },
      deadLetterSink: deadLetterUrl === undefined ? undefined : { url: deadLetterUrl },
    }
  }

  /** What the group has still to commit. */
  async owed(): Promise<number> {
    await using hands = await openHands(this.server.broker)
    const ends = await hands.admin.fetchTopicOffsets(this.name)
    const groupId = consumerGroupOf(this.source)
    const [read] = await hands.admin.fetchOffsets({ groupId, topics: [this.name] })
    const committed = new Map(read?.partitions.map(({ partition, offset }) => [partition, Math.max(0, Number(offset))]))
    return ends.reduce((sum, { partition, high }) => sum + Number(high) - (committed.get(partition) ?? 0), 0)
  }
}
