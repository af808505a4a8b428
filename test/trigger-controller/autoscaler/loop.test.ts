import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { silentLog } from '../../../runtime/log.ts'
import { startAutoscaler } from '../../../trigger-controller/autoscaler/autoscaler.ts'
import { CLUSTER, laptop, type Profile } from '../../../trigger-controller/profile.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { SimulatedWorld, type SimulationOptions } from '../../support/simulated-world.ts'
import { broker, deployment, service, trigger } from '../../support/world-resources.ts'

const KNATIVE = 'autoscaling.eventing.knative.dev'

async function simulate(options: SimulationOptions, annotations: Record<string, string>, profile: Profile = laptop(8)) {
  const clock = new ManualClock()
  const own = { ...annotations, 'weir.dev/concurrency': String(options.concurrency) }
  const world = new SimulatedWorld(
    clock,
    options,
    broker('default'),
    service('worker'),
    deployment('worker'),
    trigger('a', {}, own),
  )
  const autoscaler = startAutoscaler(world, world.backlog, {
    clock,
    random: () => 0.5,
    log: silentLog,
    profile,
    openBacklog: () => assert.fail('no queue is read here'),
    onChange: () => {},
  })
  await autoscaler.refresh(new AbortController().signal)
  return { world, autoscaler }
}

/** The numbers that were asked for, in order. */
function steps(world: SimulatedWorld): number[] {
  return world.asked.map(one => one.replicas)
}

test('a thousand events go through replicas that start from nothing, and end at nothing: 0 → N → 0', async () => {
  const options = { startMs: 700, serviceMs: 200, concurrency: 10 }
  const { world } = await simulate(options, { [`${KNATIVE}/max-scale`]: '8', [`${KNATIVE}/lag-threshold`]: '50' })
  world.send(1_000)
  await world.run(60_000)
  assert.equal(world.delivered, 1_000)
  assert.deepEqual(steps(world).slice(0, 2), [0, 8])
  assert.equal(world.peak, 8)
  assert.equal(steps(world).at(-1), 0)
  assert.equal(world.alive, 0)
  assert.ok(world.drainingPeak <= 1)
})

test('a thousand events of a second each are asked enough replicas for in one decision', async () => {
  const { world } = await simulate(
    { startMs: 10_000, serviceMs: 1_000, concurrency: 10 },
    { [`${KNATIVE}/lag-threshold`]: '100' },
    CLUSTER,
  )
  world.send(1_000)
  await world.run(1_000)
  assert.deepEqual(steps(world), [0, 10])
})

test('a replica that works on its last event for twenty minutes is not taken away', async () => {
  const { world } = await simulate(
    { startMs: 500, serviceMs: 20 * 60_000, concurrency: 1 },
    { [`${KNATIVE}/max-scale`]: '3' },
  )
  world.send(1)
  await world.run(19 * 60_000)
  assert.equal(world.alive, 1)
  assert.deepEqual(steps(world), [0, 1])
  await world.run(2 * 60_000)
  assert.equal(world.delivered, 1)
  assert.equal(world.alive, 0)
})

test('one event wakes one replica, which goes after the cooldown and not before', async () => {
  const { world } = await simulate(
    { startMs: 500, serviceMs: 100, concurrency: 10 },
    { [`${KNATIVE}/cooldown-period`]: '20' },
  )
  world.send(1)
  await world.run(20_000)
  assert.deepEqual(steps(world), [0, 1])
  await world.run(3_000)
  assert.deepEqual(steps(world), [0, 1, 0])
})

test('a steady load finds its number within two minutes and stays there', async () => {
  // 50/s of 0.4 s each are 20 in flight: 20 / (10 · 0.7) = 2.9.
  const { world } = await simulate(
    { startMs: 2_000, serviceMs: 400, concurrency: 10 },
    { [`${KNATIVE}/max-scale`]: '20' },
  )
  const arrivals = (ms: number) => (ms % 20 === 0 ? 1 : 0)
  await world.run(120_000, arrivals)
  const settled = world.asked.length
  await world.run(300_000, arrivals)
  assert.equal(world.asked.length, settled, `${steps(world)}`)
  assert.equal(steps(world).at(-1), 3)
  assert.ok(world.waiting < 10)
})

test('a load that doubles is followed without a backlog that stays, and one that ends comes to nothing', async () => {
  const { world } = await simulate(
    { startMs: 2_000, serviceMs: 400, concurrency: 10 },
    { [`${KNATIVE}/max-scale`]: '20' },
  )
  await world.run(120_000, ms => (ms % 20 === 0 ? 1 : 0))
  await world.run(120_000, ms => (ms % 10 === 0 ? 1 : 0))
  assert.equal(steps(world).at(-1), 6)
  assert.ok(world.waiting < 20)
  await world.run(120_000)
  assert.equal(world.alive, 0)
  assert.equal(world.delivered, 120_000 / 20 + 120_000 / 10)
})

test('whatever comes: within the bounds, no more than one busy replica drains, everything is delivered, and the end is zero', async () => {
  const bursts = fc.array(
    fc.record({ atMs: fc.integer({ min: 0, max: 3_000 }), events: fc.integer({ min: 1, max: 300 }) }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  const options = fc.record({
    startMs: fc.integer({ min: 0, max: 3_000 }),
    serviceMs: fc.integer({ min: 10, max: 2_000 }),
    concurrency: fc.integer({ min: 1, max: 20 }),
  })
  await fc.assert(
    fc.asyncProperty(bursts, options, fc.integer({ min: 1, max: 12 }), async (load, setup, most) => {
      const { world, autoscaler } = await simulate(setup, { [`${KNATIVE}/max-scale`]: String(most) })
      const due = new Map<number, number>()
      for (const { atMs, events } of load) {
        const slot = atMs - (atMs % 10)
        due.set(slot, (due.get(slot) ?? 0) + events)
      }
      const total = [...due.values()].reduce((sum, events) => sum + events, 0)
      await world.run(3_010, ms => due.get(ms) ?? 0)
      const longestMs = (total * setup.serviceMs) / setup.concurrency + setup.startMs + 60_000
      for (let ms = 0; ms < longestMs && (world.delivered < total || world.alive > 0); ms += 5_000)
        await world.run(5_000)
      assert.equal(world.delivered, total)
      assert.equal(world.alive, 0)
      assert.ok(world.peak <= most)
      assert.ok(world.drainingPeak <= 1)
      await autoscaler[Symbol.asyncDispose]()
    }),
    { numRuns: 15 },
  )
})

test('an event after a burst that ended in sleep wakes one replica: the burst is over', async () => {
  const options = { startMs: 500, serviceMs: 200, concurrency: 2 }
  const { world } = await simulate(options, { [`${KNATIVE}/max-scale`]: '8', [`${KNATIVE}/lag-threshold`]: '50' })
  world.send(1_000)
  await world.run(35_000)
  assert.equal(steps(world).at(-1), 0)
  const before = steps(world).length
  world.send(1)
  await world.run(5_000)
  assert.deepEqual(steps(world).slice(before), [1])
})
