import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'
import { sinkSecretRefs } from '../../crds/sinks.ts'

function sink(spec: string) {
  const text = `apiVersion: eventing.knative.dev/v1alpha1\nkind: KafkaSink\nmetadata: {name: out}\nspec: ${spec}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  const [resource] = resources
  return { resource: resource?.kind === 'KafkaSink' ? resource : undefined, mistakes: mistakes.map(one => one.message) }
}

test('a sink has the defaults of Knative', () => {
  const { resource, mistakes } = sink('{topic: orders, bootstrapServers: ["kafka:9092"]}')
  assert.deepEqual(mistakes, [])
  assert.deepEqual(resource?.spec, {
    topic: 'orders',
    bootstrapServers: ['kafka:9092'],
    contentMode: 'binary',
    numPartitions: 10,
    replicationFactor: 1,
  })
  assert.deepEqual(sinkSecretRefs(resource), {})
})

test('a sink names the keys of its Secret as Knative has them; which are needed, the protocol says', () => {
  const { resource, mistakes } = sink(
    '{topic: orders, bootstrapServers: ["kafka:9092"], contentMode: structured, numPartitions: 3, replicationFactor: 2, auth: {secret: {ref: {name: kafka}}}}',
  )
  assert.deepEqual(mistakes, [])
  assert.ok(resource)
  const refs = sinkSecretRefs(resource)
  assert.deepEqual(refs.protocol, { name: 'kafka', key: 'protocol' })
  assert.deepEqual(refs.mechanism, { name: 'kafka', key: 'sasl.mechanism', optional: true })
  assert.deepEqual(refs.ca, { name: 'kafka', key: 'ca.crt', optional: true })
})

for (const [spec, mistake] of [
  ['{bootstrapServers: ["k:1"]}', /missing field `spec.topic`/],
  ['{topic: a}', /missing field `spec.bootstrapServers`/],
  ['{topic: a, bootstrapServers: ["k:1"], contentMode: json}', /`binary`, `structured`/],
  ['{topic: a, bootstrapServers: ["k:1"], numPartitions: 0}', /1 or more/],
  ['{topic: a, bootstrapServers: ["k:1"], auth: {secret: {name: x}}}', /indent it under `ref`/],
  ['{topics: [a], bootstrapServers: ["k:1"]}', /write `topic: …`/],
] as const) {
  test(`a mistake in ${spec} says what to do`, () => {
    assert.match(sink(spec).mistakes.join('\n'), mistake)
  })
}
