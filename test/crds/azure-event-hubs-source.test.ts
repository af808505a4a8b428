import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'
import { secretRefs } from '../../crds/sources.ts'

const SECRET = '{secretKeyRef: {name: s, key: k}}'
const AUTH = `auth: {connectionString: ${SECRET}}`
const CHECKPOINT = `checkpoint: {containerName: done, auth: {connectionString: ${SECRET}}}`
const SINK = 'sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}'

function source(spec: string) {
  const text = `apiVersion: sources.weir.dev/v1alpha1\nkind: AzureEventHubsSource\nmetadata: {name: orders}\nspec: ${spec}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  return { resource: resources[0], mistakes: mistakes.map(one => one.message) }
}

function read(spec: string) {
  const { resource, mistakes } = source(spec)
  assert.deepEqual(mistakes, [])
  assert.ok(resource?.kind === 'AzureEventHubsSource')
  return resource
}

test('a source has sensible defaults', () => {
  const { spec } = read(`{eventHubName: orders, ${AUTH}, ${CHECKPOINT}, ${SINK}}`)
  const { sink: _, ...rest } = spec
  const ref = { secretKeyRef: { name: 's', key: 'k' } }
  assert.deepEqual(rest, {
    eventHubName: 'orders',
    consumerGroup: '$Default',
    auth: { connectionString: ref },
    initialPosition: { kind: 'earliest' },
    checkpoint: { containerName: 'done', auth: { connectionString: ref }, intervalMs: 1_000 },
    ownershipTimeoutMs: 30_000,
    payload: 'auto',
    extensions: {},
  })
})

test('every field is read, and every Secret has a name of its own', () => {
  const resource = read(`
  namespace: acme-events
  eventHubName: orders
  consumerGroup: billing
  auth: {sasToken: {secretKeyRef: {name: hub, key: token}}}
  initialPosition: "2026-11-25T09:00:00Z"
  checkpoint:
    blobContainerUrl: https://acme.blob.core.windows.net/done
    interval: PT5S
    auth: {accountKey: {secretKeyRef: {name: blobs, key: key}}}
  ownershipTimeout: PT1M
  payload: raw
  sink: {uri: http://127.0.0.1/x}
  ceOverrides: {extensions: {region: eu}}`)
  assert.deepEqual(resource.spec.initialPosition, { kind: 'time', timeMs: Date.UTC(2026, 10, 25, 9) })
  assert.deepEqual([resource.spec.checkpoint.intervalMs, resource.spec.ownershipTimeoutMs], [5_000, 60_000])
  assert.deepEqual(secretRefs(resource), {
    sasToken: { name: 'hub', key: 'token' },
    checkpointAccountKey: { name: 'blobs', key: 'key' },
  })
})

test('an identity opens the hub and the container, and needs no Secret', () => {
  const resource = read(`
  namespace: acme-events
  eventHubName: orders
  auth: {workloadIdentity: {clientId: c-1}}
  checkpoint: {blobContainerUrl: "https://acme.blob.core.windows.net/done"}
  ${SINK}`)
  assert.deepEqual(secretRefs(resource), {})
  assert.deepEqual(resource.spec.auth, { workloadIdentity: { clientId: 'c-1' } })
})

for (const [spec, mistake] of [
  [
    `{eventHubName: orders, ${CHECKPOINT}, ${SINK}}`,
    '`spec.auth` needs `connectionString`, `sasToken` or `workloadIdentity`',
  ],
  [
    `{eventHubName: orders, auth: {connectionString: ${SECRET}, workloadIdentity: {}}, ${CHECKPOINT}, ${SINK}}`,
    '`spec.auth` takes exactly one of `connectionString`, `sasToken` and `workloadIdentity`',
  ],
  [
    `{eventHubName: orders, auth: {connectionString: Endpoint=x}, ${CHECKPOINT}, ${SINK}}`,
    '`spec.auth.connectionString` must not stand here in the open: put it in a Secret and name it by `secretKeyRef`',
  ],
  [
    `{auth: {sasToken: ${SECRET}}, ${CHECKPOINT}, ${SINK}}`,
    '`spec` needs `namespace`: only a connection string says it too',
  ],
  [
    `{namespace: "a b", ${AUTH}, ${CHECKPOINT}, ${SINK}}`,
    '`spec.namespace` must name a namespace, as in "acme" or "acme.servicebus.windows.net", not `a b`',
  ],
  [`{eventHubName: orders, ${AUTH}, ${SINK}}`, 'missing field `spec.checkpoint`'],
  [
    `{eventHubName: orders, ${AUTH}, checkpoint: {containerName: done}, ${SINK}}`,
    '`spec.checkpoint.auth` needs `connectionString`, `accountKey` or `sasToken`, each with a `secretKeyRef`',
  ],
  [
    `{eventHubName: orders, ${AUTH}, checkpoint: {auth: {connectionString: ${SECRET}}}, ${SINK}}`,
    '`spec.checkpoint` needs `containerName` beside a connection string',
  ],
  [
    `{eventHubName: orders, ${AUTH}, checkpoint: {auth: {accountKey: ${SECRET}}}, ${SINK}}`,
    '`spec.checkpoint` needs `blobContainerUrl`',
  ],
  [
    `{eventHubName: orders, ${AUTH}, ${CHECKPOINT}, ${SINK}, initialPosition: last}`,
    '`spec.initialPosition` must be `earliest`, `latest` or a time as in "2026-11-25T09:00:00Z", not `last`',
  ],
  [
    `{eventHubName: orders, ${AUTH}, ${CHECKPOINT}, ${SINK}, ownershipTimeout: PT1S}`,
    '`spec.ownershipTimeout` must be at least 3 s',
  ],
  [
    `{eventHubName: orders, ${AUTH}, ${CHECKPOINT}, ${SINK}, blobContainerUrl: x}`,
    'unknown field `blobContainerUrl` in `spec`: indent it under `checkpoint`',
  ],
] as const) {
  test(`a source is refused: ${mistake}`, () => {
    const { mistakes } = source(spec)
    assert.ok(mistakes.includes(mistake), mistakes.join('\n'))
  })
}
