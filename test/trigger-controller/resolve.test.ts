import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Destination } from '../../crds/resource.ts'
import { resolve } from '../../trigger-controller/resolve.ts'
import { brokerRef, deployment, service, serviceRef } from '../support/world-resources.ts'

const addresses = {
  services: [
    service('orders'),
    service('empty', {}),
    service('nobody', { app: 'gone' }),
    service('both', { tier: 'web' }),
  ],
  deployments: [
    deployment('orders', { app: 'orders', version: 'v2' }),
    deployment('blue', { tier: 'web' }),
    deployment('green', { tier: 'web' }),
  ],
  brokerAddress: (id: string) => (id === 'shop/default' ? 'http://127.0.0.1:8080/shop/default' : undefined),
  sinkAddress: (id: string) =>
    id === 'rabbitmqsink/shop/out' ? 'http://127.0.0.1:8081/sinks/rabbitmqsink/shop/out' : undefined,
  features: { oidc: false },
}

const orders = { kind: 'workload', workload: 'deployment/shop/orders' }
const resolved: readonly [title: string, destination: Destination, target: object][] = [
  [
    'a Service resolves to the Deployment it selects, at an address without a trailing slash',
    serviceRef('orders'),
    { ...orders, address: 'http://orders.shop.svc.cluster.local', path: '/' },
  ],
  [
    'a relative uri is joined to the address of a Service',
    { ...serviceRef('orders'), uri: '/hook?x=1' },
    { ...orders, address: 'http://orders.shop.svc.cluster.local/hook?x=1', path: '/hook?x=1' },
  ],
  [
    'CA certificates make the address https',
    { ...serviceRef('orders'), CACerts: 'PEM' },
    { ...orders, address: 'https://orders.shop.svc.cluster.local', path: '/', trust: { caCerts: 'PEM' } },
  ],
  [
    'an audience goes with the address',
    { uri: 'https://x.test/', audience: 'x' },
    { kind: 'url', address: 'https://x.test/', trust: { audience: 'x' } },
  ],
  [
    'a Broker resolves to its address',
    brokerRef('default'),
    { kind: 'url', address: 'http://127.0.0.1:8080/shop/default' },
  ],
  ['an absolute uri is taken as it is', { uri: 'https://x.test/a?b' }, { kind: 'url', address: 'https://x.test/a?b' }],
  ['bad://uri is a legal address', { uri: 'bad://uri' }, { kind: 'url', address: 'bad://uri' }],
]
for (const [title, destination, target] of resolved) {
  test(title, () => assert.deepEqual(resolve(destination, addresses), { kind: 'resolved', target }))
}

const unresolved: readonly [destination: Destination, reason: RegExp][] = [
  [serviceRef('missing'), /Service shop\/missing does not exist/],
  [serviceRef('orders', 'other'), /Service other\/orders does not exist/],
  [serviceRef('empty'), /has no selector/],
  [serviceRef('nobody'), /selects no Deployment: app=gone/],
  [serviceRef('both'), /more than one Deployment \(blue, green\)/],
  [brokerRef('missing'), /Broker shop\/missing does not exist/],
  [{ uri: '/just/a/path' }, /not absolute/],
  [{ uri: 'mailto:me@x.test' }, /not absolute/],
  [{ ...serviceRef('orders'), uri: 'http://elsewhere.test/' }, /must be a path/],
  [{ ...serviceRef('orders'), uri: '//elsewhere.test/' }, /must be a path/],
  [{ ...serviceRef('orders'), uri: '\\\\elsewhere.test/' }, /must be a path/],
  [{ ...serviceRef('orders'), uri: 'javascript:alert(1)' }, /not a path/],
  [{}, /neither a ref nor a uri/],
  [
    { ref: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'orders', namespace: 'shop' } },
    /refer to the Service in front of it/,
  ],
  [
    { ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 'orders', namespace: 'shop' } },
    /not a kind whose address is known here/,
  ],
]
for (const [destination, reason] of unresolved) {
  test(`${JSON.stringify(destination)} is not resolved, with a reason`, () => {
    const result = resolve(destination, addresses)
    assert.equal(result.kind, 'unresolved')
    assert.match(result.kind === 'unresolved' ? result.reason : '', reason)
  })
}
