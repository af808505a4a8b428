import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'
import { secretRefs } from '../../crds/sources.ts'

function source(spec: string, metadata = '{name: q, namespace: ns}') {
  const text = `apiVersion: sources.knative.dev/v1alpha1\nkind: RabbitmqSource\nmetadata: ${metadata}\nspec: ${spec}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  const [resource] = resources
  return {
    resource: resource?.kind === 'RabbitmqSource' ? resource : undefined,
    mistakes: mistakes.map(one => one.message),
  }
}

const CLUSTER = 'rabbitmqClusterReference: {connectionSecret: {name: rabbit}}'
const RESOURCES = 'rabbitmqResourcesConfig: {queueName: orders, exchangeName: shop}'
const SINK = 'sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}'
const BROKER = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'default', namespace: 'ns' }

test('a source has the defaults of Knative', () => {
  const { resource, mistakes } = source(`{${CLUSTER}, ${RESOURCES}, ${SINK}}`)
  assert.deepEqual(mistakes, [])
  assert.deepEqual(resource?.spec, {
    rabbitmqClusterReference: { connectionSecret: 'rabbit' },
    rabbitmqResourcesConfig: { queueName: 'orders', exchangeName: 'shop', predeclared: false, parallelism: 1 },
    sink: { ref: BROKER },
    extensions: {},
  })
})

test('everything can be said', () => {
  const { resource, mistakes } = source(`
  rabbitmqClusterReference: {name: rabbit, namespace: ns}
  rabbitmqResourcesConfig: {vhost: /shop, queueName: orders, predeclared: true, parallelism: 1000}
  serviceAccountName: adapter
  adapterContainerName: receive
  delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT1S, deadLetterSink: {uri: http://dead/}}
  sink: {uri: http://127.0.0.1/x}
  ceOverrides: {extensions: {region: eu}}`)
  assert.deepEqual(mistakes, [])
  assert.deepEqual(resource?.spec, {
    rabbitmqClusterReference: { name: 'rabbit' },
    rabbitmqResourcesConfig: { vhost: '/shop', queueName: 'orders', predeclared: true, parallelism: 1000 },
    serviceAccountName: 'adapter',
    delivery: { retry: 3, backoffPolicy: 'linear', backoffDelayMs: 1000, deadLetterSink: { uri: 'http://dead/' } },
    sink: { uri: 'http://127.0.0.1/x' },
    extensions: { region: 'eu' },
  })
})

test('the annotation for a dead-letter sink stands for the delivery, with retries before it', () => {
  for (const [value, expected] of [
    ['Broker/default', { ref: BROKER }],
    ['Service/dead', { ref: { apiVersion: 'v1', kind: 'Service', name: 'dead', namespace: 'ns' } }],
    ['http://dead.example/x?y', { uri: 'http://dead.example/x?y' }],
  ] as const) {
    const metadata = `{name: q, namespace: ns, annotations: {weir.dev/dead-letter-sink: "${value}"}}`
    const { resource, mistakes } = source(`{${CLUSTER}, ${RESOURCES}, ${SINK}}`, metadata)
    assert.deepEqual(mistakes, [])
    assert.deepEqual(resource?.spec.delivery, {
      retry: 10,
      backoffPolicy: 'exponential',
      backoffDelayMs: 200,
      deadLetterSink: expected,
    })
    const own = source(`{${CLUSTER}, ${RESOURCES}, ${SINK}, delivery: {retry: 1}}`, metadata)
    assert.deepEqual(own.resource?.spec.delivery?.retry, 1)
    assert.deepEqual(own.resource?.spec.delivery?.deadLetterSink, expected)
  }
})

test('the keys of a connection Secret may be left out where the address says it, those of a cluster are all there', () => {
  const optional = (name: string, key: string) => ({ name, key, optional: true })
  const own = source(`{${CLUSTER}, ${RESOURCES}, ${SINK}}`).resource
  assert.ok(own)
  assert.deepEqual(secretRefs(own), {
    uri: { name: 'rabbit', key: 'uri' },
    username: optional('rabbit', 'username'),
    password: optional('rabbit', 'password'),
    port: optional('rabbit', 'port'),
    managementUri: optional('rabbit', 'managementUri'),
    'ca.crt': optional('rabbit', 'ca.crt'),
  })
  const cluster = source(`{rabbitmqClusterReference: {name: hare}, ${RESOURCES}, ${SINK}}`).resource
  assert.ok(cluster)
  assert.deepEqual(secretRefs(cluster), {
    host: { name: 'hare-default-user', key: 'host' },
    username: { name: 'hare-default-user', key: 'username' },
    password: { name: 'hare-default-user', key: 'password' },
    port: optional('hare-default-user', 'port'),
    managementUri: optional('hare-default-user', 'managementUri'),
    'ca.crt': optional('hare-default-user', 'ca.crt'),
  })
})

const ELSEWHERE = '{name: hare, namespace: other}'
for (const [spec, mistake] of [
  [`{${RESOURCES}, ${SINK}}`, 'missing field `spec.rabbitmqClusterReference`'],
  [`{${CLUSTER}, ${SINK}}`, 'missing field `spec.rabbitmqResourcesConfig`'],
  [`{${CLUSTER}, ${RESOURCES}}`, 'missing field `spec.sink`'],
  [
    `{rabbitmqClusterReference: {namespace: ns}, ${RESOURCES}, ${SINK}}`,
    '`spec.rabbitmqClusterReference` needs `name` or `connectionSecret`',
  ],
  [
    `{rabbitmqClusterReference: {name: a, connectionSecret: {name: b}}, ${RESOURCES}, ${SINK}}`,
    '`spec.rabbitmqClusterReference` takes `name` or `connectionSecret`, not both',
  ],
  [
    `{rabbitmqClusterReference: ${ELSEWHERE}, ${RESOURCES}, ${SINK}}`,
    '`spec.rabbitmqClusterReference.namespace` must be `ns`, where this object is: a Secret of another namespace cannot be read. Copy it here and name it by `connectionSecret`',
  ],
  [
    `{${CLUSTER}, rabbitmqResourcesConfig: {queueName: orders}, ${SINK}}`,
    'missing field `spec.rabbitmqResourcesConfig.exchangeName`',
  ],
  [
    `{${CLUSTER}, rabbitmqResourcesConfig: {predeclared: true}, ${SINK}}`,
    'missing field `spec.rabbitmqResourcesConfig.queueName`',
  ],
  [
    `{${CLUSTER}, rabbitmqResourcesConfig: {queueName: a, predeclared: true, parallelism: 1001}, ${SINK}}`,
    '`spec.rabbitmqResourcesConfig.parallelism` must be a whole number, from 1 to 1000, not 1001',
  ],
  [
    `{${CLUSTER}, ${RESOURCES}, ${SINK}, exchangeConfig: {name: x}}`,
    'unknown field `exchangeConfig` in `spec`: it is of an older version: use `rabbitmqResourcesConfig`',
  ],
  [
    `{${CLUSTER}, ${RESOURCES}, ${SINK}, parallelism: 3}`,
    'unknown field `parallelism` in `spec`: indent it under `rabbitmqResourcesConfig`',
  ],
] as const) {
  test(`it is a mistake: ${mistake}`, () => assert.deepEqual(source(spec).mistakes, [mistake]))
}

test('a dead-letter sink that is neither an address nor a known kind is a mistake', () => {
  for (const value of ['default', 'Trigger/x', 'http://', 'Broker/', 'ftp://x/y']) {
    const metadata = `{name: q, annotations: {weir.dev/dead-letter-sink: "${value}"}}`
    const { mistakes } = source(`{${CLUSTER}, ${RESOURCES}, ${SINK}}`, metadata)
    assert.match(mistakes.join(), /`weir.dev\/dead-letter-sink` must be an address/, value)
  }
})
