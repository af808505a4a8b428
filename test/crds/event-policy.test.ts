import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkReferences } from '../../crds/check.ts'
import { type EventPolicyResource, protects } from '../../crds/event-policy.ts'
import { readFeatures } from '../../crds/features.ts'
import { type LabelSelector, selects } from '../../crds/label-selector.ts'
import { parseManifest } from '../../crds/manifest.ts'

const HEAD = 'apiVersion: eventing.knative.dev/v1alpha1\nkind: EventPolicy\nmetadata: {name: p, namespace: shop}\n'

function read(spec: string) {
  const { resources, mistakes, notices } = parseManifest(`${HEAD}spec:\n${spec}`, 'a.yaml')
  const [resource] = resources
  return {
    policy: resource?.kind === 'EventPolicy' ? resource : undefined,
    mistakes: mistakes.map(one => `${one.line}: ${one.message}`),
    notices: notices.map(one => one.message),
  }
}

const ALL = `
  to:
  - ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: main}
  - selector:
      apiVersion: eventing.knative.dev/v1
      kind: Broker
      matchLabels: {tier: gold}
      matchExpressions: [{key: zone, operator: In, values: [a, b]}, {key: old, operator: DoesNotExist}]
  from:
  - ref: {apiVersion: sources.weir.dev/v1alpha1, kind: AzureStorageQueueSource, name: orders}
  - ref: {apiVersion: eventing.knative.dev/v1, kind: Trigger, name: t, namespace: other}
  - sub: "system:serviceaccount:shop:*"
  filters:
  - exact: {type: order}
  - cesql: "source LIKE '/a%'"
`

test('an EventPolicy with every field is read, and references to senders get the own namespace', () => {
  const { policy, mistakes, notices } = read(ALL)
  assert.deepEqual(mistakes, [])
  assert.deepEqual(notices, [])
  assert.ok(policy !== undefined)
  assert.deepEqual(policy.spec.from, [
    {
      ref: {
        apiVersion: 'sources.weir.dev/v1alpha1',
        kind: 'AzureStorageQueueSource',
        name: 'orders',
        namespace: 'shop',
      },
    },
    { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Trigger', name: 't', namespace: 'other' } },
    { sub: 'system:serviceaccount:shop:*' },
  ])
  assert.equal(policy.spec.to.length, 2)
  assert.equal(policy.spec.filters.length, 2)
})

test('every mistake of a policy has its line, and says what to do', () => {
  const { mistakes } = read(`
  to:
  - {}
  - ref: {apiVersion: eventing.knative.dev/v1, kind: Brokr, name: main}
  - ref: {apiVersion: eventing.knative.dev/v1beta1, kind: Broker, name: main}
  - ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: main, namespace: other}
  - selector: {apiVersion: eventing.knative.dev/v1, kind: Broker, matchExpressions: [{key: a, operator: In}]}
  - selector: {apiVersion: eventing.knative.dev/v1, kind: Broker, matchExpressions: [{key: a, operator: Exists, values: [x]}]}
  - selector: {apiVersion: eventing.knative.dev/v1, kind: Broker, matchExpressions: [{key: a, operator: in, values: [x]}]}
  from:
  - sub: "system:*:shop"
  - {sub: a, ref: {apiVersion: v1, kind: Trigger, name: x}}
  - subject: a
  - sub: ""
  filters:
  - {exact: {type: a}, prefix: {type: b}}
  form: []
`)
  assert.deepEqual(mistakes, [
    '7: `spec.to[0]` needs `ref` or `selector`',
    '8: unknown kind `Brokr`, did you mean `Broker`?',
    '9: the apiVersion of Broker is `eventing.knative.dev/v1`, not `eventing.knative.dev/v1beta1`',
    '10: unknown field `namespace` in `spec.to[3].ref`: a policy protects what is in its own namespace',
    '11: `spec.to[4].selector.matchExpressions[0].values` must name at least one for In',
    '12: `spec.to[5].selector.matchExpressions[0].values` must be empty for Exists',
    '13: `spec.to[6].selector.matchExpressions[0].operator` must be one of `In`, `NotIn`, `Exists`, `DoesNotExist`, not `in`, did you mean `In`?',
    '15: `spec.from[0].sub` may have a `*` only as its last character, not "system:*:shop"',
    '16: expected exactly one of `spec.from[1].ref` and `spec.from[1].sub`, got both',
    '17: unknown field `subject` in `spec.from[2]`: did you mean `sub`?',
    '17: `spec.from[2]` needs `ref` or `sub`',
    '18: `spec.from[3].sub` must not be empty',
    '20: multiple dialects found in `spec.filters[0]`, a filter can have only one: make `exact` and `prefix` entries of their own',
    '21: unknown field `form` in `spec`, did you mean `from`?',
  ])
})

test('a policy that lets nobody send, and one for something else than a Broker, are legal and said', () => {
  const { mistakes, notices } = read('  to: [{ref: {apiVersion: messaging.knative.dev/v1, kind: Channel, name: c}}]')
  assert.deepEqual(mistakes, [])
  assert.deepEqual(notices, [
    '`spec.from` names nobody: this policy lets nobody send',
    'a Channel is not protected here: Weir enforces policies for Brokers',
  ])
})

test('what a policy refers to and is not there is pointed out', () => {
  const text = `${HEAD}spec:
  to: [{ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: mian}}]
  from:
  - ref: {apiVersion: eventing.knative.dev/v1, kind: Trigger, name: t}
  - ref: {apiVersion: v1, kind: ServiceAccount, name: robot}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: main, namespace: shop}
`
  const on = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-features, namespace: knative-eventing}
data: {authentication-oidc: enabled}
`
  const check = (yaml: string) => checkReferences(parseManifest(yaml, 'a.yaml').resources).map(one => one.message)
  assert.match(check(text)[0] ?? '', /EventPolicy\/shop\/p: anybody may send all the same: OIDC is off/)
  assert.deepEqual(check(text + on), [
    'EventPolicy/shop/p: `spec.to[0].ref`: there is no Broker shop/mian in these files, did you mean shop/main?',
    'EventPolicy/shop/p: `spec.from[0].ref`: there is no Trigger shop/t in these files',
    'EventPolicy/shop/p: `spec.from[1].ref`: a ServiceAccount has no identity here, name its subject: `sub: system:serviceaccount:shop:…`',
  ])
})

test('a policy protects the Brokers that it names or selects in its own namespace, all of them where it names none', () => {
  const broker = (name: string, labels = {}, namespace = 'shop') => ({
    metadata: { name, namespace, labels, annotations: {} },
  })
  const { policy } = read(ALL)
  assert.ok(policy !== undefined)
  assert.equal(protects(policy, broker('main')), true)
  assert.equal(protects(policy, broker('other')), false)
  assert.equal(protects(policy, broker('other', { tier: 'gold', zone: 'b' })), true)
  assert.equal(protects(policy, broker('other', { tier: 'gold', zone: 'c' })), false)
  assert.equal(protects(policy, broker('other', { tier: 'gold', zone: 'b', old: '' })), false)
  assert.equal(protects(policy, broker('main', {}, 'elsewhere')), false)
  const everything: EventPolicyResource = { ...policy, spec: { ...policy.spec, to: [] } }
  assert.equal(protects(everything, broker('any')), true)
  assert.equal(protects(everything, broker('any', {}, 'elsewhere')), false)
})

test("a label selector's operators are Kubernetes' own, where an absent label is in no list", () => {
  const is = (operator: LabelSelector['matchExpressions'][number]['operator'], values: string[], labels = {}) =>
    selects({ matchLabels: {}, matchExpressions: [{ key: 'a', operator, values }] }, labels)
  assert.equal(is('In', ['x'], { a: 'x' }), true)
  assert.equal(is('In', ['x']), false)
  assert.equal(is('NotIn', ['x'], { a: 'x' }), false)
  assert.equal(is('NotIn', ['x']), true)
  assert.equal(is('Exists', [], { a: '' }), true)
  assert.equal(is('Exists', []), false)
  assert.equal(is('DoesNotExist', []), true)
  assert.equal(selects({ matchLabels: {}, matchExpressions: [] }, {}), true)
  assert.equal(selects({ matchLabels: { constructor: 'x' }, matchExpressions: [] }, {}), false)
})

const config = (data: string, name = 'config-features', namespace = 'knative-eventing') =>
  parseManifest(
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: ${namespace}}\ndata: ${data}`,
    'f.yaml',
  )

test('features are read without regard to case, and are as Knative ships them where nothing is said', () => {
  const said = config('{authentication-oidc: Enabled, default-authorization-mode: DENY-ALL, other: whatever}')
  const [resource] = said.resources
  assert.ok(resource?.kind === 'ConfigMap')
  assert.deepEqual(readFeatures(resource), { oidc: true, authorization: 'deny-all', issuer: undefined })
  assert.deepEqual(readFeatures(undefined), { oidc: false, authorization: 'allow-same-namespace', issuer: undefined })
  assert.deepEqual(readFeatures({ data: { 'authentication-oidc': 'on' } }).oidc, false)
})

test('a misspelt feature that would leave the door open is a mistake, and only in the ConfigMap of the features', () => {
  const mistakes = config('{authentication-oidc: enable, default-authorization-mode: deny}').mistakes
  assert.deepEqual(
    mistakes.map(one => one.message),
    [
      '`authentication-oidc` must be `enabled` or `disabled`, not `enable`',
      '`default-authorization-mode` must be `allow-all` or `deny-all` or `allow-same-namespace`, not `deny`',
    ],
  )
  assert.deepEqual(config('{authentication-oidc: enable}', 'mine').mistakes, [])
  assert.deepEqual(config('{authentication-oidc: enable}', 'config-features', 'shop').mistakes, [])
})

test('an issuer beside the cluster itself has to be asked over https, or on this machine', () => {
  const issuer = (url: string) => {
    const { resources, mistakes } = config(`{oidc-discovery-base-url: "${url}"}`)
    const [resource] = resources
    return resource?.kind === 'ConfigMap' ? readFeatures(resource).issuer : mistakes[0]?.message
  }
  assert.equal(issuer('https://kubernetes.default.svc'), undefined)
  assert.equal(issuer('https://login.example.com/tenant'), 'https://login.example.com/tenant')
  assert.equal(issuer('http://127.0.0.1:5556/dex'), 'http://127.0.0.1:5556/dex')
  for (const wrong of ['http://login.example.com', 'login.example.com', 'ftp://x'])
    assert.equal(issuer(wrong), `\`oidc-discovery-base-url\` must be an https address, not \`${wrong}\``)
})
