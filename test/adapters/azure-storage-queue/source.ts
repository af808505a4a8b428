import assert from 'node:assert/strict'
import type { EmitInOrder } from '../../../adapters/adapter.ts'
import type { AzureStorageQueueSourceResource } from '../../../crds/azure-storage-queue-source.ts'

type Spec = AzureStorageQueueSourceResource['spec']

/** A source with the defaults of its kind, and `changes` on top. */
export function sourceOf(changes: Partial<Spec> = {}): AzureStorageQueueSourceResource {
  return {
    apiVersion: 'sources.weir.dev/v1alpha1',
    kind: 'AzureStorageQueueSource',
    metadata: { name: 'orders', namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'test.yaml', line: 1, column: 1 },
    spec: {
      queueName: 'orders',
      endpointSuffix: 'core.windows.net',
      auth: { connectionString: { secretKeyRef: { name: 'storage', key: 'connectionString' } } },
      encoding: 'auto',
      payload: 'auto',
      visibilityTimeoutMs: 30_000,
      maxDequeueCount: 5,
      poison: { disabled: false },
      parallelism: 16,
      pollInterval: { minMs: 100, maxMs: 10_000 },
      sink: { uri: 'http://127.0.0.1/' },
      extensions: {},
      ...changes,
    },
  }
}

/** A queue has no order, and its adapter does not ask for one. */
export const neverInOrder: EmitInOrder = () => assert.fail('a queue has no order')
