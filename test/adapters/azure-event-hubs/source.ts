import type { AzureEventHubsSourceResource } from '../../../crds/azure-event-hubs-source.ts'

type Spec = AzureEventHubsSourceResource['spec']

/** A source with the defaults of its kind, and `changes` on top. */
export function sourceOf(changes: Partial<Spec> = {}): AzureEventHubsSourceResource {
  return {
    apiVersion: 'sources.weir.dev/v1alpha1',
    kind: 'AzureEventHubsSource',
    metadata: { name: 'orders', namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'test.yaml', line: 1, column: 1 },
    spec: {
      eventHubName: 'orders',
      consumerGroup: '$Default',
      auth: { connectionString: { secretKeyRef: { name: 'hub', key: 'connectionString' } } },
      initialPosition: { kind: 'earliest' },
      checkpoint: {
        containerName: 'checkpoints',
        auth: { connectionString: { secretKeyRef: { name: 'storage', key: 'connectionString' } } },
        intervalMs: 1_000,
      },
      ownershipTimeoutMs: 30_000,
      payload: 'auto',
      sink: { uri: 'http://127.0.0.1/' },
      extensions: {},
      ...changes,
    },
  }
}
