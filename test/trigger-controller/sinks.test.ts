import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brokerId, workloadId } from '../../contract/ids.ts'
import { parseManifest } from '../../crds/manifest.ts'
import { silentLog } from '../../runtime/log.ts'
import { startController } from '../../trigger-controller/controller.ts'
import { laptop } from '../../trigger-controller/profile.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { MemoryWorld } from '../support/memory-world.ts'
import { broker, secret, trigger } from '../support/world-resources.ts'

const SHOP = brokerId('shop', 'default')
const OUT = workloadId('RabbitmqSink', 'shop', 'out')
const ADDRESS = `http://127.0.0.1:8081/sinks/${OUT}`
const subscriber = {
  ref: { apiVersion: 'eventing.weir.dev/v1alpha1', kind: 'RabbitmqSink', name: 'out', namespace: 'shop' },
}

const [sink] = parseManifest(
  `{apiVersion: eventing.weir.dev/v1alpha1, kind: RabbitmqSink, metadata: {name: out, namespace: shop},
    spec: {rabbitmqClusterReference: {connectionSecret: {name: rabbit}}, routingKey: orders}}`,
  'sink.yaml',
).resources
assert.ok(sink)
const rabbit = secret('rabbit', { uri: 'amqp://127.0.0.1', username: 'guest', password: 'guest' })

async function started(world: MemoryWorld) {
  const deps = { clock: new ManualClock(), random: () => 1, log: silentLog, profile: laptop(4) }
  const controller = startController(world, { ...deps, refreshScale: async () => {} })
  const told = async (keys: readonly string[]) => {
    controller.changed(keys)
    await controller.settled()
  }
  await told([...world.resources.keys()])
  return told
}

const address = (world: MemoryWorld) => world.routes.get(SHOP)?.triggers[0]?.subscriber.address

test('a Trigger whose subscriber is a sink delivers to where it is served, whichever of the two came first', async () => {
  for (const resources of [
    [broker('default'), trigger('orders', { subscriber }), rabbit, sink],
    [sink, rabbit, trigger('orders', { subscriber }), broker('default')],
  ]) {
    const world = new MemoryWorld(...resources)
    await started(world)
    assert.equal(address(world), ADDRESS)
    assert.equal(world.ready('Trigger/shop/orders'), 'True')
    assert.equal(world.ready('RabbitmqSink/shop/out'), 'True')
    assert.deepEqual(world.statuses.get('RabbitmqSink/shop/out')?.extra, { address: { url: ADDRESS } })
    assert.equal(world.sinks.get(OUT)?.credentials.password, 'guest')
  }
})

test('a sink that comes later, or waits for its Secret, is followed by those that send to it', async () => {
  const world = new MemoryWorld(broker('default'), trigger('orders', { subscriber }))
  const told = await started(world)
  assert.match(world.ready('Trigger/shop/orders'), /^False/)
  await told(world.put(sink))
  assert.match(world.ready('RabbitmqSink/shop/out'), /^False SecretNotFound/)
  assert.match(world.ready('Trigger/shop/orders'), /^False/)
  await told(world.put(rabbit))
  assert.equal(world.ready('Trigger/shop/orders'), 'True')
  assert.equal(address(world), ADDRESS)
})

test('a sink that goes is no longer served, and its senders are told', async () => {
  const world = new MemoryWorld(broker('default'), trigger('orders', { subscriber }), sink, rabbit)
  const told = await started(world)
  await told(world.remove('RabbitmqSink/shop/out'))
  assert.equal(world.sinks.size, 0)
  assert.match(world.ready('Trigger/shop/orders'), /^False/)
})
