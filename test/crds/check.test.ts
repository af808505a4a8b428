import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkReferences } from '../../crds/check.ts'
import { parseManifest } from '../../crds/manifest.ts'

function check(text: string): string[] {
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  assert.deepEqual(mistakes, [])
  return checkReferences(resources).map(one => `${one.line}: ${one.message}`)
}

const deployment = (name: string, env = '[]') => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec: {template: {metadata: {labels: {app: ${name}}}, spec: {containers: [{name: c, env: ${env}}]}}}
`
const service = (name: string) =>
  `---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {selector: {app: ${name}}}\n`
const trigger = (broker: string, kind: string, name: string) => `---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: t}
spec: {broker: ${broker}, subscriber: {ref: {apiVersion: v1, kind: ${kind}, name: ${name}}}}
`

test('what fits together needs no word, the default Broker is there by itself', () => {
  assert.deepEqual(check(trigger('default', 'Service', 'a') + service('a') + deployment('a')), [])
})

test('a Broker, a Service and a Deployment that are not there are pointed out, with the near name', () => {
  assert.deepEqual(check(trigger('orders', 'Service', 'worke') + service('worker')), [
    '2: Trigger/default/t: `spec.broker`: there is no Broker default/orders in these files',
    '2: Trigger/default/t: `spec.subscriber`: there is no Service default/worke in these files, did you mean default/worker?',
    '7: Service/default/worker: `spec.selector`: no Deployment in these files has pods with app=worker',
  ])
})

test('a reference to a kind that cannot be reached is pointed out', () => {
  assert.match(check(trigger('default', 'Pod', 'a'))[0] ?? '', /a Pod \(v1\) cannot be reached from here/)
})

test('a Secret or a key that is missing is pointed out, unless it is optional', () => {
  const env = (ref: string) => `[{name: A, valueFrom: {secretKeyRef: ${ref}}}]`
  const secret = '---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: x}\n'
  assert.deepEqual(check(deployment('a', env('{name: none, key: k}'))), [
    '2: Deployment/default/a: `env A`: there is no Secret default/none in these files',
  ])
  assert.deepEqual(check(deployment('a', env('{name: s, key: pasword}')) + secret), [
    '2: Deployment/default/a: `env A`: Secret default/s has no key pasword, did you mean password?',
  ])
  assert.deepEqual(check(deployment('a', env('{name: s, key: constructor}')) + secret), [
    '2: Deployment/default/a: `env A`: Secret default/s has no key constructor',
  ])
  assert.deepEqual(check(deployment('a', env('{name: none, key: k, optional: true}'))), [])
})

test('a ScaledObject without its target, its Trigger or its authentication is pointed out', () => {
  const text = `apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: so}
spec:
  scaleTargetRef: {name: w}
  triggers: [{type: weir, metadata: {trigger: t}, authenticationRef: {name: a}}]
`
  assert.deepEqual(check(text), [
    '1: ScaledObject/default/so: `spec.scaleTargetRef`: there is no Deployment default/w in these files',
    '1: ScaledObject/default/so: `authenticationRef`: there is no TriggerAuthentication default/a in these files',
    '1: ScaledObject/default/so: `metadata.trigger`: there is no Trigger default/t in these files',
  ])
})

test('two ScaledObjects for one target: the second is told who has it', () => {
  const scaled = (name: string) =>
    `---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: ${name}}\nspec: {scaleTargetRef: {name: a}, triggers: [{type: redis}]}\n`
  assert.deepEqual(check(scaled('one') + scaled('two') + deployment('a')), [
    '7: ScaledObject/default/two: `spec.scaleTargetRef`: Deployment a is scaled by ScaledObject one already',
  ])
})
