import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'

function sink(spec: string) {
  const text = `apiVersion: eventing.weir.dev/v1alpha1\nkind: RabbitmqSink\nmetadata: {name: q, namespace: ns}\nspec: ${spec}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  const [resource] = resources
  return {
    spec: resource?.kind === 'RabbitmqSink' ? resource.spec : undefined,
    mistakes: mistakes.map(one => one.message),
  }
}

const CLUSTER = 'rabbitmqClusterReference: {connectionSecret: {name: rabbit}}'

test('a sink needs an exchange or the name of a queue, and writes binary messages', () => {
  const common = { rabbitmqClusterReference: { connectionSecret: 'rabbit' }, contentMode: 'binary' }
  assert.deepEqual(sink(`{${CLUSTER}, exchange: shop}`).spec, { ...common, exchange: 'shop', routingKey: '' })
  assert.deepEqual(sink(`{${CLUSTER}, routingKey: orders}`).spec, { ...common, exchange: '', routingKey: 'orders' })
  assert.deepEqual(sink(`{${CLUSTER}}`).mistakes, ['`spec` needs `exchange`, or the name of a queue as `routingKey`'])
})

test('everything can be said', () => {
  const { spec, mistakes } = sink(
    `{rabbitmqClusterReference: {name: hare}, vhost: /v, exchange: shop, routingKey: "{type}.{subject}", contentMode: structured}`,
  )
  assert.deepEqual(mistakes, [])
  assert.deepEqual(spec, {
    rabbitmqClusterReference: { name: 'hare' },
    vhost: '/v',
    exchange: 'shop',
    routingKey: '{type}.{subject}',
    contentMode: 'structured',
  })
})

for (const [key, wrong] of [
  ['{Type}', '{Type}'],
  ['a.{', '{'],
  ['{}', '{}'],
  ['a}', '}'],
] as const) {
  test(`a routing key such as ${key} is a mistake`, () => {
    const { mistakes } = sink(`{${CLUSTER}, exchange: x, routingKey: "${key}"}`)
    assert.deepEqual(mistakes, [`\`spec.routingKey\`: \`${wrong}\` is no attribute, write one as in \`{type}\``])
  })
}
