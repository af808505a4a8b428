import assert from 'node:assert/strict'
import { test } from 'node:test'
import { consumerGroupOf } from '../../crds/kafka-source.ts'
import { parseManifest } from '../../crds/manifest.ts'
import { secretRefs } from '../../crds/sources.ts'

function source(spec: string, metadata = '{name: q, namespace: ns}', apiVersion = 'sources.knative.dev/v1') {
  const text = `apiVersion: ${apiVersion}\nkind: KafkaSource\nmetadata: ${metadata}\nspec: ${spec}\n`
  const { resources, mistakes, notices } = parseManifest(text, 'a.yaml')
  const [resource] = resources
  return {
    resource: resource?.kind === 'KafkaSource' ? resource : undefined,
    mistakes: mistakes.map(one => one.message),
    notices: notices.map(one => one.message),
  }
}

const BASE = 'bootstrapServers: ["kafka:9092"], topics: [orders]'
const SINK = 'sink: {uri: http://127.0.0.1/x}'
const from = (key: string) => `{secretKeyRef: {name: kafka, key: ${key}}}`

test('a source has the defaults of Knative, in both versions', () => {
  for (const version of ['sources.knative.dev/v1', 'sources.knative.dev/v1beta1']) {
    const { resource, mistakes } = source(`{${BASE}, ${SINK}}`, undefined, version)
    assert.deepEqual(mistakes, [])
    assert.deepEqual(resource?.spec, {
      bootstrapServers: ['kafka:9092'],
      topics: ['orders'],
      consumers: 1,
      initialOffset: 'latest',
      ordering: 'ordered',
      net: {},
      keyType: 'string',
      sink: { uri: 'http://127.0.0.1/x' },
      extensions: {},
    })
    assert.equal(resource.apiVersion, 'sources.knative.dev/v1')
    assert.equal(consumerGroupOf(resource), 'knative-kafka-source-ns-q')
    assert.deepEqual(secretRefs(resource), {})
  }
})

test('everything can be said', () => {
  const { resource, mistakes, notices } = source(
    `
  bootstrapServers: [a.example:9092, "[::1]:9093"]
  topics: [orders, pay.ments_1, orders]
  consumerGroup: mine
  consumers: 0
  initialOffset: earliest
  ordering: unordered
  delivery: {retry: 3, deadLetterSink: {uri: http://dead/}}
  net:
    tls: {enable: true, caCert: ${from('ca.crt')}, cert: ${from('user.crt')}, key: ${from('user.key')}}
    sasl: {enable: true, user: ${from('user')}, password: ${from('password')}, type: ${from('type')}}
  ${SINK}
  ceOverrides: {extensions: {region: eu}}`,
    '{name: q, namespace: ns, uid: u-1, labels: {kafkasources.sources.knative.dev/key-type: int}}',
  )
  assert.deepEqual([mistakes, notices], [[], []])
  assert.ok(resource)
  assert.deepEqual(resource.spec.topics, ['orders', 'pay.ments_1'])
  assert.equal(resource.spec.keyType, 'int')
  assert.equal(resource.spec.consumers, 0)
  assert.deepEqual(resource.spec.delivery, {
    retry: 3,
    backoffPolicy: 'exponential',
    backoffDelayMs: 300,
    deadLetterSink: { uri: 'http://dead/' },
  })
  assert.equal(consumerGroupOf(resource), 'mine')
  const refs = secretRefs(resource)
  assert.deepEqual(Object.keys(refs).sort(), ['ca', 'cert', 'key', 'mechanism', 'password', 'user'])
  assert.deepEqual(refs.mechanism, { name: 'kafka', key: 'type' })
})

test('the key type can also stand in an annotation, and the label wins', () => {
  const annotations = 'annotations: {kafkasources.sources.knative.dev/key-type: float}'
  const labels = 'labels: {kafkasources.sources.knative.dev/key-type: byte-array}'
  assert.equal(source(`{${BASE}, ${SINK}}`, `{name: q, ${annotations}}`).resource?.spec.keyType, 'float')
  assert.equal(
    source(`{${BASE}, ${SINK}}`, `{name: q, ${annotations}, ${labels}}`).resource?.spec.keyType,
    'byte-array',
  )
})

test('a group that follows from the uid is another one for another object', () => {
  const { resource } = source(`{${BASE}, ${SINK}, consumerGroup: ""}`, '{name: q, namespace: ns, uid: u-1}')
  assert.equal(resource && consumerGroupOf(resource), 'knative-kafka-source-u-1')
})

for (const [what, spec, mistake] of [
  ['no topics', `{bootstrapServers: ["k:1"], ${SINK}}`, /missing field `spec.topics`/],
  ['no topic', `{bootstrapServers: ["k:1"], topics: [], ${SINK}}`, /one topic at least/],
  ['no servers', `{topics: [a], ${SINK}}`, /missing field `spec.bootstrapServers`/],
  ['no server', `{bootstrapServers: [], topics: [a], ${SINK}}`, /one server at least/],
  ['a server without a port', `{bootstrapServers: [kafka], topics: [a], ${SINK}}`, /must be host:port/],
  ['an address', `{bootstrapServers: ["http://kafka:9092"], topics: [a], ${SINK}}`, /must be host:port/],
  ['a port out of range', `{bootstrapServers: ["kafka:99999"], topics: [a], ${SINK}}`, /must be host:port/],
  ['a bad topic', `{bootstrapServers: ["k:1"], topics: ["a b"], ${SINK}}`, /1 to 249/],
  ['topics that are one text', `{bootstrapServers: ["k:1"], topics: a, ${SINK}}`, /a list/],
  ['topic', `{bootstrapServers: ["k:1"], topic: a, ${SINK}}`, /write `topics: \[…\]`/],
  ['a bad offset', `{${BASE}, ${SINK}, initialOffset: first}`, /`earliest`, `latest`/],
  ['a bad ordering', `{${BASE}, ${SINK}, ordering: order}`, /`ordered`, `unordered`/],
  ['consumers below none', `{${BASE}, ${SINK}, consumers: -1}`, /0 or more/],
  ['tls in the wrong place', `{${BASE}, ${SINK}, tls: {enable: true}}`, /indent it under `net`/],
  [
    'a certificate without a key',
    `{${BASE}, ${SINK}, net: {tls: {enable: true, cert: ${from('c')}}}}`,
    /both `cert` and `key`/,
  ],
  [
    'a password in the open',
    `{${BASE}, ${SINK}, net: {sasl: {enable: true, user: me, password: x}}}`,
    /must not stand here/,
  ],
  [
    'a login without a user',
    `{${BASE}, ${SINK}, net: {sasl: {enable: true, password: ${from('p')}}}}`,
    /needs `user` and `password`/,
  ],
  [
    'a token',
    `{${BASE}, ${SINK}, net: {sasl: {enable: true, tokenProvider: ${from('t')}}}}`,
    /tokens is not supported/,
  ],
  ['no sink', `{${BASE}}`, /missing field `spec.sink`/],
] as const) {
  test(`${what} is a mistake that says what to do`, () => {
    assert.match(source(spec).mistakes.join('\n'), mistake)
  })
}

test('a key type that there is not is a mistake', () => {
  const metadata = '{name: q, labels: {kafkasources.sources.knative.dev/key-type: uuid}}'
  assert.match(
    source(`{${BASE}, ${SINK}}`, metadata).mistakes.join(),
    /must be one of `string`, `int`, `float`, `byte-array`/,
  )
})

test('a login that is not switched on is said', () => {
  const { notices, resource } = source(`{${BASE}, ${SINK}, net: {sasl: {user: ${from('u')}, password: ${from('p')}}}}`)
  assert.match(notices.join(), /is off: it has no `enable: true`/)
  assert.deepEqual(resource?.spec.net, {})
})

test('another version is a mistake that names the right one', () => {
  const { mistakes } = source(`{${BASE}, ${SINK}}`, undefined, 'sources.knative.dev/v1alpha1')
  assert.match(mistakes.join(), /`sources.knative.dev\/v1`, not `sources.knative.dev\/v1alpha1`/)
})
