import type { RabbitmqSourceResource } from '../../../crds/rabbitmq-source.ts'

type Resources = RabbitmqSourceResource['spec']['rabbitmqResourcesConfig']

/** A source of a queue that is there already, with the defaults of its kind, and `changes` on top. */
export function sourceOf(queueName: string, changes: Partial<Resources> = {}): RabbitmqSourceResource {
  return {
    apiVersion: 'sources.knative.dev/v1alpha1',
    kind: 'RabbitmqSource',
    metadata: { name: 'orders', namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'test.yaml', line: 1, column: 1 },
    spec: {
      rabbitmqClusterReference: { connectionSecret: 'rabbit' },
      rabbitmqResourcesConfig: { queueName, predeclared: true, parallelism: 1, ...changes },
      sink: { uri: 'http://127.0.0.1/' },
      extensions: {},
    },
  }
}
