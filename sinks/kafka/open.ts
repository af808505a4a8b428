import { kafkaAccessOfSecret } from '../../clients/kafka/access.ts'
import { type KafkaOut, openKafkaOut } from '../../clients/kafka/out.ts'
import type { KafkaSinkResource } from '../../crds/kafka-sink.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { EventSink, OpenSink, Sent } from '../sink.ts'
import { toRecord } from './to-record.ts'

/**
 * Events become records of a topic, which is made where it is missing. An event is sent when all replicas in sync have it.
 * Those that come at once go together.
 * @throws {KafkaAccessError} where the credentials cannot be right.
 */
export const openKafkaSink: OpenSink<KafkaSinkResource> = async ({ resource, credentials }, { clock, log }) => {
  const { bootstrapServers, topic, numPartitions, replicationFactor, contentMode } = resource.spec
  const access = kafkaAccessOfSecret(bootstrapServers, credentials)
  const options = { topic, partitions: numPartitions, replicas: replicationFactor }
  return new Sink(contentMode, openKafkaOut(access, options, clock, log))
}

class Sink implements EventSink {
  readonly #contentMode: 'binary' | 'structured'
  readonly #out: KafkaOut

  constructor(contentMode: 'binary' | 'structured', out: KafkaOut) {
    this.#contentMode = contentMode
    this.#out = out
  }

  async send(event: CloudEvent, signal: AbortSignal): Promise<Sent> {
    const produced = await this.#out.produce(toRecord(event, this.#contentMode), signal)
    switch (produced.kind) {
      case 'stored':
        return { kind: 'sent' }
      case 'unfit':
        return { kind: 'refused', reason: produced.reason }
      case 'trouble':
        return { kind: 'again', reason: produced.reason }
      default:
        return produced satisfies never
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#out[Symbol.asyncDispose]()
  }
}
