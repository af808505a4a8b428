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

const BUS = 'Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=k'
const env = deployment('worker', { app: 'worker' }, [{ name: 'BUS', value: BUS }])

async function demandOf(metadata: Record<string, string>, more: object = {}, ...resources: Resource[]) {
  const object = scaledObject('worker', [{ type: 'azure-servicebus', metadata, ...more }])
  const world = new MemoryWorld(broker('default'), service('worker'), env, ...resources, object)
  const { targets } = planTargets(await world.readScale(), CLUSTER.scaling)
  return targets[0]?.demands[0]
}

test('it reads its parameters as KEDA does, with its defaults', async () => {
  const demand = await demandOf({ queueName: 'orders', connectionFromEnv: 'BUS' })
  assert.ok(demand?.kind === 'queue')
  assert.deepEqual(demand.wants, { target: 5, activation: 0, concurrency: 1 })
  const access = { connectionString: BUS, entity: 'orders' }
  assert.deepEqual(demand.backlog, { system: 'azure-service-bus', access })
})

test('a subscription, thresholds, and a connection out of a TriggerAuthentication', async () => {
  const authentication = triggerAuthentication('auth', [{ parameter: 'connection', name: 'bus', key: 'text' }])
  const demand = await demandOf(
    { topicName: 'news', subscriptionName: 'a', messageCount: '20', activationMessageCount: '3' },
    { authenticationRef: { name: 'auth', kind: 'TriggerAuthentication' } },
    authentication,
    secret('bus', { text: BUS }),
  )
  assert.ok(demand?.kind === 'queue' && demand.backlog.system === 'azure-service-bus')
  assert.deepEqual(demand.wants, { target: 20, activation: 3, concurrency: 1 })
  assert.equal(demand.backlog.access.entity, 'news/Subscriptions/a')
})

for (const [metadata, why] of [
  [{ connectionFromEnv: 'BUS' }, /neither metadata.queueName nor/],
  [{ queueName: 'a', topicName: 'b', connectionFromEnv: 'BUS' }, /both set/],
  [{ topicName: 'b', connectionFromEnv: 'BUS' }, /needs metadata.subscriptionName/],
  [{ queueName: 'a' }, /no connection/],
  [{ queueName: 'a', namespace: 'acme' }, /identity is not supported/],
  [{ queueName: 'a', connectionFromEnv: 'BUS', useRegex: 'true' }, /useRegex/],
  [{ queueName: 'a', connectionFromEnv: 'BUS', messageCount: '0' }, /messageCount/],
] as const) {
  test(`a mistake is a demand that stays unknown: ${why.source}`, async () => {
    const demand = await demandOf(metadata)
    assert.ok(demand?.kind === 'broken')
    assert.match(demand.reason, why)
  })
}
