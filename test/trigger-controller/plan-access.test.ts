import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_FEATURES, type Features } from '../../crds/features.ts'
import { serviceAccountName } from '../../trigger-controller/identity.ts'
import { planPolicy } from '../../trigger-controller/plan-access.ts'
import { planBroker } from '../../trigger-controller/plan-broker.ts'
import { planSource } from '../../trigger-controller/plan-source.ts'
import type { BrokerFacts } from '../../trigger-controller/world.ts'
import {
  broker,
  brokerRef,
  deployment,
  eventPolicy,
  queueSource,
  service,
  trigger,
} from '../support/world-resources.ts'

const ON: Features = { oidc: true, authorization: 'allow-same-namespace', issuer: undefined }
const AUDIENCE = 'eventing.knative.dev/broker/shop/default'
const ADDRESS = 'http://127.0.0.1:8080/shop/default'

function plan(changes: Partial<BrokerFacts>) {
  const facts: BrokerFacts = {
    broker: broker('default'),
    triggers: [],
    services: [service('worker')],
    deployments: [deployment('worker')],
    brokerAddress: id => (id === 'shop/default' ? ADDRESS : undefined),
    sinkAddress: () => undefined,
    features: ON,
    policies: [],
    senders: [],
    ...changes,
  }
  const { route, statuses } = planBroker(facts, { servesEveryClass: true, scaling: () => [] })
  const status = statuses['Broker/shop/default']
  assert.ok(route !== undefined && status !== undefined)
  return { route, status, statuses, said: (type: string) => saidOf(status.conditions, type) }
}

function saidOf(conditions: readonly { type: string; status: string; reason?: string }[], type: string): string {
  const found = conditions.find(one => one.type === type)
  return [found?.status, found?.reason].filter(part => part !== undefined).join(' ')
}

const sub = (text: string) => ({ sub: text })
const ref = (kind: string, name: string, namespace = 'shop') => ({ ref: { apiVersion: 'x/v1', kind, name, namespace } })

test('with OIDC off anybody may send, and a policy that protects the Broker is said not to be enforced', () => {
  const policies = [eventPolicy('locked', [sub('a')])]
  const { route, status, said } = plan({ features: DEFAULT_FEATURES, policies })
  assert.equal(route.access, undefined)
  assert.equal(said('EventPoliciesReady'), 'True OIDCDisabled')
  assert.deepEqual(status.extra.address, { url: ADDRESS })
  assert.equal(status.extra.policies, undefined)
  assert.match(
    JSON.stringify(status.extra.annotations),
    /anybody may send: EventPolicy locked is not enforced, as OIDC is off/,
  )
  const own = planPolicy({ policy: eventPolicy('locked', [sub('a')]), features: DEFAULT_FEATURES, senders: [] })
  assert.equal(saidOf(own.conditions, 'Ready'), 'False OIDCAuthenticationDisabled')
  assert.match(JSON.stringify(own.conditions), /knative-eventing\/config-features/)
})

test('with OIDC on a Broker has an audience, and without a policy the default mode holds', () => {
  const { route, status, said } = plan({ features: { ...ON, authorization: 'deny-all' } })
  assert.deepEqual(route.access, { audience: AUDIENCE, policies: [], otherwise: 'deny-all' })
  assert.deepEqual(status.extra.address, { url: ADDRESS, audience: AUDIENCE })
  assert.equal(said('EventPoliciesReady'), 'True DefaultAuthorizationMode')
  assert.equal(said('Ready'), 'True')
})

test('the policies that protect a Broker are in its route by name, with the subjects of what they refer to', () => {
  const source = queueSource('orders')
  const policies = [
    eventPolicy('b', [sub('system:serviceaccount:x:*')], { filters: [{ exact: { type: 'a' } }] }),
    eventPolicy('a', [ref('AzureStorageQueueSource', 'orders')]),
    eventPolicy('other', [sub('nobody')], {
      to: [{ ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'another' } }],
    }),
  ]
  const { route, status, said } = plan({ policies, senders: [source] })
  assert.deepEqual(route.access?.policies, [
    {
      name: 'EventPolicy/shop/a',
      subjects: ['system:serviceaccount:shop:orders-oidc-sources.weir.dev-azurestoragequeuesource'],
      filters: [],
    },
    { name: 'EventPolicy/shop/b', subjects: ['system:serviceaccount:x:*'], filters: [{ exact: { type: 'a' } }] },
  ])
  assert.deepEqual(status.extra.policies, [
    { apiVersion: 'eventing.knative.dev/v1alpha1', name: 'a' },
    { apiVersion: 'eventing.knative.dev/v1alpha1', name: 'b' },
  ])
  assert.equal(said('EventPoliciesReady'), 'True')
})

test('a policy whose sender is missing makes the Broker not ready, and still keeps everybody else out', () => {
  const policy = eventPolicy('a', [ref('Trigger', 'gone'), sub('known')])
  const { route, status, said } = plan({ policies: [policy], features: { ...ON, authorization: 'allow-all' } })
  assert.deepEqual(route.access?.policies, [{ name: 'EventPolicy/shop/a', subjects: ['known'], filters: [] }])
  assert.equal(said('EventPoliciesReady'), 'False EventPoliciesNotReady')
  assert.equal(said('Ready'), 'False EventPoliciesNotReady')
  assert.equal(status.extra.policies, undefined)
  const own = planPolicy({ policy, features: ON, senders: [] })
  assert.equal(saidOf(own.conditions, 'SubjectsResolved'), 'False SubjectsNotResolved')
  assert.match(JSON.stringify(own.conditions), /spec\.from\[0\]\.ref: there is no Trigger shop\/gone/)
  assert.deepEqual(own.extra.from, ['known'])
})

test('a policy with an expression that cannot be compiled lets nothing pass, and says where it is wrong', () => {
  const where = { file: 'a.yaml', line: 1, column: 1 }
  const policy = eventPolicy('a', [sub('s')], { filters: [{ exact: { type: 'x' } }, { cesql: 'type = ', where }] })
  const { route, said } = plan({ policies: [policy] })
  assert.deepEqual(route.access?.policies[0]?.filters, [{ any: [] }])
  assert.equal(said('Ready'), 'False EventPoliciesNotReady')
  const own = planPolicy({ policy, features: ON, senders: [] })
  assert.equal(saidOf(own.conditions, 'Ready'), 'False FilterInvalid')
  assert.match(JSON.stringify(own.conditions), /spec\.filters\[1\]\.cesql: character 8/)
})

test('a policy that is right tells its subjects', () => {
  const policy = eventPolicy('a', [ref('Trigger', 't'), sub('x*')])
  const { conditions, extra } = planPolicy({ policy, features: ON, senders: [trigger('t')] })
  assert.equal(saidOf(conditions, 'Ready'), 'True')
  assert.deepEqual(extra.from, ['system:serviceaccount:shop:t-oidc-eventing.knative.dev-trigger', 'x*'])
})

test('with OIDC on a Trigger has an identity, and one that sends to a Broker shows a token for it', () => {
  const one = trigger('orders', { subscriber: brokerRef('default') })
  const on = plan({ triggers: [one] })
  const status = on.statuses['Trigger/shop/orders']
  assert.deepEqual(status?.extra.auth, { serviceAccountName: 'orders-oidc-eventing.knative.dev-trigger' })
  assert.equal(saidOf(status?.conditions ?? [], 'OIDCIdentityCreated'), 'True')
  assert.equal(status?.extra.subscriberAudience, AUDIENCE)
  assert.deepEqual(on.route.triggers[0]?.subscriber.trust, {
    audience: AUDIENCE,
    subject: 'system:serviceaccount:shop:orders-oidc-eventing.knative.dev-trigger',
  })
  const off = plan({ triggers: [one], features: DEFAULT_FEATURES })
  assert.equal(off.statuses['Trigger/shop/orders']?.extra.auth, undefined)
  assert.equal(off.route.triggers[0]?.subscriber.trust, undefined)
})

test("an audience that a destination names wins over the Broker's own", () => {
  const one = trigger('orders', { subscriber: { ...brokerRef('default'), audience: 'mine' } })
  assert.equal(plan({ triggers: [one] }).route.triggers[0]?.subscriber.trust?.audience, 'mine')
})

test('a source gets a token for its sink and tells its identity, only where OIDC is on', () => {
  const source = queueSource('orders')
  const facts = {
    source,
    services: [],
    deployments: [],
    brokerAddress: () => ADDRESS,
    sinkAddress: () => undefined,
    secretValue: () => 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net',
  }
  const on = planSource({ ...facts, features: ON }, [])
  assert.deepEqual(on.adapter?.sink.token, {
    audience: AUDIENCE,
    subject: 'system:serviceaccount:shop:orders-oidc-sources.weir.dev-azurestoragequeuesource',
  })
  assert.equal(on.status.extra.sinkAudience, AUDIENCE)
  assert.equal(planSource({ ...facts, features: DEFAULT_FEATURES }, []).adapter?.sink.token, undefined)
})

test("a long name is cut and hashed as Knative's own controller does, and stays a name", () => {
  const named = (name: string) =>
    serviceAccountName({
      apiVersion: 'eventing.knative.dev/v1',
      kind: 'Trigger',
      metadata: { namespace: 'shop', name },
    })
  assert.equal(named('a'.repeat(29)).length, 63)
  // After the first 31 characters of the name: the MD5 of it with `-oidc-eventing.knative.dev-Trigger`.
  assert.equal(named('a'.repeat(30)), `${'a'.repeat(30)}27637eeef263f5da107802d5564fa0d0`)
  assert.notEqual(named(`${'a'.repeat(40)}x`), named(`${'a'.repeat(40)}y`))
  assert.ok(named('b'.repeat(63)).length <= 63)
})
