import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brokerId } from '../../contract/ids.ts'
import type { ConfigMapResource } from '../../crds/workloads.ts'
import { silentLog } from '../../runtime/log.ts'
import { startController } from '../../trigger-controller/controller.ts'
import { laptop } from '../../trigger-controller/profile.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { MemoryWorld } from '../support/memory-world.ts'
import { broker, eventPolicy, queueSource, secret, trigger } from '../support/world-resources.ts'

const SHOP = brokerId('shop', 'default')

function features(data: Record<string, string>): ConfigMapResource {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'config-features', namespace: 'knative-eventing', labels: {}, annotations: {} },
    where: { file: 'f.yaml', line: 1, column: 1 },
    data,
  }
}

const ON = features({ 'authentication-oidc': 'enabled' })
const OFF = features({})

async function started(world: MemoryWorld) {
  const clock = new ManualClock()
  const deps = { clock, random: () => 1, log: silentLog, profile: laptop(4), refreshScale: async () => {} }
  const controller = startController(world, deps)
  const told = async (keys: readonly string[]) => {
    controller.changed(keys)
    await controller.settled()
  }
  await told([...world.resources.keys()])
  return { told }
}

const subjects = (world: MemoryWorld) => world.routes.get(SHOP)?.access?.policies.map(one => one.subjects)

test('a policy that comes, changes or goes changes the routes of the Brokers that it protects', async () => {
  const world = new MemoryWorld(ON, broker('default'))
  const { told } = await started(world)
  assert.deepEqual(subjects(world), [])

  await told(world.put(eventPolicy('p', [{ sub: 'a' }])))
  assert.deepEqual(subjects(world), [['a']])
  assert.equal(world.ready('EventPolicy/shop/p'), 'True')

  await told(world.put(eventPolicy('p', [{ sub: 'b' }])))
  assert.deepEqual(subjects(world), [['b']])

  await told(world.remove('EventPolicy/shop/p'))
  assert.deepEqual(subjects(world), [])
})

test('a feature that is switched on or off reaches Brokers, sources and policies', async () => {
  const connection = 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net'
  const source = queueSource('orders')
  const world = new MemoryWorld(OFF, broker('default'), source, secret('storage', { connection }))
  world.put(eventPolicy('p', [{ sub: 'a' }]))
  const { told } = await started(world)
  const adapter = () => [...world.adapters.values()][0]
  assert.equal(world.routes.get(SHOP)?.access, undefined)
  assert.equal(adapter()?.sink.token, undefined)
  assert.equal(world.ready('EventPolicy/shop/p'), 'False OIDCAuthenticationDisabled')

  await told(world.put(ON))
  assert.deepEqual(subjects(world), [['a']])
  assert.equal(adapter()?.sink.token?.audience, 'eventing.knative.dev/broker/shop/default')
  assert.equal(world.ready('EventPolicy/shop/p'), 'True')

  await told(world.remove('ConfigMap/knative-eventing/config-features'))
  assert.equal(world.routes.get(SHOP)?.access, undefined)
  assert.equal(adapter()?.sink.token, undefined)
})

test('a sender that a policy refers to mends it when it comes, and breaks it when it goes', async () => {
  const ref = { apiVersion: 'eventing.knative.dev/v1', kind: 'Trigger', name: 't', namespace: 'shop' }
  const world = new MemoryWorld(ON, broker('default'), broker('other'), eventPolicy('p', [{ ref }]))
  const { told } = await started(world)
  assert.equal(world.ready('EventPolicy/shop/p'), 'False SubjectsNotResolved')
  assert.equal(world.ready('Broker/shop/default'), 'False EventPoliciesNotReady')
  assert.deepEqual(subjects(world), [[]])

  await told(world.put(trigger('t', { broker: 'other' })))
  assert.equal(world.ready('EventPolicy/shop/p'), 'True')
  assert.equal(world.ready('Broker/shop/default'), 'True')
  assert.deepEqual(subjects(world), [['system:serviceaccount:shop:t-oidc-eventing.knative.dev-trigger']])

  await told(world.remove('Trigger/shop/t'))
  assert.equal(world.ready('EventPolicy/shop/p'), 'False SubjectsNotResolved')
  assert.deepEqual(subjects(world), [[]])
})
