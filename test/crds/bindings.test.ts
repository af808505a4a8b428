import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSubject } from '../../crds/bindings.ts'
import { checkReferences } from '../../crds/check.ts'
import { containerDeployment } from '../../crds/container-source.ts'
import { parseManifest } from '../../crds/manifest.ts'

const SINK = 'sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}'
const SUBJECT = 'subject: {apiVersion: apps/v1, kind: Deployment, name: app}'
const TEMPLATE =
  'template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, command: [node, x.mjs], env: [{name: A, value: b}]}]}}'
const DEPLOYMENT = `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: ns, labels: {app: a}}
spec: {template: {spec: {containers: [{name: c, command: [x]}]}}}
`

function read(kind: string, spec: string, more = '') {
  const text = `apiVersion: sources.knative.dev/v1\nkind: ${kind}\nmetadata: {name: b, namespace: ns}\nspec: {${spec}}\n${more}`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  return { resources, mistakes: mistakes.map(one => one.message).join('\n') }
}

test('a SinkBinding names its workload, or says which labels it has', () => {
  const named = read('SinkBinding', `${SUBJECT}, ${SINK}, ceOverrides: {extensions: {team: blue}}`, DEPLOYMENT)
  assert.equal(named.mistakes, '')
  const [binding, deployment] = named.resources
  assert.ok(binding?.kind === 'SinkBinding' && deployment?.kind === 'Deployment')
  assert.deepEqual(binding.spec, {
    subject: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'app' },
    sink: { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'default', namespace: 'ns' } },
    extensions: { team: 'blue' },
  })
  const { subject } = binding.spec
  assert.equal(isSubject(subject, 'ns', deployment), true)
  assert.equal(isSubject(subject, 'other', deployment), false)
  assert.equal(isSubject({ ...subject, name: 'other' }, 'ns', deployment), false)
  assert.equal(isSubject({ ...subject, kind: 'Job' }, 'ns', deployment), false)

  const labelled = read(
    'SinkBinding',
    `subject: {apiVersion: apps/v1, kind: Deployment, selector: {matchLabels: {app: a}}}, ${SINK}`,
  )
  const [other] = labelled.resources
  assert.ok(other?.kind === 'SinkBinding')
  assert.equal(isSubject(other.spec.subject, 'ns', deployment), true)
  const unlabelled = { ...deployment, metadata: { ...deployment.metadata, labels: { app: 'b' } } }
  assert.equal(isSubject(other.spec.subject, 'ns', unlabelled), false)
})

test('a ContainerSource stands for a Deployment of one replica, by the name that Knative gives it', () => {
  const { resources, mistakes } = read('ContainerSource', `${TEMPLATE}, ${SINK}`)
  assert.equal(mistakes, '')
  const [source] = resources
  assert.ok(source?.kind === 'ContainerSource')
  const { metadata, spec } = containerDeployment(source)
  assert.deepEqual([metadata.namespace, metadata.name, spec.replicas], ['ns', 'b-deployment', 1])
  assert.deepEqual(spec.container, {
    name: 'c',
    command: ['node', 'x.mjs'],
    args: [],
    env: [{ name: 'A', value: 'b' }],
  })
})

test('each mistake is told with a hint', () => {
  const says = (kind: string, spec: string) => read(kind, spec).mistakes
  assert.match(says('SinkBinding', SINK), /missing field `spec.subject`/)
  assert.match(says('SinkBinding', SUBJECT), /missing field `spec.sink`/)
  assert.match(says('SinkBinding', `subject: {apiVersion: apps/v1, kind: Deployment}, ${SINK}`), /`name` or `selector`/)
  const both = 'subject: {apiVersion: apps/v1, kind: Deployment, name: a, selector: {}}'
  assert.match(says('SinkBinding', `${both}, ${SINK}`), /exactly one of/)
  const elsewhere = 'subject: {apiVersion: apps/v1, kind: Deployment, name: a, namespace: other}'
  assert.match(says('SinkBinding', `${elsewhere}, ${SINK}`), /binding's own namespace, ns/)
  assert.match(says('SinkBinding', `${SUBJECT}, ${SINK}, delivery: {}`), /retries are its own/)
  assert.match(says('ContainerSource', SINK), /missing field `spec.template`/)
  assert.match(says('ContainerSource', `${TEMPLATE}, ${SINK}, image: x`), /containers: \[\{image/)
})

test('a binding that leads nowhere is noticed', () => {
  const notices = (kind: string, spec: string, more = '') =>
    checkReferences(read(kind, spec, more).resources)
      .map(one => one.message)
      .join('\n')
  assert.match(
    notices('SinkBinding', `${SUBJECT}, ${SINK}`),
    /there is no Broker ns\/default[\s\S]*no Deployment ns\/app/,
  )
  assert.doesNotMatch(notices('SinkBinding', `${SUBJECT}, ${SINK}`, DEPLOYMENT), /Deployment/)
  const job = 'subject: {apiVersion: batch/v1, kind: Job, name: a}'
  assert.match(notices('SinkBinding', `${job}, ${SINK}`), /a Job \(batch\/v1\) is not bound here/)
})
