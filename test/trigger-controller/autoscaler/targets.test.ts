import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '../../../crds/manifest.ts'
import { SCALERS } from '../../../crds/scaler-metadata.ts'
import { planTargets } from '../../../trigger-controller/autoscaler/targets.ts'
import { CLUSTER, laptop } from '../../../trigger-controller/profile.ts'
import { MemoryWorld } from '../../support/memory-world.ts'
import {
  broker,
  deployment,
  queueSource,
  scaledObject,
  secret,
  service,
  trigger,
  triggerAuthentication,
} from '../../support/world-resources.ts'

const KNATIVE = 'autoscaling.eventing.knative.dev'
const base = [broker('default'), service('worker'), deployment('worker')]
const storage = secret('storage', { connection: 'UseDevelopmentStorage=true' })

async function plan(resources: readonly Resource[], profile = CLUSTER) {
  return planTargets(await new MemoryWorld(...base, ...resources).readScale(), profile.scaling)
}

async function only(resources: readonly Resource[], profile = CLUSTER) {
  const { targets, refusals } = await plan(resources, profile)
  assert.deepEqual(refusals, [])
  assert.equal(targets.length, 1)
  const [target] = targets
  assert.ok(target !== undefined)
  return target
}

test('a Trigger without annotations asks for no scaling, and one that opts out neither', async () => {
  assert.deepEqual((await plan([trigger('a')])).targets, [])
  const disabled = trigger('a', {}, { [`${KNATIVE}/class`]: 'disabled', [`${KNATIVE}/max-scale`]: '3' })
  assert.deepEqual((await plan([disabled])).targets, [])
})

test('annotations of a Trigger scale its subscriber', async () => {
  const annotated = trigger(
    'a',
    {},
    {
      [`${KNATIVE}/min-scale`]: '1',
      [`${KNATIVE}/max-scale`]: '7',
      [`${KNATIVE}/lag-threshold`]: '50',
      [`${KNATIVE}/activation-lag-threshold`]: '2',
      [`${KNATIVE}/cooldown-period`]: '5',
      'weir.dev/concurrency': '4',
    },
  )
  const target = await only([annotated])
  assert.equal(target.workload, 'deployment/shop/worker')
  assert.equal(target.by, 'Trigger/a')
  assert.deepEqual(target.limits, { min: 1, max: 7, cooldownMs: 5_000, profile: CLUSTER.scaling })
  assert.deepEqual(target.demands, [
    {
      kind: 'trigger',
      name: 'Trigger/a',
      trigger: 'shop/a',
      delivers: true,
      wants: { target: 50, activation: 2, concurrency: 4 },
    },
  ])
})

const bounds: readonly [title: string, resource: Resource, cluster: number, laptop: number][] = [
  ['annotations', trigger('a', {}, { [`${KNATIVE}/min-scale`]: '0' }), 50, 8],
  ['a ScaledObject', scaledObject('worker', [{ type: 'weir', metadata: { trigger: 'a' } }]), 100, 8],
]
for (const [title, resource, cluster, local] of bounds) {
  test(`${title} without a maximum allow ${cluster} replicas, on four cores ${local}`, async () => {
    const with_ = resource.kind === 'Trigger' ? [resource] : [resource, trigger('a')]
    assert.equal((await only(with_)).limits.max, cluster)
    assert.equal((await only(with_, laptop(4))).limits.max, local)
    assert.equal((await only(with_)).limits.cooldownMs, 30_000)
    assert.equal((await only(with_, laptop(4))).limits.cooldownMs, 10_000)
  })
}

test('a ScaledObject scales by the Trigger it names, and by every other that delivers to its target', async () => {
  const object = scaledObject('worker', [{ type: 'weir', metadata: { trigger: 'a', lagThreshold: '50' } }], {
    minReplicaCount: 1,
    maxReplicaCount: 9,
    cooldownPeriod: 60,
  })
  const target = await only([
    object,
    trigger('a'),
    trigger('b'),
    trigger('c', { subscriber: { uri: 'http://x.test' } }),
  ])
  assert.equal(target.by, 'ScaledObject/worker')
  assert.deepEqual([target.limits.min, target.limits.max, target.limits.cooldownMs], [1, 9, 60_000])
  assert.deepEqual(
    target.demands.map(one => one.kind === 'trigger' && [one.trigger, one.wants.target]),
    [
      ['shop/a', 50],
      ['shop/b', undefined],
    ],
  )
})

test('two Triggers of one workload with the same bounds are of one mind; others are told who came first', async () => {
  const scaled = (name: string, most: string) => trigger(name, {}, { [`${KNATIVE}/max-scale`]: most })
  const target = await only([scaled('a', '4'), scaled('b', '4')])
  assert.equal(target.demands.length, 2)

  const { targets, refusals } = await plan([scaled('b', '9'), scaled('a', '4')])
  assert.equal(targets[0]?.by, 'Trigger/a')
  assert.equal(targets[0]?.limits.max, 4)
  assert.deepEqual(refusals, [
    {
      key: 'Trigger/shop/b',
      reason: 'ScaledByAnother',
      message:
        'Deployment shop/worker is scaled by Trigger/a already, which keeps it: take the scaling away from one of the two',
    },
  ])
})

test('a second ScaledObject for one workload is refused, and so are annotations beside one', async () => {
  const weir = [{ type: 'weir', metadata: { trigger: 'a' } }]
  const annotated = trigger('a', {}, { [`${KNATIVE}/max-scale`]: '4' })
  const { targets, refusals } = await plan([scaledObject('two', weir), scaledObject('one', weir), annotated])
  assert.deepEqual(
    targets.map(one => one.by),
    ['ScaledObject/one'],
  )
  assert.deepEqual(
    refusals.map(one => [one.key, one.reason]),
    [
      ['ScaledObject/shop/two', 'ScaledByAnother'],
      ['Trigger/shop/a', 'ScaledByAnother'],
    ],
  )
})

test('what cannot be scaled is refused with the reason', async () => {
  const annotations = { [`${KNATIVE}/max-scale`]: '4' }
  const reasons = async (...resources: Resource[]) => (await plan(resources)).refusals.map(one => one.message).join()
  assert.match(await reasons(trigger('a', { subscriber: { uri: 'http://x.test' } }, annotations)), /is an address/)
  assert.match(
    await reasons(scaledObject('x', [], { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'no' } })),
    /Deployment shop\/no does not exist/,
  )
  assert.match(
    await reasons(scaledObject('x', [], { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'w' } })),
    /not a kind that is scaled here/,
  )
  assert.match(await reasons(trigger('a', {}, { [`${KNATIVE}/max-scale`]: 'lots' })), /max-scale/)
})

test('the azure-queue scaler reads its parameters as KEDA does, and its connection from a TriggerAuthentication', async () => {
  const authentication = triggerAuthentication('auth', [
    { parameter: 'connection', name: 'storage', key: 'connection' },
  ])
  const object = scaledObject(
    'worker',
    [
      {
        type: 'azure-queue',
        metadata: { queueName: 'orders', queueLengthStrategy: 'visibleonly', activationQueueLength: '5' },
        authenticationRef: { name: 'auth', kind: 'TriggerAuthentication' },
      },
    ],
    { pollingInterval: 7 },
  )
  const expected = {
    kind: 'queue',
    name: 'azure-queue[0]',
    key: 'scaledobject/shop/worker#0',
    backlog: {
      system: 'azure-queue',
      access: { connectionString: 'UseDevelopmentStorage=true', queueName: 'orders' },
      strategy: 'visibleonly',
    },
    pollMs: 7_000,
    wants: { target: 5, activation: 5, concurrency: 1 },
  }
  assert.deepEqual((await only([object, authentication, storage])).demands, [expected])
})

test('the connection may come from the environment of the target, as connectionFromEnv', async () => {
  const env = { name: 'QUEUE', from: 'secret', object: 'storage', key: 'connection', optional: false } as const
  const metadata = { queueName: 'orders', queueLength: '20', connectionFromEnv: 'QUEUE' }
  const object = scaledObject('worker', [{ type: 'azure-queue', metadata }])
  const target = await only([object, storage, deployment('worker', { app: 'worker' }, [env])])
  const [demand] = target.demands
  assert.ok(demand?.kind === 'queue')
  assert.deepEqual(demand.backlog.system === 'azure-queue' && demand.backlog.access, {
    connectionString: 'UseDevelopmentStorage=true',
    queueName: 'orders',
  })
  assert.equal(demand.wants.target, 20)
  assert.equal(demand.pollMs, 30_000)
  const [local] = (await only([object, storage, deployment('worker', { app: 'worker' }, [env])], laptop(4))).demands
  assert.equal(local?.kind === 'queue' && local.pollMs, 1_000)
})

const broken: readonly [metadata: Record<string, string>, reason: RegExp][] = [
  [{}, /queueName is not set/],
  [{ queueName: 'q' }, /no connection/],
  [{ queueName: 'q', accountName: 'me' }, /not supported/],
  [{ queueName: 'q', connectionFromEnv: 'NOPE' }, /no environment variable NOPE/],
  [{ queueName: 'q', queueLength: '-1', connectionFromEnv: 'NOPE' }, /queueLength is "-1"/],
  [{ queueName: 'q', queueLengthStrategy: 'most' }, /queueLengthStrategy is "most"/],
]
for (const [metadata, reason] of broken) {
  test(`azure-queue with ${JSON.stringify(metadata)} is a reading that stays unknown, with the reason`, async () => {
    const [demand] = (await only([scaledObject('worker', [{ type: 'azure-queue', metadata }])])).demands
    assert.equal(demand?.kind, 'broken')
    assert.match(demand?.kind === 'broken' ? demand.reason : '', reason)
  })
}

test('a scaler that is not known, a Trigger or a Secret that is missing, are told and never zero', async () => {
  const object = scaledObject('worker', [
    { type: 'tea-leaves', metadata: {} },
    { type: 'weir', metadata: { trigger: 'nope' } },
    {
      type: 'azure-queue',
      metadata: { queueName: 'q' },
      authenticationRef: { name: 'auth', kind: 'TriggerAuthentication' },
    },
  ])
  const authentication = triggerAuthentication('auth', [{ parameter: 'connection', name: 'gone', key: 'x' }])
  const { demands } = await only([object, authentication])
  assert.deepEqual(
    demands.map(one => one.kind === 'broken' && one.reason),
    [
      `there is no scaler "tea-leaves": known are ${Object.keys(SCALERS).join(', ')}`,
      'Trigger shop/nope does not exist',
      'Secret shop/gone has no key "x"',
    ],
  )
})

test('annotations of a source scale its adapter by what waits upstream, and its Broker is downstream of it', async () => {
  const source = queueSource('orders', { [`${KNATIVE}/max-scale`]: '3', [`${KNATIVE}/polling-interval`]: '4' })
  const { targets, lags } = await plan([source, storage, trigger('a')])
  const [target] = targets
  assert.equal(target?.workload, 'azurestoragequeuesource/shop/orders')
  assert.deepEqual(target?.downstream, ['shop/a'])
  const [demand] = target?.demands ?? []
  assert.equal(demand?.kind === 'queue' && demand.pollMs, 4_000)
  assert.equal(demand?.kind === 'queue' && demand.key, lags[0]?.watch.key)
})

test('the upstream of a source is watched although nobody scales it', async () => {
  const { targets, lags } = await plan([queueSource('orders'), storage])
  assert.deepEqual(targets, [])
  assert.deepEqual(lags[0]?.watch.backlog, {
    system: 'azure-queue',
    access: { connectionString: 'UseDevelopmentStorage=true', queueName: 'orders' },
    strategy: 'all',
  })
})

test('a paused ScaledObject is left as it is, or held at a number', async () => {
  const weir = [{ type: 'weir', metadata: { trigger: 'a' } }]
  const paused = scaledObject('worker', weir, {}, { 'autoscaling.keda.sh/paused': 'yes' })
  assert.equal((await only([paused, trigger('a')])).paused, true)
  const at = scaledObject('worker', weir, {}, { 'autoscaling.keda.sh/paused-replicas': '2' })
  const { limits } = await only([at, trigger('a')])
  assert.deepEqual([limits.min, limits.max], [2, 2])
})
