import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'

const AUTH = 'auth: {connectionString: {secretKeyRef: {name: s, key: k}}}'
const SINK = 'sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}'

function read(kind: string, apiVersion: string, spec: string) {
  const text = `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: q, namespace: ns}\nspec: ${spec}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  return { resource: resources[0], mistakes: mistakes.map(one => one.message) }
}
const source = (spec: string) => read('AzureServiceBusSource', 'sources.weir.dev/v1alpha1', spec)
const sink = (spec: string) => read('AzureServiceBusSink', 'eventing.weir.dev/v1alpha1', spec)

test('a source has sensible defaults', () => {
  const { resource, mistakes } = source(`{queueName: orders, ${AUTH}, ${SINK}}`)
  assert.deepEqual(mistakes, [])
  assert.ok(resource?.kind === 'AzureServiceBusSource')
  assert.deepEqual(resource.spec, {
    queueName: 'orders',
    auth: { connectionString: { secretKeyRef: { name: 's', key: 'k' } } },
    sessions: { enabled: false, maxConcurrent: 8 },
    parallelism: 16,
    idFrom: 'sequenceNumber',
    onExhausted: 'deadLetter',
    payload: 'auto',
    sink: { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'default', namespace: 'ns' } },
    extensions: {},
  })
})

test('everything can be said', () => {
  const { resource, mistakes } = source(`
  namespace: acme.servicebus.windows.net
  topicName: news
  subscriptionName: weir
  auth: {workloadIdentity: {clientId: c}}
  transport: amqp
  sessions: {enabled: true, maxConcurrent: 3}
  parallelism: 4
  maxLockRenewal: PT5M
  idFrom: messageId
  onExhausted: abandon
  payload: raw
  sink: {uri: http://127.0.0.1/x}`)
  assert.deepEqual(mistakes, [])
  assert.ok(resource?.kind === 'AzureServiceBusSource')
  const { spec } = resource
  assert.deepEqual(spec.auth, { workloadIdentity: { clientId: 'c' } })
  assert.deepEqual(spec.sessions, { enabled: true, maxConcurrent: 3 })
  assert.deepEqual([spec.topicName, spec.subscriptionName, spec.maxLockRenewalMs], ['news', 'weir', 300_000])
})

for (const [spec, mistake] of [
  [`{${AUTH}, ${SINK}}`, '`spec` needs `queueName` or `topicName`'],
  [`{queueName: q, topicName: t, ${AUTH}, ${SINK}}`, '`spec` takes exactly one of `queueName` and `topicName`'],
  [`{topicName: t, ${AUTH}, ${SINK}}`, '`spec.topicName` needs `subscriptionName` beside it'],
  [`{queueName: q, subscriptionName: s, ${AUTH}, ${SINK}}`, '`spec.subscriptionName` needs `topicName` beside it'],
  [
    `{queueName: q, auth: {workloadIdentity: {}}, ${SINK}}`,
    '`spec` needs `namespace`: only a connection string says it too',
  ],
  [
    `{queueName: "a b", ${AUTH}, ${SINK}}`,
    '`spec.queueName` must name a queue: letters, digits, `.`, `-`, `_` and `/`, not `a b`',
  ],
  [
    `{queueName: q, transport: websockets, ${AUTH}, ${SINK}}`,
    '`spec.transport`: only `amqp` is supported, on port 5671',
  ],
  [
    `{queueName: q, sessions: {maxConcurrent: 2}, ${AUTH}, ${SINK}}`,
    '`spec.sessions.maxConcurrent` does nothing without `enabled: true` beside it',
  ],
] as const) {
  test(`a mistake is told: ${mistake}`, () => assert.deepEqual(source(spec).mistakes, [mistake]))
}

test('what stands in the wrong place is known by its name', () => {
  assert.match(source(`{queue: q, ${AUTH}, ${SINK}}`).mistakes.join(), /did you mean `queueName`\?/)
  assert.match(source(`{queueName: q, connectionString: x, ${SINK}}`).mistakes.join(), /indent it under `auth`/)
})

test('a sink is read with its defaults, and its mistakes are told', () => {
  const { resource, mistakes } = sink(`{queueName: out, sessionIdFrom: partitionkey, ${AUTH}}`)
  assert.deepEqual(mistakes, [])
  assert.ok(resource?.kind === 'AzureServiceBusSink')
  assert.deepEqual(resource.spec, {
    queueName: 'out',
    auth: { connectionString: { secretKeyRef: { name: 's', key: 'k' } } },
    contentMode: 'binary',
    sessionIdFrom: 'partitionkey',
  })
  assert.match(sink(`{queueName: out, sessionIdFrom: Key, ${AUTH}}`).mistakes.join(), /name of an attribute/)
  assert.match(sink(`{topicName: t, subscriptionName: s, ${AUTH}}`).mistakes.join(), /sent to the topic/)
})
