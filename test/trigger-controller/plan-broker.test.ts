import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_DELIVERY, type DeliveryPolicy } from '../../contract/delivery-policy.ts'
import { PLAIN_TRIGGER } from '../../contract/routes.ts'
import type { DeliverySpec } from '../../crds/delivery.ts'
import { DEFAULT_FEATURES } from '../../crds/features.ts'
import type { NamespaceResource } from '../../crds/namespace.ts'
import type { TriggerResource } from '../../crds/trigger.ts'
import { planBroker } from '../../trigger-controller/plan-broker.ts'
import type { BrokerFacts } from '../../trigger-controller/world.ts'
import { broker, brokerRef, deployment, service, serviceRef, trigger } from '../support/world-resources.ts'

function facts(changes: Partial<BrokerFacts>): BrokerFacts {
  return {
    broker: broker('default'),
    triggers: [],
    services: [service('worker')],
    deployments: [deployment('worker')],
    brokerAddress: id => (id === 'shop/default' ? 'http://127.0.0.1:8080/shop/default' : undefined),
    sinkAddress: () => undefined,
    features: DEFAULT_FEATURES,
    policies: [],
    senders: [],
    ...changes,
  }
}

function plan(changes: Partial<BrokerFacts>) {
  return planBroker(facts(changes), { servesEveryClass: true, scaling: () => [] })
}

/** One Trigger's route and what its status says. */
function planOne(one: TriggerResource, changes: Partial<BrokerFacts> = {}) {
  const planned = plan({ triggers: [one], ...changes })
  const route = planned.route?.triggers[0]
  assert.ok(route !== undefined)
  const status = planned.statuses[`Trigger/shop/${one.metadata.name}`]
  assert.ok(status !== undefined)
  const said = (type: string) => {
    const found = status.conditions.find(condition => condition.type === type)
    return [found?.status, found?.reason].filter(part => part !== undefined).join(' ')
  }
  return { route, status, said }
}

test('a Broker without anything wrong is Ready, by the conditions of its own class', () => {
  const { statuses } = plan({})
  const status = statuses['Broker/shop/default']
  assert.deepEqual(
    status?.conditions.map(({ type, status: value }) => `${type} ${value}`),
    [
      'Ready True',
      'IngressReady True',
      'FilterReady True',
      'Addressable True',
      'DeadLetterSinkResolved True',
      'EventPoliciesReady True',
    ],
  )
  assert.deepEqual(status?.extra.address, { url: 'http://127.0.0.1:8080/shop/default' })
})

test('a Broker that nobody serves yet is not addressable, and so not Ready, and its Triggers neither', () => {
  const { statuses } = plan({ brokerAddress: () => undefined, triggers: [trigger('orders')] })
  assert.deepEqual(statuses['Broker/shop/default']?.conditions[0]?.reason, 'NoAddress')
  assert.equal(statuses['Trigger/shop/orders']?.conditions[0]?.reason, 'NoAddress')
})

test('a foreign class is served where every class is, and pointed out; elsewhere it is left alone', () => {
  const foreign = broker('default', {}, { annotations: { 'eventing.knative.dev/broker.class': 'Kafka' } })
  const served = plan({ broker: foreign, triggers: [trigger('orders')] })
  assert.equal(served.route?.triggers.length, 1)
  assert.match(JSON.stringify(served.statuses['Broker/shop/default']?.extra), /class Kafka is another/)

  const left = planBroker(facts({ broker: foreign }), { servesEveryClass: false, scaling: () => [] })
  assert.deepEqual(left, { route: undefined, statuses: {} })
})

test('a route carries everything that the broker needs', () => {
  const { route, said, status } = planOne(
    trigger(
      'orders',
      { filters: [{ exact: { type: 'order.made' } }, { not: { any: [{ prefix: { source: '/test' } }] } }] },
      { 'weir.dev/concurrency': '3', 'weir.dev/reply': 'strict' },
    ),
  )
  assert.deepEqual(route, {
    id: 'shop/orders',
    uid: 'Trigger/shop/orders',
    filters: [{ exact: { type: 'order.made' } }, { not: { any: [{ prefix: { source: '/test' } }] } }],
    subscriber: {
      kind: 'workload',
      address: 'http://worker.shop.svc.cluster.local',
      workload: 'deployment/shop/worker',
      path: '/',
    },
    deadLetter: undefined,
    delivery: DEFAULT_DELIVERY,
    concurrency: 3,
    reply: 'strict',
    ...PLAIN_TRIGGER,
  })
  assert.equal(said('Ready'), 'True')
  assert.equal(status.extra.subscriberUri, 'http://worker.shop.svc.cluster.local')
})

test('what the annotations ask for is in the route, with defaults where they ask for half of it', () => {
  const { route } = planOne(
    trigger(
      'orders',
      {},
      {
        'weir.dev/order': 'key',
        'weir.dev/batch-max-events': '7',
        'weir.dev/circuit-failures': '3',
        'weir.dev/rate-per-second': '2.5',
        'weir.dev/concurrency-total': '4',
        'weir.dev/paused': 'true',
        'weir.dev/expiry': 'discard',
      },
    ),
  )
  assert.equal(route.order, 'partitionkey')
  assert.deepEqual(route.batch, { maxEvents: 7, maxWaitMs: 1000, maxBytes: 1 << 20 })
  const circuit = { failures: 3, waitMs: 30_000 }
  assert.deepEqual(route.limits, { total: 4, perSecond: 2.5, adaptive: false, circuit })
  assert.deepEqual([route.paused, route.expiry, route.start], [true, 'discard', 'now'])
})

test('a condition on data stands last in the route; one that cannot be read lets nothing pass and says why', () => {
  const filters = [{ exact: { type: 'a' } }]
  const { route } = planOne(trigger('a', { filters }, { 'weir.dev/filter-data': 'data.n > 1' }))
  assert.deepEqual(route.filters, [{ exact: { type: 'a' } }, { data: 'data.n > 1' }])
  const broken = planOne(trigger('a', { filters }, { 'weir.dev/filter-data': 'data.n >' }))
  assert.deepEqual(broken.route.filters, [{ any: [] }])
  assert.equal(broken.said('Ready'), 'False FilterInvalid')
})

test('what a Namespace allows is in the route of each of its Brokers, and a mistake in it is told by them', () => {
  const namespace = (limit: string): NamespaceResource => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    where: { file: '', line: 1, column: 1 },
    metadata: {
      name: 'shop',
      namespace: 'default',
      labels: {},
      annotations: { 'weir.dev/quota-backlog': limit, 'weir.dev/quota-events-per-second': '5' },
    },
  })
  const planned = plan({ namespace: namespace('100') })
  assert.deepEqual(planned.route?.quota, { eventsPerSecond: 5, bytesPerSecond: undefined, backlog: 100 })
  assert.equal(plan({}).route?.quota, undefined)
  assert.match(JSON.stringify(plan({ namespace: namespace('x') }).statuses['Broker/shop/default']), /quota-backlog/)
})

test('ten at once per replica, a hundred for an address, unless the annotation says otherwise', () => {
  assert.equal(planOne(trigger('a')).route.concurrency, 10)
  assert.equal(planOne(trigger('a', { subscriber: { uri: 'https://x.test' } })).route.concurrency, 100)
  const annotated = trigger('a', { subscriber: { uri: 'https://x.test' } }, { 'weir.dev/concurrency': '7' })
  assert.equal(planOne(annotated).route.concurrency, 7)
  const { route, status } = planOne(trigger('a', {}, { 'weir.dev/concurrency': 'many' }))
  assert.equal(route.concurrency, 10)
  assert.match(JSON.stringify(status.extra), /weir\.dev\/concurrency/)
})

test('the older filter counts only where filters is empty', () => {
  const filter = { attributes: { type: 'a' } }
  assert.deepEqual(planOne(trigger('a', { filter })).route.filters, [{ attributes: { type: 'a' } }])
  const both = trigger('a', { filter, filters: [{ exact: { type: 'b' } }] })
  assert.deepEqual(planOne(both).route.filters, [{ exact: { type: 'b' } }])
  assert.deepEqual(planOne(trigger('a', { filter: { attributes: {} } })).route.filters, [])
})

const where = { file: 'a.yaml', line: 1, column: 1 }

test('expressions are passed on as they are', () => {
  const filters = [{ all: [{ cesql: "type = 'a'", where }, { not: { cesql: 'EXISTS b', where } }] }]
  const { route, said, status } = planOne(trigger('a', { filters }))
  assert.deepEqual(route.filters, [{ all: [{ cesql: "type = 'a'" }, { not: { cesql: 'EXISTS b' } }] }])
  assert.equal(said('Ready'), 'True')
  assert.equal(status.extra.annotations, undefined)
})

test('an expression that cannot be compiled lets nothing pass, says where and why, and keeps its queue', () => {
  for (const [cesql, words] of [
    ['type = ', 'character 8: a value must stand here'],
    ['LENGHT(type) = 5', 'character 1: there is no function LENGHT'],
    ['subject', 'character 1: a filter must give a Boolean'],
  ] as const) {
    const filters = [{ exact: { type: 'x' } }, { all: [{ not: { cesql, where } }] }]
    const { route, said, status } = planOne(trigger('a', { filters }))
    assert.deepEqual(route.filters, [{ any: [] }])
    assert.equal(said('SubscriptionReady'), 'False FilterInvalid')
    assert.equal(said('Ready'), 'False FilterInvalid')
    const message = status.conditions.find(condition => condition.type === 'SubscriptionReady')?.message
    assert.ok(message?.startsWith(`spec.filters[1].all[0].not.cesql: ${words}`), message)
  }
})

test('an expression that is seldom meant as it is read still works, and its status says so', () => {
  const filters = [{ cesql: 'EXISTS a OR EXISTS b AND EXISTS c', where }]
  const { said, status } = planOne(trigger('a', { filters }))
  assert.equal(said('Ready'), 'True')
  assert.match(
    JSON.stringify(status.extra.annotations),
    /spec\.filters\[0\]\.cesql: character 22: OR and AND have the same/,
  )
})

test('a Trigger whose subscriber cannot be resolved stays routed, so that its events wait and none is dropped', () => {
  const { route, said, status } = planOne(trigger('a', { subscriber: serviceRef('missing') }))
  assert.deepEqual(route.subscriber, { kind: 'workload', address: '', workload: 'unresolved/shop/a', path: '/' })
  assert.equal(said('SubscriberResolved'), "False Unable to get the Subscriber's URI")
  assert.equal(said('Ready'), "False Unable to get the Subscriber's URI")
  assert.equal(status.extra.subscriberUri, undefined)
})

const policies: readonly [
  title: string,
  DeliverySpec | undefined,
  DeliverySpec | undefined,
  Partial<DeliveryPolicy>,
][] = [
  ['no delivery anywhere takes the default', undefined, undefined, DEFAULT_DELIVERY],
  ["the Broker's delivery counts where the Trigger has none", undefined, { retry: 3 }, { retries: 3 }],
  ["the Trigger's delivery replaces the Broker's whole", { timeoutMs: 5 }, { retry: 3 }, { retries: 0, timeoutMs: 5 }],
  [
    'an empty block is a declaration: one attempt of thirty seconds',
    {},
    undefined,
    { retries: 0, timeoutMs: 30_000, jitter: false, backoffMs: 0, backoffMaxMs: undefined },
  ],
  [
    'a declared back-off has no hidden cap and no chance in it',
    { retry: 9, backoffPolicy: 'linear', backoffDelayMs: 200, format: 'json' },
    undefined,
    { retries: 9, backoff: 'linear', backoffMs: 200, backoffMaxMs: undefined, jitter: false, format: 'structured' },
  ],
  [
    'a delay without a policy retries at once, as in Knative',
    { retry: 1, backoffDelayMs: 200 },
    undefined,
    { backoffMs: 0 },
  ],
  [
    'what the block names of caps is kept',
    { retry: 1, backoffMaxMs: 7, retryAfterMaxMs: 0, format: 'binary' },
    undefined,
    { backoffMaxMs: 7, retryAfterMaxMs: 0, format: 'binary' },
  ],
]
for (const [title, own, brokers, expected] of policies) {
  test(title, () => {
    const { route } = planOne(trigger('a', own === undefined ? {} : { delivery: own }), {
      broker: broker('default', brokers === undefined ? {} : { delivery: brokers }),
    })
    assert.deepEqual({ ...route.delivery, ...expected }, route.delivery)
  })
}

test('status says that nobody declared a delivery', () => {
  assert.match(JSON.stringify(planOne(trigger('a')).status.conditions), /no delivery is declared.*155 retries/)
  assert.doesNotMatch(
    JSON.stringify(planOne(trigger('a', { delivery: {} })).status.conditions),
    /no delivery is declared/,
  )
})

test('the annotation backoff-max caps the default, and a block that names no cap; the nearer one wins', () => {
  const capped = { 'weir.dev/backoff-max': 'PT5S' }
  assert.equal(planOne(trigger('a', {}, capped)).route.delivery.backoffMaxMs, 5_000)
  const onBroker = { broker: broker('default', {}, { annotations: { 'weir.dev/backoff-max': 'PT1M' } }) }
  assert.equal(planOne(trigger('a'), onBroker).route.delivery.backoffMaxMs, 60_000)
  assert.equal(planOne(trigger('a', {}, capped), onBroker).route.delivery.backoffMaxMs, 5_000)
  const block = trigger('a', { delivery: { retry: 1, backoffMaxMs: 7 } }, capped)
  assert.equal(planOne(block).route.delivery.backoffMaxMs, 7)
})

test("the dead-letter sink falls back to the Broker's, even under a delivery that replaces the rest", () => {
  const dead = broker('default', { delivery: { deadLetterSink: { uri: 'http://dead.test' } } })
  const { route, status } = planOne(trigger('a', { delivery: { retry: 2 } }), { broker: dead })
  assert.deepEqual(route.deadLetter, { kind: 'url', address: 'http://dead.test' })
  assert.equal(route.delivery.retries, 2)
  assert.equal(status.extra.deadLetterSinkUri, 'http://dead.test')
  const own = trigger('a', { delivery: { deadLetterSink: { uri: 'http://own.test' } } })
  assert.deepEqual(planOne(own, { broker: dead }).route.deadLetter, { kind: 'url', address: 'http://own.test' })
})

test('a dead-letter sink that cannot be resolved is told, and its events wait for it instead of being parked', () => {
  const { route, said } = planOne(trigger('a', { delivery: { deadLetterSink: brokerRef('missing') } }))
  assert.equal(route.deadLetter?.kind, 'workload')
  assert.equal(said('Ready'), "False Unable to get the dead letter sink's URI")
})

test('a Broker or Trigger made again under its name is another one', () => {
  const again = { ...trigger('a'), metadata: { ...trigger('a').metadata, uid: '7f' } }
  const planned = plan({ broker: broker('default', {}, { uid: '3c' }), triggers: [again] })
  assert.equal(planned.route?.uid, '3c')
  assert.equal(planned.route?.triggers[0]?.uid, '7f')
})
