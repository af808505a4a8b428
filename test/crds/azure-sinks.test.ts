import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'
import { isSinkKind, isSinkReference, sinkSecretRefs } from '../../crds/sinks.ts'

const SECRET = '{secretKeyRef: {name: s, key: k}}'

function sink(kind: string, spec: string) {
  const text = `apiVersion: eventing.weir.dev/v1alpha1\nkind: ${kind}\nmetadata: {name: out}\nspec: ${spec}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  return { resource: resources[0], mistakes: mistakes.map(one => one.message) }
}

test('a sink of a hub is read, with its Secret', () => {
  const { resource, mistakes } = sink(
    'AzureEventHubsSink',
    `{eventHubName: orders, auth: {connectionString: ${SECRET}}}`,
  )
  assert.deepEqual(mistakes, [])
  assert.ok(resource?.kind === 'AzureEventHubsSink')
  assert.equal(resource.spec.contentMode, 'binary')
  assert.deepEqual(sinkSecretRefs(resource), { connectionString: { name: 's', key: 'k' } })
  assert.ok(isSinkKind(resource.kind) && isSinkReference(resource))
})

test('a sink of a queue writes whole events in base64 unless it is told otherwise', () => {
  const spec = `{accountName: acme, queueName: orders, auth: {accountKey: ${SECRET}}}`
  const { resource, mistakes } = sink('AzureStorageQueueSink', spec)
  assert.deepEqual(mistakes, [])
  assert.ok(resource?.kind === 'AzureStorageQueueSink')
  assert.deepEqual([resource.spec.encoding, resource.spec.payload], ['base64', 'cloudevents'])
  assert.deepEqual(sinkSecretRefs(resource), { accountKey: { name: 's', key: 'k' } })
})

for (const [kind, spec, mistake] of [
  [
    'AzureEventHubsSink',
    '{eventHubName: orders}',
    '`spec.auth` needs `connectionString`, `sasToken` or `workloadIdentity`',
  ],
  [
    'AzureEventHubsSink',
    `{eventHubName: orders, auth: {connectionString: ${SECRET}}, partitionKey: x}`,
    'unknown field `partitionKey` in `spec`: events that have the attribute `partitionkey` are sent by it',
  ],
  ['AzureStorageQueueSink', `{auth: {connectionString: ${SECRET}}}`, '`spec` needs `queueUrl` or `queueName`'],
  [
    'AzureStorageQueueSink',
    `{queueName: orders, auth: {connectionString: ${SECRET}}, encoding: auto}`,
    '`spec.encoding` must be one of `base64`, `text`, not `auto`',
  ],
] as const) {
  test(`a sink is refused: ${mistake}`, () => {
    const { mistakes } = sink(kind, spec)
    assert.ok(mistakes.includes(mistake), mistakes.join('\n'))
  })
}
