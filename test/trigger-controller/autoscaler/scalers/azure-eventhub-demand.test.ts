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

const HUB = 'Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=orders'
const STORAGE = 'UseDevelopmentStorage=true'
const env = deployment('worker', { app: 'worker' }, [
  { name: 'HUB', value: HUB },
  { name: 'STORAGE', value: STORAGE },
])
const base = {
  connectionFromEnv: 'HUB',
  storageConnectionFromEnv: 'STORAGE',
  blobContainer: 'done',
  checkpointStrategy: 'blobMetadata',
}

async function demandOf(metadata: Record<string, string>, more: object = {}, ...resources: Resource[]) {
  const object = scaledObject('worker', [{ type: 'azure-eventhub', metadata, ...more }])
  const world = new MemoryWorld(broker('default'), service('worker'), env, ...resources, object)
  const { targets } = planTargets(await world.readScale(), CLUSTER.scaling)
  return targets[0]?.demands[0]
}

test('it reads its parameters as KEDA does, with its defaults', async () => {
  const demand = await demandOf(base)
  assert.ok(demand?.kind === 'queue')
  assert.deepEqual(demand.wants, { target: 64, activation: 0, concurrency: 1 })
  assert.deepEqual(demand.backlog, {
    system: 'azure-event-hubs',
    hub: { connectionString: HUB, hub: 'orders' },
    group: '$Default',
    container: { connectionString: STORAGE, container: 'done' },
    perPartition: 64,
  })
})

test('thresholds and the consumer group are taken, and connections out of a TriggerAuthentication', async () => {
  const authentication = triggerAuthentication('auth', [
    { parameter: 'connection', name: 'hub', key: 'connection' },
    { parameter: 'storageConnection', name: 'hub', key: 'storage' },
  ])
  const keys = secret('hub', { connection: HUB.replace(';EntityPath=orders', ''), storage: STORAGE })
  const { connectionFromEnv: _, storageConnectionFromEnv: __, ...rest } = base
  const metadata = {
    ...rest,
    eventHubName: 'sales',
    consumerGroup: 'billing',
    unprocessedEventThreshold: '10',
    activationUnprocessedEventThreshold: '3',
  }
  const authenticationRef = { name: 'auth', kind: 'TriggerAuthentication' }
  const demand = await demandOf(metadata, { authenticationRef }, authentication, keys)
  assert.ok(demand?.kind === 'queue' && demand.backlog.system === 'azure-event-hubs')
  assert.deepEqual(demand.wants, { target: 10, activation: 3, concurrency: 1 })
  assert.deepEqual(
    [demand.backlog.hub.hub, demand.backlog.group, demand.backlog.perPartition],
    ['sales', 'billing', 10],
  )
})

for (const [changes, reason] of [
  [{ checkpointStrategy: 'goSdk' }, /only blobMetadata is supported/],
  [{ checkpointStrategy: '' }, /only blobMetadata is supported/],
  [{ blobContainer: '' }, /blobContainer is not set/],
  [{ connectionFromEnv: 'NOPE' }, /no environment variable NOPE/],
  [{ connectionFromEnv: '' }, /no connection: set connectionFromEnv/],
  [{ storageConnectionFromEnv: '' }, /no storageConnection/],
  [{ connectionFromEnv: 'STORAGE', eventHubName: 'x' }, /no Endpoint/],
  [{ unprocessedEventThreshold: '0' }, /not a number from 1 on/],
] as const) {
  test(`a mistake stays unknown, with the reason: ${JSON.stringify(changes)}`, async () => {
    const demand = await demandOf({ ...base, ...changes })
    assert.match(demand?.kind === 'broken' ? demand.reason : '', reason)
  })
}
