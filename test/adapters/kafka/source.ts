import type { KafkaSourceResource } from '../../../crds/kafka-source.ts'

/** A source of one topic, with the defaults of its kind but from the earliest record, and `changes` on top. */
export function sourceOf(
  broker: string,
  topic: string,
  changes: Partial<KafkaSourceResource['spec']> = {},
): KafkaSourceResource {
  return {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'KafkaSource',
    metadata: { name: topic, namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'test.yaml', line: 1, column: 1 },
    spec: {
      bootstrapServers: [broker],
      topics: [topic],
      consumers: 1,
      initialOffset: 'earliest',
      ordering: 'ordered',
      net: {},
      keyType: 'string',
      sink: { uri: 'http://127.0.0.1/' },
      extensions: {},
      ...changes,
    },
  }
}
