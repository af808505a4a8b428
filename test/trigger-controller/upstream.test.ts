import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AzureStorageQueueSourceResource } from '../../crds/azure-storage-queue-source.ts'
import { upstreamOfSource } from '../../trigger-controller/upstream.ts'
import { queueSource } from '../support/world-resources.ts'

type Spec = Partial<AzureStorageQueueSourceResource['spec']>
const key = { accountKey: { secretKeyRef: { name: 's', key: 'k' } } }
const text = { connectionString: { secretKeyRef: { name: 's', key: 'k' } } }

function access(spec: Spec, value: string | undefined = 'secret') {
  const source = queueSource('orders')
  const { queueName: _, ...rest } = source.spec
  return upstreamOfSource({ ...source, spec: { ...rest, ...spec } }, () => value)
}

const found: readonly [title: string, spec: Spec, expected: object][] = [
  ['a connection string and a name', { auth: text, queueName: 'q' }, { connectionString: 'secret', queueName: 'q' }],
  [
    'a connection string and an address that ends in the name',
    { auth: text, queueUrl: 'http://127.0.0.1:10001/devstoreaccount1/q' },
    { connectionString: 'secret', queueName: 'q' },
  ],
  [
    'an account, a name and a key',
    { auth: key, accountName: 'shop', queueName: 'q', endpointSuffix: 'core.windows.net' },
    { queueUrl: 'https://shop.queue.core.windows.net/q', accountName: 'shop', accountKey: 'secret' },
  ],
  [
    'an address and a key',
    { auth: key, queueUrl: 'https://shop.queue.core.windows.net/q' },
    { queueUrl: 'https://shop.queue.core.windows.net/q', accountName: 'shop', accountKey: 'secret' },
  ],
  [
    'an address that carries its own signature',
    { auth: {}, queueUrl: 'https://shop.queue.core.windows.net/q?sv=1&sig=2' },
    { queueUrl: 'https://shop.queue.core.windows.net/q?sv=1&sig=2' },
  ],
  [
    'an address with the account in its path, as emulators have it',
    { auth: key, queueUrl: 'http://127.0.0.1:10001/devstoreaccount1/q' },
    { queueUrl: 'http://127.0.0.1:10001/devstoreaccount1/q', accountName: 'devstoreaccount1', accountKey: 'secret' },
  ],
]
for (const [title, spec, expected] of found) {
  test(`a source is reached by ${title}`, () => {
    const result = access(spec)
    assert.deepEqual(
      result.kind === 'known' && result.backlog?.system === 'azure-queue' && result.backlog.access,
      expected,
    )
  })
}

test('what is missing is said without the secret', () => {
  const reason = (spec: Spec, value?: string) => {
    const result = access(spec, value)
    return result.kind === 'missing' ? result.reason : 'nothing'
  }
  assert.match(reason({ auth: {} }), /names no connectionString/)
  assert.match(reason({ auth: text }), /queueName is not set/)
  assert.match(reason({ auth: key, queueName: 'q' }), /accountName/)
  assert.match(reason({ auth: text, queueName: 'q' }, ''), /Secret shop\/s has no key "k"/)
})
