import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '../../../../crds/manifest.ts'
import { planTargets } from '../../../../trigger-controller/autoscaler/targets.ts'
import { CLUSTER } from '../../../../trigger-controller/profile.ts'
import { MemoryWorld } from '../../../support/memory-world.ts'
import {
  broker,
  deployment,
  scaledObject,
  secret,
  service,
  triggerAuthentication,
} from '../../../support/world-resources.ts'

const base = { bootstrapServers: 'a:9092, b:9092', consumerGroup: 'g', topic: 't' }

async function demandOf(metadata: Record<string, string>, authenticated = false, ...resources: Resource[]) {
  const authenticationRef = { name: 'auth', kind: 'TriggerAuthentication' } as const
  const trigger = { type: 'kafka', metadata, ...(authenticated && { authenticationRef }) }
  const object = scaledObject('worker', [trigger])
  const world = new MemoryWorld(
    broker('default'),
    service('worker'),
    deployment('worker', { app: 'worker' }),
    ...resources,
    object,
  )
  const { targets } = planTargets(await world.readScale(), CLUSTER.scaling)
  return targets[0]?.demands[0]
}

async function queueOf(...given: Parameters<typeof demandOf>) {
  const demand = await demandOf(...given)
  assert.ok(demand?.kind === 'queue', demand?.kind === 'broken' ? demand.reason : 'no demand')
  assert.ok(demand.backlog.system === 'kafka')
  return { ...demand, backlog: demand.backlog }
}

test('a trigger has the defaults of KEDA, and wants no more replicas than partitions', async () => {
  const { backlog, wants } = await queueOf(base)
  assert.deepEqual(backlog, {
    system: 'kafka',
    access: { brokers: ['a:9092', 'b:9092'], tls: undefined, sasl: undefined },
    group: 'g',
    topics: ['t'],
    only: undefined,
    unread: 'one',
    cap: { perReplica: 10, replicas: 'partitions' },
    excludeStuck: false,
    activation: 0,
  })
  assert.deepEqual(wants, { target: 10, activation: 0, concurrency: 1 })
})

test('every parameter counts', async () => {
  const { backlog, wants } = await queueOf({
    bootstrapServers: 'a:9092',
    consumerGroup: 'g',
    lagThreshold: '5',
    activationLagThreshold: '3',
    offsetResetPolicy: 'earliest',
    allowIdleConsumers: 'true',
    excludePersistentLag: 'true',
    partitionLimitation: '1,3-5',
  })
  assert.deepEqual(wants, { target: 5, activation: 3, concurrency: 1 })
  assert.deepEqual(
    [backlog.topics, backlog.unread, backlog.cap, backlog.excludeStuck, backlog.only, backlog.activation],
    [[], 'all', undefined, true, [1, 3, 4, 5], 3],
  )
  const limited = await queueOf({ ...base, limitToPartitionsWithLag: 'true', scaleToZeroOnInvalidOffset: 'true' })
  assert.deepEqual([limited.backlog.cap?.replicas, limited.backlog.unread], ['partitions-with-lag', 'none'])
  const even = await queueOf({ ...base, ensureEvenDistributionOfPartitions: 'true' })
  assert.equal(even.backlog.cap?.replicas, 'divisors')
})

test('login and TLS come out of a TriggerAuthentication', async () => {
  const PEM = '-----BEGIN CERTIFICATE-----'
  const values = { sasl: 'scram_sha512', tls: 'enable', username: 'me', password: 'hunter2', ca: PEM }
  const refs = Object.keys(values).map(name => ({ parameter: name, name: 'kafka', key: name }))
  const { backlog } = await queueOf(base, true, triggerAuthentication('auth', refs), secret('kafka', values))
  assert.deepEqual(backlog.access.sasl, { mechanism: 'scram-sha-512', username: 'me', password: 'hunter2' })
  assert.deepEqual(backlog.access.tls, { ca: PEM })
})

for (const [metadata, reason] of [
  [{ ...base, consumerGroup: '' }, /consumerGroup/],
  [{ ...base, bootstrapServers: '' }, /bootstrapServers/],
  [{ ...base, lagThreshold: '0' }, /lagThreshold/],
  [{ ...base, sasl: 'gssapi' }, /sasl must be none/],
  [{ ...base, sasl: 'plaintext' }, /no user/],
  [{ ...base, partitionLimitation: '5-1' }, /partitionLimitation/],
  [{ ...base, limitToPartitionsWithLag: 'true', allowIdleConsumers: 'true' }, /exclude each other/],
  [{ ...base, topic: '', limitToPartitionsWithLag: 'true' }, /needs a topic/],
  [{ ...base, unsafeSsl: 'true' }, /unsafeSsl/],
] as const) {
  test(`a mistake is a demand that stays unknown: ${reason}`, async () => {
    const demand = await demandOf(metadata)
    assert.ok(demand?.kind === 'broken')
    assert.match(demand.reason, reason)
  })
}
