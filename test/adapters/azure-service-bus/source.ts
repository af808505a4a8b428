import type { AzureServiceBusSourceResource } from '../../../crds/azure-service-bus-source.ts'

type Spec = AzureServiceBusSourceResource['spec']

/** A source with the defaults of its kind, and `changes` on top. */
export function sourceOf(changes: Partial<Spec> = {}): AzureServiceBusSourceResource {
  return {
    apiVersion: 'sources.weir.dev/v1alpha1',
    kind: 'AzureServiceBusSource',
    metadata: { name: 'orders', namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'test.yaml', line: 1, column: 1 },
    spec: {
      ...(changes.topicName === undefined && { queueName: 'orders' }),
      auth: { connectionString: { secretKeyRef: { name: 'bus', key: 'connectionString' } } },
      sessions: { enabled: false, maxConcurrent: 8 },
      parallelism: 16,
      idFrom: 'sequenceNumber',
      onExhausted: 'deadLetter',
      payload: 'auto',
      sink: { uri: 'http://127.0.0.1/' },
      extensions: {},
      ...changes,
    },
  }
}
