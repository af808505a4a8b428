import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'

function source(spec: string) {
  const text = `apiVersion: sources.weir.dev/v1alpha1\nkind: AzureStorageQueueSource\nmetadata: {name: q, namespace: ns}\nspec: ${spec}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  return { resource: resources[0], mistakes: mistakes.map(one => one.message) }
}

const AUTH = 'auth: {connectionString: {secretKeyRef: {name: s, key: k}}}'
const SINK = 'sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}'

test('a source has sensible defaults', () => {
  const { resource, mistakes } = source(`{queueName: js-queue-items, ${AUTH}, ${SINK}}`)
  assert.deepEqual(mistakes, [])
  assert.ok(resource?.kind === 'AzureStorageQueueSource')
  assert.deepEqual(resource.spec, {
    queueName: 'js-queue-items',
    endpointSuffix: 'core.windows.net',
    auth: { connectionString: { secretKeyRef: { name: 's', key: 'k' } } },
    encoding: 'auto',
    payload: 'auto',
    visibilityTimeoutMs: 30_000,
    maxDequeueCount: 5,
    poison: { disabled: false },
    parallelism: 16,
    pollInterval: { minMs: 100, maxMs: 10_000 },
    sink: { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'default', namespace: 'ns' } },
    extensions: {},
  })
})

test('everything can be said', () => {
  const { resource, mistakes } = source(`
  queueUrl: http://127.0.0.1:10001/devstoreaccount1/items
  accountName: devstoreaccount1
  auth: {accountKey: {secretKeyRef: {name: s, key: k}}}
  encoding: base64
  visibilityTimeout: PT1M
  maxDequeueCount: 3
  poison: {queueName: bad, disabled: true}
  parallelism: 4
  pollInterval: {min: PT0.5S, max: PT20S}
  sink: {uri: http://127.0.0.1/x}
  ceOverrides: {extensions: {region: eu}}`)
  assert.deepEqual(mistakes, [])
  assert.ok(resource?.kind === 'AzureStorageQueueSource')
  assert.deepEqual(resource.spec.pollInterval, { minMs: 500, maxMs: 20_000 })
  assert.deepEqual(resource.spec.poison, { queueName: 'bad', disabled: true })
  assert.deepEqual(resource.spec.extensions, { region: 'eu' })
})

for (const [spec, mistake] of [
  [`{${AUTH}, ${SINK}}`, '`spec` needs `queueUrl` or `queueName`'],
  [
    `{queueName: abc, ${SINK}}`,
    '`spec.auth` needs `connectionString`, `accountKey` or `sasToken`, each with a `secretKeyRef`, or `workloadIdentity`',
  ],
  [
    `{queueName: a--b, ${AUTH}, ${SINK}}`,
    '`spec.queueName` must be 3 to 63 lower-case letters, digits and single dashes, not `a--b`',
  ],
  [
    `{queueName: abc, auth: {accountKey: {secretKeyRef: {name: s, key: k}}}, ${SINK}}`,
    '`spec.auth.accountKey` needs `spec.accountName` beside it',
  ],
  [
    `{queueName: abc, auth: {sasToken: x}, ${SINK}}`,
    '`spec.auth.sasToken` must not stand here in the open: put it in a Secret and name it by `secretKeyRef`',
  ],
  [
    `{queueName: abc, auth: {workloadIdentity: {clientId: x}}, ${SINK}}`,
    '`spec.auth.workloadIdentity` needs `spec.accountName` beside it',
  ],
  [
    `{queueName: abc, accountName: acme, auth: {workloadIdentity: {}, connectionString: {secretKeyRef: {name: s, key: k}}}, ${SINK}}`,
    'expected exactly one of `connectionString`, `accountKey`, `sasToken` and `workloadIdentity` in `spec.auth`, got `spec.auth.connectionString` and `spec.auth.workloadIdentity`',
  ],
  [
    `{queueName: abc, ${AUTH}, ${SINK}, payload: json}`,
    '`spec.payload` must be one of `auto`, `cloudevents`, `eventgrid`, `raw`, not `json`',
  ],
  [`{queueName: abc, ${AUTH}}`, 'missing field `spec.sink`'],
  [`{queueName: abc, ${AUTH}, ${SINK}, visibilityTimeout: PT0.5S}`, '`spec.visibilityTimeout` must be at least 1 s'],
  [`{queueName: abc, ${AUTH}, ${SINK}, visibilityTimeout: P8D}`, '`spec.visibilityTimeout` must be at most 604800 s'],
  [
    `{queueName: abc, ${AUTH}, ${SINK}, parallelism: 0}`,
    '`spec.parallelism` must be a whole number, from 1 to 1024, not 0',
  ],
  [
    `{queueName: abc, ${AUTH}, ${SINK}, ceOverrides: {extensions: {id: x}}}`,
    '`id` is set by the source and cannot be overridden',
  ],
  [
    `{queueName: abc, ${AUTH}, ${SINK}, ceOverrides: {extensions: {region: "a\\nb"}}}`,
    '`region` has a line break or another control character in its value',
  ],
  [
    `{queueUrl: "ftp://a/b", ${AUTH}, ${SINK}}`,
    '`spec.queueUrl` must be a queue\'s address, as in "https://account.queue.core.windows.net/queue", not "ftp://a/b"',
  ],
] as const) {
  test(`a source is refused: ${mistake}`, () => {
    const { mistakes } = source(spec)
    assert.ok(mistakes.includes(mistake), mistakes.join('\n'))
  })
}
