import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import type { AdapterState } from '../../../adapters/adapter.ts'
import { runAdapter } from '../../../adapters/registry.ts'
import { parseManifest } from '../../../crds/manifest.ts'
import type { Clock } from '../../../runtime/clock.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { openDoor } from '../../../runtime/door.ts'
import { silentLog } from '../../../runtime/log.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'
import { accept, openSink, type Sink, status } from '../sink.ts'

const CREDENTIALS = { signature: 'hunter2', token: 'open sesame' }

async function start(t: TestContext, spec: string, clock: Clock = systemClock, takesBatches = true) {
  const sink = await openSink()
  const door = await openDoor({ host: '127.0.0.1', port: 0, bodyMaxBytes: 1 << 20, clock: systemClock, log: silentLog })
  const text = `{apiVersion: sources.weir.dev/v1alpha1, kind: WebhookSource, metadata: {name: w, namespace: ns}, spec: {${spec}${spec === '' ? '' : ', '}sink: {uri: "${sink.url}"}}}`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  const [source] = resources
  assert.ok(source?.kind === 'WebhookSource', JSON.stringify(mistakes))
  const stop = new AbortController()
  let state: AdapterState | undefined
  const ready = Promise.withResolvers<void>()
  const report = (now: AdapterState) => {
    state = now
    if (now.ready) ready.resolve()
  }
  const deps = { clock, random: Math.random, log: silentLog, report, drainMs: 1_000, door: async () => door }
  const job = { source, credentials: CREDENTIALS, sink: { url: sink.url, takesBatches } }
  const ended = runAdapter(job, deps, stop.signal)
  await ready.promise
  t.after(async () => {
    stop.abort()
    await ended
    await door[Symbol.asyncDispose]()
    await sink[Symbol.asyncDispose]()
  })
  const url = `${door.origin}/webhooks/ns/w`
  const post = (body: string | Uint8Array, headers: Record<string, string> = {}, query = '', method = 'POST') =>
    fetch(url + query, {
      method,
      headers,
      ...(method === 'GET' || method === 'OPTIONS' ? {} : { body: Buffer.from(body) }),
    })
  return { sink, post, state: () => state, stop, ended, url }
}

const heads = (sink: Sink, ...names: string[]) =>
  sink.seen.map(one => names.map(name => one.headers[name === 'content-type' ? name : `ce-${name}`]))

test('any body becomes an event, and is answered once the sink has it', async t => {
  const { sink, post, state } = await start(t, '')
  const answers = [
    await post('{"a":1}', { 'content-type': 'application/json' }),
    await post('plain', { 'content-type': 'text/plain; charset=utf-8' }),
    await post('{}', { 'webhook-id': 'msg_1' }, '', 'PUT'),
    await post('{}', { 'webhook-id': 'msg_1' }),
    await post(''),
  ]
  assert.deepEqual(
    answers.map(one => one.status),
    [202, 202, 202, 202, 202],
  )
  assert.deepEqual(heads(sink, 'type', 'source', 'content-type'), [
    ['dev.weir.sources.webhook', '/apis/v1/namespaces/ns/webhooksources/w', 'application/json'],
    ['dev.weir.sources.webhook', '/apis/v1/namespaces/ns/webhooksources/w', 'text/plain; charset=utf-8'],
    ['dev.weir.sources.webhook', '/apis/v1/namespaces/ns/webhooksources/w', 'application/json'],
    ['dev.weir.sources.webhook', '/apis/v1/namespaces/ns/webhooksources/w', 'application/json'],
    ['dev.weir.sources.webhook', '/apis/v1/namespaces/ns/webhooksources/w', undefined],
  ])
  assert.deepEqual(
    sink.seen.map(one => one.body.toString()),
    ['{"a":1}', 'plain', '{}', '{}', ''],
  )
  const ids = sink.seen.map(one => one.id)
  assert.equal(new Set([ids[0], ids[1], ids[4]]).size, 3)
  assert.deepEqual([ids[2], ids[3]], ['msg_1', 'msg_1'])
  assert.deepEqual([state()?.emitted, state()?.held, state()?.error], [5, 0, undefined])
})

test('attributes come from where the YAML says, or else from the next place that is there', async t => {
  const spec = `event: {type: "shop.{body.kind}", id: "{header.X-Id}", subject: ["{body.order.id}/{body.order.line}", "{query.s}"], time: "{body.at}"}, ceOverrides: {extensions: {team: blue}}`
  const { sink, post } = await start(t, spec)
  await post('{"kind":"made","order":{"id":7,"line":2},"at":"2026-01-01T00:00:00Z"}', { 'x-id': 'a b' })
  await post('{"kind":"ma\\u0007de","order":{"id":7},"at":"yesterday"}', { 'x-id': 'c' }, '?s=%C3%A9')
  await post('no json', { 'x-id': 'd' })
  assert.deepEqual(heads(sink, 'type', 'id', 'subject', 'time', 'team'), [
    ['shop.made', 'a%20b', '7/2', '2026-01-01T00:00:00Z', 'blue'],
    ['dev.weir.sources.webhook', 'c', '%C3%A9', undefined, 'blue'],
    ['dev.weir.sources.webhook', 'd', undefined, undefined, 'blue'],
  ])
})

test('GitHub: a delivery that is signed becomes an event by its own names; any other does not', async t => {
  const { sink, post, state } = await start(t, 'preset: github, signature: {secret: {secretKeyRef: {name: s, key: k}}}')
  const body = '{"action":"opened","issue":{"number":3},"repository":{"url":"https://api.github.com/repos/o/r"}}'
  const headers = (signed: string) => ({
    'content-type': 'application/json',
    'x-github-event': 'issues',
    'x-github-delivery': 'd-1',
    'x-hub-signature-256': `sha256=${createHmac('sha256', CREDENTIALS.signature).update(signed).digest('hex')}`,
  })
  assert.equal((await post(body, headers(body))).status, 202)
  assert.deepEqual(heads(sink, 'id', 'type', 'source', 'subject'), [
    ['d-1', 'com.github.issues.opened', 'https://api.github.com/repos/o/r', '3'],
  ])
  const forged = await post(body, headers('another'))
  assert.equal(forged.status, 401)
  assert.match(await forged.text(), /compare the secrets of both sides/)
  assert.match(state()?.error ?? '', /not that of this body/)
  assert.equal((await post(body)).status, 401)
  const form = { ...headers('payload=1'), 'content-type': 'application/x-www-form-urlencoded' }
  assert.equal((await post('payload=1', form)).status, 415)
  assert.equal(sink.seen.length, 1)
})

test('a registry: each notification of an envelope is an event with its own bytes', async t => {
  const spec =
    'preset: registry, token: {header: Authorization, prefix: "Bearer ", secret: {secretKeyRef: {name: s, key: k}}}'
  const { sink, post } = await start(t, spec, systemClock, false)
  const one = (id: string, tag: string) =>
    `{"id":"${id}","timestamp":"2026-01-01T00:00:00.5Z","action":"push","target":{"size":1e2,"digest":"sha256:ab","repository":"o/r"${tag}},"request":{"host":"r.example"}}`
  const body = `{"events": [${one('e1', ',"tag":"v1"')} , ${one('e2', '')}]}`
  const type = { 'content-type': 'application/vnd.docker.distribution.events.v1+json' }
  const token = { ...type, authorization: `Bearer ${CREDENTIALS.token}` }
  assert.equal((await post(body, type)).status, 401)
  assert.equal((await post(body, token)).status, 202)
  assert.deepEqual(heads(sink, 'id', 'type', 'source', 'subject', 'content-type'), [
    ['e1', 'org.cncf.distribution.push', 'r.example', 'o/r:v1', 'application/json'],
    ['e2', 'org.cncf.distribution.push', 'r.example', 'o/r@sha256:ab', 'application/json'],
  ])
  assert.equal(sink.seen[1]?.body.toString(), one('e2', ''))
  for (const broken of ['{"events": 1}', '[]', '{"events": [}', '{}', 'x'])
    assert.equal((await post(broken, token)).status, 400, broken)
  assert.equal((await post('{"events": []}', token)).status, 202)
  assert.equal(sink.seen.length, 2)
})

test('a delivery that is named once for many events gives each an id of its own, the same at its repetition', async t => {
  const { sink, post } = await start(t, 'split: rows, event: {id: "{header.X-Id}"}', systemClock, false)
  await post('{"rows":[1,2]}', { 'x-id': 'd' })
  await post('{"rows":[1,2]}', { 'x-id': 'd' })
  assert.deepEqual(
    sink.seen.map(one => one.id),
    ['d', 'd/1', 'd', 'd/1'],
  )
})

test('Event Grid: both of its handshakes are answered, and both of its schemas become events', async t => {
  const spec = 'preset: eventgrid, token: {query: code, secret: {secretKeyRef: {name: s, key: k}}}'
  const { sink, post } = await start(t, spec, systemClock, false)
  const code = '?code=open%20sesame'
  const options = await post('', { 'webhook-request-origin': 'eventgrid.azure.net' }, '', 'OPTIONS')
  assert.deepEqual(
    [options.status, options.headers.get('webhook-allowed-origin'), options.headers.get('webhook-allowed-rate')],
    [200, 'eventgrid.azure.net', '*'],
  )
  const event = (type: string, data: string) =>
    `[{"id":"1","topic":"/t","subject":"s","eventType":"${type}","eventTime":"2026-01-01T00:00:00Z","data":${data},"dataVersion":"2"}]`
  const question = event(
    'Microsoft.EventGrid.SubscriptionValidationEvent',
    '{"validationCode":"abc","validationUrl":"x"}',
  )
  const asks = { 'aeg-event-type': 'SubscriptionValidation', 'content-type': 'application/json' }
  const answer = await post(question, asks, code)
  assert.deepEqual([answer.status, await answer.json()], [200, { validationResponse: 'abc' }])
  assert.equal((await post(question, asks)).status, 401)

  const notification = { 'aeg-event-type': 'Notification', 'content-type': 'application/json' }
  assert.equal((await post(event('Blob.Created', '{"n":1e2}'), notification, code)).status, 202)
  const cloudEvent = '{"specversion":"1.0","id":"2","source":"/u","type":"x","data":{}}'
  const structured = { 'content-type': 'application/cloudevents+json' }
  assert.equal((await post(cloudEvent, structured, code)).status, 202)
  const batch = { 'content-type': 'application/cloudevents-batch+json' }
  assert.equal((await post(`[${cloudEvent}]`, batch, code)).status, 202)
  assert.deepEqual(
    sink.seen.map(one => one.id),
    ['1', '2', '2'],
  )
  assert.deepEqual(heads(sink, 'type', 'source', 'subject')[0], ['Blob.Created', '/t', 's'])
  assert.equal(sink.seen[0]?.body.toString(), '{"n":1e2}')
  assert.equal(sink.seen[1]?.body.toString(), cloudEvent)
  assert.equal((await post('{"specversion":"1.0"}', structured, code)).status, 400)
  assert.equal((await post('no json', notification, code)).status, 400)
})

test('what the sink refuses is refused with its words, and the others of the request are delivered', async t => {
  const { sink, post, state } = await start(t, 'split: rows, event: {id: "{body.id}"}', systemClock, false)
  sink.answer = (response, seen, attempt) => (seen.id === 'b' ? status(400, {}, 'no') : accept)(response, seen, attempt)
  const answer = await post('{"rows":[{"id":"a"},{"id":"b"},{"id":"c"}]}')
  assert.equal(answer.status, 422)
  assert.match(await answer.text(), /400/)
  assert.match(state()?.error ?? '', /400/)
  assert.deepEqual([...sink.stored.keys()], ['a', 'c'])
})

test('a sink that is not there is 503 with Retry-After within 20 s, and the repetition is the same event', async t => {
  const clock = new ManualClock()
  const { sink, post, state } = await start(t, '', clock)
  sink.answer = () => {}
  const answer = post('{}', { 'webhook-id': 'msg_1' })
  await sink.until(() => sink.seen.length === 1)
  assert.equal(state()?.held, 1)
  await clock.advance(20_000)
  const got = await answer
  assert.deepEqual([got.status, got.headers.get('retry-after')], [503, '5'])
  assert.equal(state()?.held, 0)
  sink.answer = accept
  assert.equal((await post('{}', { 'webhook-id': 'msg_1' })).status, 202)
  assert.deepEqual([...new Set(sink.seen.map(one => one.id))], ['msg_1'])
})

test('more requests than can be held are told to come again, and nobody waits for nothing', async t => {
  const { sink, post, state } = await start(t, '')
  sink.answer = () => {}
  const held = Array.from({ length: 100 }, () => post('{}'))
  await sink.until(() => state()?.held === 100)
  const got = await post('{}')
  assert.deepEqual([got.status, got.headers.get('retry-after')], [503, '5'])
  assert.match(await got.text(), /Too many requests wait/)
  await sink[Symbol.asyncDispose]()
  void Promise.allSettled(held)
})

test('a drain answers what is under way, and tells others to come again', async t => {
  const { sink, post, stop, ended, url } = await start(t, '')
  const finish = Promise.withResolvers<void>()
  sink.answer = (response, seen, attempt) => void finish.promise.then(() => accept(response, seen, attempt))
  const first = post('{}')
  await sink.until(() => sink.seen.length === 1)
  stop.abort()
  await settle()
  assert.equal((await post('{}')).status, 503)
  finish.resolve()
  assert.equal((await first).status, 202)
  await ended
  assert.match(await (await fetch(url, { method: 'POST' })).text(), /is being changed/)
})

test('what is no request of ours is said', async t => {
  const { post, sink } = await start(t, '')
  const get = await post('', {}, '', 'GET')
  assert.deepEqual([get.status, get.headers.get('allow')], [405, 'POST, OPTIONS'])
  assert.equal((await post('x', { 'content-encoding': 'gzip' })).status, 415)
  assert.equal((await post('{}', { 'ce-specversion': '1.0', 'ce-id': 'x' })).status, 400)
  const options = await post('', {}, '', 'OPTIONS')
  assert.deepEqual([options.status, options.headers.get('webhook-allowed-origin')], [200, null])
  assert.equal(sink.seen.length, 0)
})
