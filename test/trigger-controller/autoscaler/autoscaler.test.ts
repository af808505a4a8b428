import assert from 'node:assert/strict'
import { test } from 'node:test'
import { triggerId, workloadId } from '../../../contract/ids.ts'
import { silentLog } from '../../../runtime/log.ts'
import { type AutoscalerDeps, startAutoscaler } from '../../../trigger-controller/autoscaler/autoscaler.ts'
import type { ScaledChange } from '../../../trigger-controller/autoscaler/scaled-target.ts'
import { laptop } from '../../../trigger-controller/profile.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { MemoryBacklog, MemoryWorld } from '../../support/memory-world.ts'
import {
  broker,
  deployment,
  queueSource,
  scaledObject,
  secret,
  service,
  trigger,
} from '../../support/world-resources.ts'

const KNATIVE = 'autoscaling.eventing.knative.dev'
const orders = triggerId('shop', 'orders')
const worker = workloadId('Deployment', 'shop', 'worker')
const annotations = { [`${KNATIVE}/max-scale`]: '8', [`${KNATIVE}/lag-threshold`]: '50' }
const base = [broker('default'), service('worker'), deployment('worker')]
const never = new AbortController().signal

async function started(world: MemoryWorld, changes: Partial<AutoscalerDeps> = {}) {
  const clock = new ManualClock()
  const backlog = new MemoryBacklog()
  backlog.set(orders, {})
  const told: ScaledChange[] = []
  const autoscaler = startAutoscaler(world, backlog, {
    clock,
    random: () => 0.5,
    log: silentLog,
    profile: laptop(4),
    openBacklog: () => assert.fail('no queue is read here'),
    onChange: change => void told.push(change),
    ...changes,
  })
  await autoscaler.refresh(never)
  await clock.advance(0)
  return { clock, backlog, autoscaler, told }
}

const asleep = () => new MemoryWorld(...base, trigger('orders', {}, annotations))

const messages: readonly [count: number, wanted: number][] = [
  [1, 1],
  [10, 1],
  [51, 2],
  [1_000, 8],
  [10_000, 8],
]
for (const [count, wanted] of messages) {
  test(`${count} events for a sleeping Deployment ask for ${wanted} replicas within 100 ms, in one step`, async () => {
    const world = asleep()
    const { clock, backlog, told } = await started(world)
    assert.deepEqual(world.asked, [{ workload: worker, replicas: 0 }])
    backlog.set(orders, { waiting: count, accepted: count })
    backlog.hold(orders)
    await clock.advance(100)
    assert.deepEqual(world.asked.slice(1), [{ workload: worker, replicas: wanted }])
    assert.deepEqual(
      told.map(({ from, to }) => [from, to]),
      [[0, wanted]],
    )
    assert.match(told[0]?.explain ?? '', /the declared target asks for/)
  })
}

test('a burst that goes on asks for more as it grows, a few times a second and not per event', async () => {
  const world = asleep()
  const { clock, backlog } = await started(world)
  const reads = backlog.reads
  for (let events = 1; events <= 300; events++) {
    backlog.set(orders, { waiting: events, accepted: events })
    backlog.hold(orders)
    await clock.advance(1)
  }
  await clock.advance(100)
  assert.equal(world.asked.at(-1)?.replicas, 6)
  assert.ok(backlog.reads - reads <= 5, `${backlog.reads - reads} reads`)
})

test('what sleeps is left alone but for a look every ten seconds, which finds a wake-up call that got lost', async () => {
  const world = asleep()
  const { clock, backlog } = await started(world)
  const reads = backlog.reads
  await clock.advance(60_000)
  assert.equal(backlog.reads - reads, 6)
  backlog.set(orders, { waiting: 1, accepted: 1 })
  await clock.advance(10_000)
  assert.equal(world.asked.at(-1)?.replicas, 1)
})

test('a world that fails or hangs is asked again, and nobody else waits for it', async () => {
  const world = asleep()
  const { clock, backlog } = await started(world)
  let fault: 'throw' | 'hang' | undefined = 'throw'
  world.onDeed = deed => {
    if (deed !== 'setReplicas' || fault === undefined) return
    if (fault === 'throw') throw new Error('conflict')
    return new Promise(() => {})
  }
  backlog.set(orders, { waiting: 1, accepted: 1 })
  backlog.hold(orders)
  await clock.advance(500)
  fault = 'hang'
  await clock.advance(1_000)
  fault = undefined
  assert.equal(world.asked.length, 1)
  await clock.advance(11_000)
  assert.equal(world.asked.at(-1)?.replicas, 1)
})

test('a broker that cannot say what it holds changes nothing', async () => {
  const world = asleep()
  world.running.set(worker, { desired: 5, ready: 5 })
  const { clock, backlog, autoscaler } = await started(world)
  backlog.entries.clear()
  await clock.advance(600_000)
  assert.equal(world.asked.length, 0)
  assert.match(autoscaler.scaleViews()[0]?.explain ?? '', /^5: held, because a reading is unknown/)
})

test('what ran before the start is not dropped before a window has passed', async () => {
  const world = asleep()
  world.running.set(worker, { desired: 5, ready: 5 })
  const { clock } = await started(world)
  await clock.advance(9_000)
  assert.equal(world.asked.length, 0)
  await clock.advance(3_000)
  assert.equal(world.asked.at(-1)?.replicas, 0)
})

test('events that come and go between two looks keep a replica awake', async () => {
  const world = asleep()
  const { clock, backlog } = await started(world)
  backlog.set(orders, { waiting: 1, accepted: 1 })
  backlog.hold(orders)
  await clock.advance(500)
  for (let events = 1; events <= 20; events++) {
    backlog.set(orders, { waiting: 0, accepted: events, delivered: events, busyMs: events * 10 })
    await clock.advance(5_000)
  }
  assert.deepEqual(
    world.asked.map(one => one.replicas),
    [0, 1],
  )
})

test('new bounds take effect at once and forget nothing that was seen', async () => {
  const world = asleep()
  const { clock, backlog, autoscaler } = await started(world)
  backlog.set(orders, { waiting: 10_000, accepted: 10_000 })
  backlog.hold(orders)
  await clock.advance(100)
  assert.equal(world.asked.at(-1)?.replicas, 8)
  world.put(trigger('orders', {}, { ...annotations, [`${KNATIVE}/max-scale`]: '3' }))
  await autoscaler.refresh(never)
  await clock.advance(0)
  assert.equal(world.asked.at(-1)?.replicas, 3)

  backlog.set(orders, { waiting: 9_000, delivered: 1_000, busyMs: 200_000 })
  await clock.advance(1_000)
  await autoscaler.refresh(never)
  assert.match(autoscaler.scaleViews()[0]?.explain ?? '', /200 ms each/)
})

test('a workload that is no longer scaled is let go as it is', async () => {
  const world = asleep()
  const { clock, backlog, autoscaler } = await started(world)
  assert.equal(autoscaler.owns(worker), true)
  world.put(trigger('orders'))
  await autoscaler.refresh(never)
  assert.equal(autoscaler.owns(worker), false)
  const asked = world.asked.length
  backlog.set(orders, { waiting: 10, accepted: 10 })
  backlog.hold(orders)
  await clock.advance(60_000)
  assert.equal(world.asked.length, asked)
})

test('a paused target is explained and not touched', async () => {
  const weir = [{ type: 'weir', metadata: { trigger: 'orders' } }]
  const paused = scaledObject('worker', weir, {}, { 'autoscaling.keda.sh/paused': 'true' })
  const world = new MemoryWorld(...base, trigger('orders'), paused)
  const { clock, backlog, autoscaler } = await started(world)
  backlog.set(orders, { waiting: 10, accepted: 10 })
  backlog.hold(orders)
  await clock.advance(60_000)
  assert.equal(world.asked.length, 0)
  assert.match(autoscaler.scaleViews()[0]?.explain ?? '', /^paused; would be 1:/)
})

test('a view shows bounds, numbers and the last change', async () => {
  const world = asleep()
  const { clock, backlog, autoscaler } = await started(world)
  backlog.set(orders, { waiting: 75, accepted: 75 })
  backlog.hold(orders)
  await clock.advance(100)
  const [view] = autoscaler.scaleViews()
  assert.deepEqual(
    { ...view, explain: '', changedMs: 0 },
    {
      namespace: 'shop',
      name: 'worker',
      kind: 'Deployment',
      by: 'Trigger/orders',
      replicas: { ready: 0, desired: 2, min: 0, max: 8 },
      explain: '',
      changedMs: 0,
    },
  )
  assert.equal(view?.changedMs, Date.UTC(2026, 0, 1) + 20)
})

test('a ScaledObject is told whether it is scaled, or why not', async () => {
  const world = new MemoryWorld(
    ...base,
    trigger('orders'),
    scaledObject('good', [{ type: 'weir', metadata: { trigger: 'orders' } }]),
    scaledObject('second', [{ type: 'weir', metadata: { trigger: 'orders' } }]),
  )
  await started(world)
  assert.equal(world.ready('ScaledObject/shop/good'), 'True ScaledObjectReady')
  assert.equal(world.ready('ScaledObject/shop/second'), 'False ScaledByAnother')
  world.put(scaledObject('good', [{ type: 'cron', metadata: {} }]))
  const again = await started(world)
  assert.equal(world.ready('ScaledObject/shop/good'), 'Unknown PartialTriggerError')
  await again.autoscaler[Symbol.asyncDispose]()
})

/** A queue whose length a test sets, or which fails. */
function queue(length: { value: number | Error | 'hang' }) {
  return {
    async count(): Promise<number> {
      if (length.value instanceof Error) throw length.value
      return length.value === 'hang' ? new Promise(() => {}) : length.value
    },
    close: async () => {},
  }
}

const adapter = workloadId('AzureStorageQueueSource', 'shop', 'orders')
const upstream = () =>
  new MemoryWorld(
    ...base,
    secret('storage', { connection: 'UseDevelopmentStorage=true' }),
    queueSource('orders', { [`${KNATIVE}/max-scale`]: '4' }),
  )

test('an adapter sleeps until its upstream has something, which is looked for each second on a laptop', async () => {
  const length = { value: 0 as number | Error | 'hang' }
  const world = upstream()
  const { clock, autoscaler } = await started(world, { openBacklog: async () => queue(length) })
  await clock.advance(5_000)
  assert.deepEqual(world.asked, [{ workload: adapter, replicas: 0 }])
  assert.equal(autoscaler.lag(adapter), 0)
  length.value = 250
  await clock.advance(1_200)
  assert.equal(world.asked.at(-1)?.replicas, 3)
  assert.equal(autoscaler.lag(adapter), 250)
  await clock.advance(60_000)
  length.value = 0
  await clock.advance(9_000)
  assert.equal(world.asked.at(-1)?.replicas, 3, 'idle only since the upstream was seen empty')
  await clock.advance(3_000)
  assert.equal(world.asked.at(-1)?.replicas, 0)
})

for (const fault of [new Error('403 AuthenticationFailed'), 'hang'] as const) {
  test(`an upstream that answers with ${fault} is unknown, holds what runs, and is never zero`, async () => {
    const length = { value: 150 as number | Error | 'hang' }
    const world = upstream()
    const { clock, autoscaler } = await started(world, { openBacklog: async () => queue(length) })
    await clock.advance(1_500)
    assert.equal(world.asked.at(-1)?.replicas, 2)
    length.value = fault
    await clock.advance(300_000)
    assert.equal(world.asked.at(-1)?.replicas, 2)
    assert.equal(autoscaler.lag(adapter), undefined)
    assert.match(autoscaler.scaleViews()[0]?.explain ?? '', /unknown: upstream: (403|no answer)/)
    length.value = 0
    await clock.advance(60_000)
    assert.equal(world.asked.at(-1)?.replicas, 0)
  })
}

test('credentials that cannot be right make the reading unknown, and stop nobody else', async () => {
  const world = upstream()
  world.put(trigger('orders', {}, annotations))
  const openBacklog = async () => {
    throw new Error('AccountKey is not base64')
  }
  const { clock, backlog, autoscaler } = await started(world, { openBacklog })
  backlog.set(orders, { waiting: 1, accepted: 1 })
  backlog.hold(orders)
  await clock.advance(1_000)
  const explained = autoscaler.scaleViews().map(view => view.explain)
  assert.match(explained.join('\n'), /AccountKey is not base64/)
  assert.equal(world.running.get(worker)?.desired, 1)
})

test('an adapter is not given more replicas while its Broker is behind', async () => {
  const length = { value: 1_000 }
  const world = upstream()
  world.put(trigger('orders'))
  const { clock, backlog } = await started(world, { openBacklog: async () => queue(length) })
  backlog.set(orders, { waiting: 50_000, accepted: 50_000 })
  await clock.advance(5_000)
  assert.equal(world.asked.at(-1)?.replicas, 1)
  backlog.set(orders, { waiting: 0, delivered: 50_000 })
  await clock.advance(2_000)
  assert.equal(world.asked.at(-1)?.replicas, 4)
})

test('closing ends every timer and every reading, and leaves the replicas as they are', async () => {
  const world = upstream()
  world.put(trigger('orders', {}, annotations))
  const { clock, backlog, autoscaler } = await started(world, { openBacklog: async () => queue({ value: 'hang' }) })
  await autoscaler[Symbol.asyncDispose]()
  await autoscaler[Symbol.asyncDispose]()
  const asked = world.asked.length
  backlog.set(orders, { waiting: 9 })
  backlog.hold(orders)
  await clock.advance(60_000)
  assert.equal(world.asked.length, asked)
  assert.equal(clock.pending, 0)
})
