import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_FEATURES } from '../../crds/features.ts'
import { parseManifest } from '../../crds/manifest.ts'
import { planBinding } from '../../trigger-controller/plan-binding.ts'
import type { BindingFacts } from '../../trigger-controller/world.ts'

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec: {template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, command: [x]}]}}}
`
const SERVICE = '{apiVersion: v1, kind: Service, metadata: {name: svc}, spec: {selector: {app: a}}}'
const BROKER = 'ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: main}'

function plan(spec: string, more: Partial<BindingFacts> = {}, kind = 'SinkBinding') {
  const text = `apiVersion: sources.knative.dev/v1\nkind: ${kind}\nmetadata: {name: b}\nspec: {${spec}}\n---\n${DEPLOYMENT}---\n${SERVICE}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  const [binding, deployment, service] = resources
  assert.ok(binding?.kind === 'SinkBinding' || binding?.kind === 'ContainerSource', JSON.stringify(mistakes))
  assert.ok(deployment?.kind === 'Deployment' && service?.kind === 'Service')
  const { bound, status } = planBinding({
    binding,
    services: [service],
    deployments: [deployment],
    brokerAddress: id => (id === 'default/main' ? 'http://broker/default/main' : undefined),
    sinkAddress: () => undefined,
    features: DEFAULT_FEATURES,
    ...more,
  })
  const said = status.conditions.map(
    one => `${one.type} ${one.status}${one.reason === undefined ? '' : ` ${one.reason}`}`,
  )
  return { env: bound?.env, said, extra: status.extra }
}

const SUBJECT = 'subject: {apiVersion: apps/v1, kind: Deployment, name: app}'

test('a process is told its sink, and what to add to every event', () => {
  const { env, said, extra } = plan(`${SUBJECT}, sink: {${BROKER}}, ceOverrides: {extensions: {team: blue}}`)
  assert.deepEqual(env, {
    K_SINK: 'http://broker/default/main',
    K_CE_OVERRIDES: '{"extensions":{"team":"blue"}}',
  })
  assert.deepEqual(said, ['Ready True', 'SinkProvided True', 'SinkBindingAvailable True'])
  assert.deepEqual(extra, { sinkUri: 'http://broker/default/main' })
  assert.equal(plan(`${SUBJECT}, sink: {${BROKER}}`).env?.K_CE_OVERRIDES, '')
})

test('a Service is told by the address at which this world reaches it', () => {
  const sink = 'sink: {ref: {apiVersion: v1, kind: Service, name: svc}, uri: /in}'
  assert.equal(plan(`${SUBJECT}, ${sink}`).env?.K_SINK, 'http://svc.default.svc.cluster.local/in')
  const reached = plan(`${SUBJECT}, ${sink}`, {
    reach: ({ address }) => address.replace(/^.*local/, 'http://door/svc'),
  })
  assert.equal(reached.env?.K_SINK, 'http://door/svc/in')
  assert.equal(reached.extra.sinkUri, 'http://door/svc/in')
})

test('certificates of the sink are handed on, and a token that it wants is said to be missing', () => {
  const pem = '-----BEGIN CERTIFICATE-----\\nAA\\n-----END CERTIFICATE-----'
  const { env } = plan(`${SUBJECT}, sink: {uri: "https://x/y", CACerts: "${pem}"}`)
  assert.match(env?.K_CA_CERTS ?? '', /BEGIN CERTIFICATE/)
  const oidc = plan(`${SUBJECT}, sink: {${BROKER}}`, { features: { ...DEFAULT_FEATURES, oidc: true } })
  assert.match(JSON.stringify(oidc.extra), /get no token for eventing.knative.dev\/broker\/default\/main/)
})

test('what leads nowhere is said, and nothing is bound', () => {
  const nowhere = plan(`${SUBJECT}, sink: {ref: {apiVersion: v1, kind: Service, name: gone}}`)
  assert.equal(nowhere.env, undefined)
  assert.deepEqual(nowhere.said, ['Ready False NotFound', 'SinkProvided False NotFound', 'SinkBindingAvailable True'])
  const missing = plan(`subject: {apiVersion: apps/v1, kind: Deployment, name: gone}, sink: {${BROKER}}`)
  assert.deepEqual(missing.said.at(-1), 'SinkBindingAvailable False SubjectMissing')
  const job = plan(`subject: {apiVersion: batch/v1, kind: Job, name: x}, sink: {${BROKER}}`)
  assert.deepEqual(job.said.at(-1), 'SinkBindingAvailable False SubjectUnsupported')
  const template = 'template: {spec: {containers: [{name: c, command: [x]}]}}'
  const container = plan(`${template}, sink: {ref: {apiVersion: v1, kind: Service, name: gone}}`, {}, 'ContainerSource')
  assert.deepEqual(
    container.said.map(one => one.split(' ').slice(0, 2).join(' ')),
    ['Ready False', 'SinkBindingReady False', 'ReceiveAdapterReady False'],
  )
})
