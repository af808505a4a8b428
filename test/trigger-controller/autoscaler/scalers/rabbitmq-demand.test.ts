import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '../../../../crds/manifest.ts'
import { planTargets } from '../../../../trigger-controller/autoscaler/targets.ts'
import { CLUSTER } from '../../../../trigger-controller/profile.ts'
import { makeCertificate } from '../../../support/certificates.ts'
import { MemoryWorld } from '../../../support/memory-world.ts'
import {
  broker,
  deployment,
  scaledObject,
  secret,
  service,
  triggerAuthentication,
} from '../../../support/world-resources.ts'

const AMQP = 'amqp://me:p%40ss@rabbit:5673/orders'
const HTTP = 'http://me:pass@rabbit:15673/orders'
const env = (value: string) => deployment('worker', { app: 'worker' }, [{ name: 'HOST', value }])
const base = { queueName: 'q', hostFromEnv: 'HOST' }

async function demandOf(metadata: Record<string, string>, ...resources: Resource[]) {
  const object = scaledObject('worker', [{ type: 'rabbitmq', metadata }])
  const world = new MemoryWorld(broker('default'), service('worker'), ...resources, object)
  const { targets } = planTargets(await world.readScale(), CLUSTER.scaling)
  return targets[0]?.demands[0]
}

async function queueOf(metadata: Record<string, string>, ...resources: Resource[]) {
  const demand = await demandOf(metadata, ...resources)
  assert.ok(demand?.kind === 'queue', demand?.kind === 'broken' ? demand.reason : 'no demand')
  assert.ok(demand.backlog.system === 'rabbitmq')
  return { ...demand, backlog: demand.backlog }
}

test('the address decides the protocol, and brings the user and the virtual host', async () => {
  const amqp = await queueOf(base, env(AMQP))
  assert.deepEqual([amqp.backlog.protocol, amqp.backlog.what, amqp.backlog.queue], ['amqp', 'all', 'q'])
  const { host, port, vhost, username, password } = amqp.backlog.access
  assert.deepEqual([host, port, vhost, username, password], ['rabbit', 5673, 'orders', 'me', 'p@ss'])
  assert.deepEqual(amqp.wants, { target: 20, activation: 0, concurrency: 1 })

  const http = await queueOf({ ...base, protocol: 'http', value: '7', activationValue: '2' }, env(HTTP))
  assert.equal(http.backlog.protocol, 'http')
  assert.deepEqual([http.backlog.access.management, http.backlog.access.vhost], ['http://rabbit:15673', 'orders'])
  assert.deepEqual(http.wants, { target: 7, activation: 2, concurrency: 1 })
})

test('vhostName wins over the address, and no path means the virtual host /', async () => {
  assert.equal((await queueOf({ ...base, vhostName: 'other' }, env(AMQP))).backlog.access.vhost, 'other')
  assert.equal((await queueOf({ ...base, vhostName: 'other' }, env(HTTP))).backlog.access.vhost, 'other')
  for (const host of ['amqp://a:b@rabbit', 'http://a:b@rabbit:15672/', 'amqp://a:b@rabbit/%2F'])
    assert.equal((await queueOf(base, env(host))).backlog.access.vhost, '/')
})

test('the older queueLength counts where value is not given, and held messages can be left out', async () => {
  assert.equal((await queueOf({ ...base, queueLength: '5' }, env(AMQP))).wants.target, 5)
  assert.equal((await queueOf({ ...base, queueLength: '5', value: '6' }, env(AMQP))).wants.target, 6)
  assert.equal((await queueOf({ ...base, excludeUnacknowledged: 'true' }, env(HTTP))).backlog.what, 'ready')
  assert.equal((await queueOf({ ...base, mode: 'MessageRate', value: '3' }, env(HTTP))).backlog.what, 'rate')
})

test('host, user, password and authority can come out of a TriggerAuthentication', async () => {
  const refs = ['host', 'username', 'password', 'ca'].map(name => ({ parameter: name, name: 'rabbit', key: name }))
  const object = scaledObject('worker', [
    {
      type: 'rabbitmq',
      metadata: { queueName: 'q' },
      authenticationRef: { name: 'auth', kind: 'TriggerAuthentication' },
    },
  ])
  const ca = makeCertificate('Authority').cert
  const found = secret('rabbit', { host: 'amqps://rabbit:5673/v', username: 'me', password: 'ü', ca })
  const world = new MemoryWorld(
    service('worker'),
    deployment('worker'),
    found,
    triggerAuthentication('auth', refs),
    object,
  )
  const { targets } = planTargets(await world.readScale(), CLUSTER.scaling)
  const [demand] = targets[0]?.demands ?? []
  assert.ok(demand?.kind === 'queue' && demand.backlog.system === 'rabbitmq')
  const { access } = demand.backlog
  assert.deepEqual([access.username, access.password, access.ca], ['me', 'ü', ca])
})

for (const [metadata, host, reason] of [
  [{}, AMQP, /queueName is not set/],
  [{ queueName: 'q' }, AMQP, /no host/],
  [{ ...base, mode: 'DeliverGetRate' }, HTTP, /mode DeliverGetRate is not supported/],
  [{ ...base, mode: 'MessageRate' }, HTTP, /needs a value/],
  [{ ...base, mode: 'MessageRate', value: '3' }, AMQP, /needs the management API/],
  [{ ...base, protocol: 'http' }, AMQP, /protocol is http, and the host is an address of amqp/],
  [{ ...base, useRegex: 'true' }, HTTP, /useRegex is not supported/],
  [{ ...base, value: '0' }, AMQP, /value is "0"/],
  [base, 'amqp://rabbit', /no user.*`host`/],
  [base, 'ftp://a:b@rabbit', /must begin with/],
  [base, 'amqp://a:b%@rabbit', /`host` has a `%`/],
] as const) {
  test(`rabbitmq with ${JSON.stringify(metadata)} at ${host} stays unknown, with the reason`, async () => {
    const demand = await demandOf(metadata, env(host))
    assert.match(demand?.kind === 'broken' ? demand.reason : '', reason)
  })
}
