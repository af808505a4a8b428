import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseManifest } from '../../crds/manifest.ts'
import { parseTemplate } from '../../crds/template.ts'

const SINK = 'sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}'
const SECRET = 'secret: {secretKeyRef: {name: s, key: k}}'

function webhook(spec: string) {
  const text = `apiVersion: sources.weir.dev/v1alpha1\nkind: WebhookSource\nmetadata: {name: w, namespace: ns}\nspec: {${spec}${spec === '' ? '' : ', '}${SINK}}\n`
  const { resources, mistakes, notices } = parseManifest(text, 'a.yaml')
  const [resource] = resources
  const says = (list: readonly { message: string }[]) => list.map(one => one.message).join('\n')
  return {
    spec: resource?.kind === 'WebhookSource' ? resource.spec : undefined,
    mistakes: says(mistakes),
    notices: says(notices),
  }
}

test('the least that can be said is a sink', () => {
  const { spec, mistakes } = webhook('')
  assert.equal(mistakes, '')
  assert.deepEqual(spec?.event, {
    id: [[{ from: 'header', name: 'webhook-id' }]],
    source: [[{ from: 'text', text: '/apis/v1/namespaces/ns/webhooksources/w' }]],
    type: [[{ from: 'text', text: 'dev.weir.sources.webhook' }]],
    subject: [],
    time: [],
  })
})

test('attributes come from headers, the query and places of the body, alone, mixed, or the first of several', () => {
  const { spec, mistakes } = webhook(
    `event: {type: "shop.{header.X-Kind}", id: ["{body.items[0].id}", "{query.id}"], subject: "{{{body}}}"}`,
  )
  assert.equal(mistakes, '')
  assert.deepEqual(spec?.event.type[0], [
    { from: 'text', text: 'shop.' },
    { from: 'header', name: 'x-kind' },
  ])
  assert.deepEqual(spec?.event.id, [[{ from: 'body', path: ['items', 0, 'id'] }], [{ from: 'query', name: 'id' }]])
  assert.deepEqual(spec?.event.subject[0], [
    { from: 'text', text: '{' },
    { from: 'body', path: [] },
    { from: 'text', text: '}' },
  ])
})

test('a preset knows all but the secret, and what is said beside it wins', () => {
  const { spec, mistakes } = webhook(`preset: github, signature: {${SECRET}}, event: {subject: fixed}`)
  assert.equal(mistakes, '')
  assert.deepEqual(spec?.signature, {
    header: 'x-hub-signature-256',
    algorithm: 'sha256',
    encoding: 'hex',
    prefix: 'sha256=',
    signed: [{ from: 'body', path: [] }],
    secret: { secretKeyRef: { name: 's', key: 'k' } },
    secretEncoding: 'text',
  })
  assert.deepEqual(spec?.event.subject, [[{ from: 'text', text: 'fixed' }]])
  assert.match(webhook('preset: github').notices, /without `signature`/)
})

test('each mistake is told with a hint', () => {
  const says = (spec: string) => webhook(spec).mistakes
  assert.match(says('preset: gitlab'), /`github`, `registry`, `eventgrid`/)
  assert.match(says('type: x'), /indent it under `event`/)
  assert.match(says('event: {type: "{head.X}"}'), /`spec.event.type` is wrong: `\{head.X\}` is no place/)
  assert.match(says('event: {type: "a{b"}'), /stands alone/)
  assert.match(says('event: {id: "{timestamp}"}'), /only in `spec.signature.signed`/)
  assert.match(says('signature: {header: X-Sig}'), /missing field `spec.signature.secret`/)
  assert.match(says(`signature: {${SECRET}}`), /missing field `spec.signature.header`/)
  assert.match(says('signature: {header: X-Sig, secret: hunter2}'), /must not stand here in the open/)
  assert.match(says(`signature: {header: X-Sig, ${SECRET}, algorithm: md5}`), /`sha1`, `sha256`, `sha512`/)
  assert.match(says(`signature: {header: X-Sig, ${SECRET}, signed: "{header.X-Time}"}`), /must hold `\{body\}`/)
  assert.match(says(`signature: {header: X-Sig, ${SECRET}, timestamp: {header: X-Time}}`), /needs `signed` with/)
  assert.match(says(`signature: {header: X-Sig, ${SECRET}, signed: "{timestamp}{body}"}`), /needs `timestamp:/)
  assert.match(says(`token: {${SECRET}}`), /needs `header` or `query`/)
  assert.match(says(`token: {header: A, query: b, ${SECRET}}`), /got both/)
  assert.match(says(`token: {header: "a b", ${SECRET}}`), /name of a header/)
  assert.match(says('preset: eventgrid, event: {type: x}'), /does nothing with Event Grid/)
})

test('no text can make the reader of templates throw', () => {
  const piece = fc.constantFrom('{', '}', '{{', '}}', 'body', 'header', '.', '[0]', '[', 'x', '{body.a}', '{header.X}')
  const text = fc.oneof(
    fc.array(piece).map(parts => parts.join('')),
    fc.string(),
  )
  fc.assert(fc.property(text, one => assert.ok(['template', 'wrong'].includes(parseTemplate(one).kind))))
})
