import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { startController } from '../../trigger-controller/controller.ts'
import { laptop } from '../../trigger-controller/profile.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { MemoryWorld } from '../support/memory-world.ts'
import { broker, deployment, queueSource, scaledObject, secret, service, trigger } from '../support/world-resources.ts'

async function started(world: MemoryWorld) {
  const clock = new ManualClock()
  const refreshed: number[] = []
  const controller = startController(world, {
    clock,
    random: () => 1,
    log: silentLog,
    profile: laptop(4),
    refreshScale: async () => void refreshed.push(clock.monotonicMs()),
  })
  controller.changed([...world.resources.keys()])
  await controller.settled()
  return { clock, controller, refreshed }
}

/** The deeds on a subject from now on. */
function deeds(world: MemoryWorld): string[] {
  const seen: string[] = []
  world.onDeed = (deed, subject) => void seen.push(subject === '' ? deed : `${deed} ${subject}`)
  return seen
}

const subscriber = [service('worker'), deployment('worker')]

test('YAML becomes routes and statuses', async () => {
  const world = new MemoryWorld(broker('default'), trigger('orders'), ...subscriber)
  await started(world)
  assert.deepEqual(
    world.routes.get('shop/default' as never)?.triggers.map(one => one.id),
    ['shop/orders'],
  )
  assert.equal(world.ready('Broker/shop/default'), 'True')
  assert.equal(world.ready('Trigger/shop/orders'), 'True')
})

test('a Trigger whose Broker is missing says so, and is mended when the Broker comes', async () => {
  const world = new MemoryWorld(trigger('orders'), ...subscriber)
  const { controller } = await started(world)
  assert.equal(world.ready('Trigger/shop/orders'), 'False BrokerDoesNotExist')

  controller.changed(world.put(broker('default')))
  await controller.settled()
  assert.equal(world.ready('Trigger/shop/orders'), 'True')

  controller.changed(world.remove('Broker/shop/default'))
  await controller.settled()
  assert.equal(world.ready('Trigger/shop/orders'), 'False BrokerDoesNotExist')
  assert.equal(world.routes.size, 0)
})

test('a Service that comes later mends the Triggers that refer to it, whatever their Broker', async () => {
  const world = new MemoryWorld(
    broker('default'),
    broker('other'),
    trigger('a'),
    trigger('b', { broker: 'other' }),
    deployment('worker'),
  )
  const { controller } = await started(world)
  assert.equal(world.ready('Trigger/shop/b'), "False Unable to get the Subscriber's URI")
  controller.changed(world.put(service('worker')))
  await controller.settled()
  assert.equal(world.ready('Trigger/shop/a'), 'True')
  assert.equal(world.ready('Trigger/shop/b'), 'True')
  controller.changed(world.remove('Deployment/shop/worker'))
  await controller.settled()
  assert.equal(world.ready('Trigger/shop/a'), "False Unable to get the Subscriber's URI")
})

test('a change touches its own Broker and no other', async () => {
  const world = new MemoryWorld(broker('default'), broker('other'), trigger('a'), ...subscriber)
  const { controller } = await started(world)
  const seen = deeds(world)
  controller.changed(world.put(trigger('a', { filters: [{ exact: { type: 'x' } }] })))
  await controller.settled()
  assert.ok(seen.includes('applyBroker shop/default'))
  assert.ok(!seen.some(deed => deed.includes('other')))
})

test('a Trigger that goes, or moves to another Broker, is taken from where it was', async () => {
  const world = new MemoryWorld(broker('default'), broker('other'), trigger('a'), trigger('b'), ...subscriber)
  const { controller } = await started(world)
  const triggers = (name: string) => world.routes.get(`shop/${name}` as never)?.triggers.map(one => one.id)
  controller.changed(world.remove('Trigger/shop/a'))
  controller.changed(world.put(trigger('b', { broker: 'other' })))
  await controller.settled()
  assert.deepEqual(triggers('default'), [])
  assert.deepEqual(triggers('other'), ['shop/b'])
})

test('a source runs when its sink and its Secret are there, and stops when it goes', async () => {
  const world = new MemoryWorld(broker('default'), queueSource('orders'))
  const { controller } = await started(world)
  const key = 'AzureStorageQueueSource/shop/orders'
  assert.equal(world.ready(key), 'False SecretNotFound')
  assert.equal(world.adapters.size, 0)

  controller.changed(world.put(secret('storage', { connection: 'UseDevelopmentStorage=true' })))
  await controller.settled()
  assert.equal(world.ready(key), 'True')
  const [adapter] = world.adapters.values()
  assert.equal(adapter?.sink.url, 'http://127.0.0.1:8080/shop/default')
  assert.deepEqual(adapter?.credentials, { connectionString: 'UseDevelopmentStorage=true' })
  assert.doesNotMatch(JSON.stringify([...world.statuses.values()]), /UseDevelopmentStorage/)

  controller.changed(world.remove('Broker/shop/default'))
  await controller.settled()
  assert.equal(world.ready(key), 'False NotFound')
  assert.equal(world.adapters.size, 0)

  controller.changed(world.remove(key))
  await controller.settled()
  assert.equal(world.adapters.size, 0)
})

test('routes that the brokers do not take are told, and tried again until they do', async () => {
  const world = new MemoryWorld(broker('default'), trigger('a'), ...subscriber)
  let refusing = true
  world.onDeed = deed => {
    if (deed === 'applyBroker' && refusing) throw new Error('the disk is full')
  }
  const { clock } = await started(world)
  assert.equal(world.ready('Broker/shop/default'), 'False RoutesNotApplied')
  refusing = false
  await clock.advance(100)
  assert.equal(world.ready('Broker/shop/default'), 'True')
})

test('a change that cannot be looked at is not forgotten', async () => {
  const world = new MemoryWorld(broker('default'), ...subscriber)
  const { clock, controller } = await started(world)
  let failing = true
  world.onDeed = deed => {
    if (deed === 'readScale' && failing) throw new Error('no answer')
  }
  controller.changed(world.put(trigger('a')))
  await controller.settled()
  failing = false
  await clock.advance(1_000)
  assert.equal(world.ready('Trigger/shop/a'), 'True')
})

test('whatever concerns scaling is passed on to the autoscaler, and told to those who asked', async () => {
  const world = new MemoryWorld(
    broker('default'),
    trigger('a', {}, { 'autoscaling.eventing.knative.dev/max-scale': '4' }),
    ...subscriber,
  )
  const { controller, refreshed } = await started(world)
  const scaled = () => world.statuses.get('Trigger/shop/a')?.conditions.find(one => one.type === 'Scaled')
  assert.equal(scaled()?.message, 'Deployment shop/worker, 0 to 4 replicas')
  const before = refreshed.length

  controller.changed(world.put(scaledObject('worker', [{ type: 'weir', metadata: { trigger: 'a' } }])))
  await controller.settled()
  assert.ok(refreshed.length > before)
  assert.equal(scaled()?.status, 'False')
  assert.match(scaled()?.message ?? '', /is scaled by ScaledObject\/worker already/)
  assert.equal(world.ready('Trigger/shop/a'), 'True', 'events are delivered all the same')
})
