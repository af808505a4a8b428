import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { writeBinaryBatch } from '../../event/batch.ts'
import { FRAMES_TYPE } from '../../event/media-type.ts'
import { FAST, openRunning, type Running, routes, trigger, url } from '../support/running-broker.ts'
import { answering, openSubscriber, type Received } from '../support/subscriber.ts'

/* What goes in at the door, and what a subscriber sees of it: through the store on disk, and over a restart of it. */

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const TRAVELS = ['x-request-id', 'x-b3-sampled', 'knative-x', 'traceparent', 'tracestate', 'baggage']
const HEADERS = { 'x-request-id': 'r1', 'x-b3-sampled': '1', 'knative-x': 'k', traceparent: PARENT, tracestate: 'a=1' }
const SECRETS = { authorization: 'Bearer s3cret', cookie: 's3cret', 'x-api-key': 's3cret' }

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'weir-test-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** Of the fields that travel, those that came. */
function travelled(received: Received | undefined): Record<string, unknown> {
  return Object.fromEntries(
    TRAVELS.flatMap(name => (received?.headers[name] === undefined ? [] : [[name, received.headers[name]]])),
  )
}

async function send(
  running: Running,
  contentType: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
) {
  const sent = { method: 'POST', headers: { 'content-type': contentType, ...headers }, body }
  const response = await fetch(`${running.broker.origin}/shop/main`, sent)
  return { status: response.status, text: await response.text() }
}

test('request ids and traces reach the subscriber over a restart, unchanged; credentials do not', async t => {
  const dataDir = await folder(t)
  const closed = await openSubscriber(answering(503))
  {
    await using running = await openRunning({ dataDir })
    const delivery = { ...FAST, retries: 1000, backoffMs: 50, backoff: 'linear' as const }
    await running.broker.apply(routes([trigger('t', closed.origin, { delivery })]))
    assert.equal(await running.post({ headers: { ...HEADERS, ...SECRETS } }), 202)
    await closed.reached(1)
  }
  await closed[Symbol.asyncDispose]()
  await using subscriber = await openSubscriber()
  await using running = await openRunning({ dataDir })
  await running.broker.apply(routes([trigger('t', subscriber.origin)]))
  await subscriber.reached(1)
  for (const seen of [closed.received[0], subscriber.received[0]]) {
    assert.deepEqual(travelled(seen), HEADERS)
    assert.ok(!JSON.stringify(seen?.headers).includes('s3cret'))
  }
})

test('what a subscriber answers with goes on with its reply, and the request that it answers does not', async () => {
  await using asked = await openSubscriber((_received, response) => {
    const reply = { 'ce-specversion': '1.0', 'ce-id': 'r', 'ce-source': '/a', 'ce-type': 'reply' }
    const more = { 'x-request-id': 'r2', 'knative-y': 'y', 'set-cookie': 's3cret' }
    response.writeHead(200, { ...reply, ...more }).end()
  })
  await using heard = await openSubscriber()
  await using running = await openRunning()
  const exactly = (type: string) => ({ filters: [{ exact: { type } }] })
  await running.broker.apply(
    routes([trigger('asked', asked.origin, exactly('t')), trigger('heard', heard.origin, exactly('reply'))]),
  )
  await running.post({ headers: HEADERS })
  await heard.reached(1)
  assert.deepEqual(travelled(heard.received[0]), { 'x-request-id': 'r2' })
  assert.equal(heard.received[0]?.headers['knative-y'], 'y')
  assert.ok(!JSON.stringify(heard.received[0]?.headers).includes('s3cret'))
})

test('a dead letter still has them', async () => {
  await using broken = await openSubscriber(answering(400))
  await using dead = await openSubscriber()
  await using running = await openRunning()
  await running.broker.apply(routes([trigger('t', broken.origin, { deadLetter: url(dead.origin) })]))
  await running.post({ headers: HEADERS })
  await dead.reached(1)
  assert.deepEqual(travelled(dead.received[0]), HEADERS)
})

test('an event of 0.3 is delivered as one, in the mode that it came in or the one that is asked for', async () => {
  await using same = await openSubscriber()
  await using other = await openSubscriber()
  await using running = await openRunning()
  const delivery = { ...FAST, format: 'binary' as const }
  await running.broker.apply(routes([trigger('same', same.origin), trigger('other', other.origin, { delivery })]))
  const png = '"datacontenttype":"image/png","datacontentencoding":"base64","data":"AP8="'
  const envelope = `{"specversion":"0.3","id":"1","source":"/s","type":"t","schemaurl":"x/y",${png}}`
  assert.equal((await send(running, 'application/cloudevents+json', envelope)).status, 202)
  await same.reached(1)
  await other.reached(1)
  assert.equal(same.received[0]?.body.toString(), envelope)
  const [seen] = other.received
  assert.equal(seen?.body.toString('hex'), '00ff')
  assert.equal(seen.headers['ce-specversion'], '0.3')
  assert.equal(seen.headers['ce-schemaurl'], 'x/y')
  assert.equal(seen.headers['content-type'], 'image/png')
  assert.equal(seen.headers['ce-datacontentencoding'], undefined)
})

test('an event that carries another one as its data arrives as the event that was judged, whatever mode is asked for', async () => {
  await using subscriber = await openSubscriber()
  await using running = await openRunning()
  const delivery = { ...FAST, format: 'binary' as const }
  await running.broker.apply(routes([trigger('t', subscriber.origin, { delivery })]))
  const inner = '{"specversion":"1.0","id":"9","source":"/bank","type":"payment.approved"}'
  const encoded = Buffer.from(inner).toString('base64')
  const carrier = (type: string) =>
    `{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"${type}","data_base64":"${encoded}"}`
  const types = ['application/cloudevents+json', 'Application/CloudEvents-batch+json; a=b', FRAMES_TYPE]
  for (const [i, type] of types.entries()) {
    assert.equal((await send(running, 'application/cloudevents+json', carrier(type))).status, 202)
    await subscriber.reached(i + 1)
    const seen = subscriber.received[i]
    assert.equal(seen?.headers['content-type'], 'application/cloudevents+json; charset=utf-8')
    assert.equal(seen.body.toString(), carrier(type))
  }
})

test('the events of a batch are delivered one by one, as they were written; of a broken batch none is kept', async t => {
  await using subscriber = await openSubscriber()
  await using running = await openRunning({ dataDir: await folder(t) })
  await running.broker.apply(routes([trigger('t', subscriber.origin, { concurrency: 1 })]))
  const events = Array.from(
    { length: 500 },
    (_, i) => `{ "specversion":"1.0","id":"${i}","source":"/s","type":"t","data":${i}.0}`,
  )
  const type = 'application/cloudevents-batch+json'
  const refused = await send(running, type, `[${[...events, '{"specversion":"1.0"}'].join()}]`)
  assert.equal(refused.status, 400)
  assert.match(refused.text, /Event 500 of the batch: id is missing/)
  assert.equal((await send(running, type, `[${events.join()}]`, { 'x-request-id': 'r1' })).status, 202)
  assert.equal((await send(running, type, ' [ ] ')).status, 202)
  await subscriber.reached(500)
  assert.deepEqual(
    subscriber.received.map(one => one.body.toString()),
    events,
  )
  assert.ok(subscriber.received.every(one => one.headers['x-request-id'] === 'r1'))
  const [counters] = running.broker.counters()
  assert.deepEqual([counters?.accepted, counters?.refused], [500, 1])
})

test('a batch of events in binary mode is delivered in binary mode, bit for bit', async t => {
  await using subscriber = await openSubscriber()
  await using running = await openRunning({ dataDir: await folder(t) })
  await running.broker.apply(routes([trigger('t', subscriber.origin, { concurrency: 1 })]))
  const attributes = { specversion: '1.0', source: '/s', type: 't', datacontenttype: 'application/json' }
  const bodies = [' {"n": 1.10}\n', 'no JSON at all', '']
  const events = bodies.map((body, i) => ({
    mode: 'binary' as const,
    attributes: { ...attributes, id: `${i}` },
    body: Buffer.from(body),
  }))
  const { headers, body } = writeBinaryBatch(events)
  const cut = await send(running, headers[1] ?? '', body.subarray(0, -1))
  assert.equal(cut.status, 400)
  assert.equal((await send(running, headers[1] ?? '', body)).status, 202)
  await subscriber.reached(3)
  assert.deepEqual(
    subscriber.received.map(one => [one.headers['ce-id'], one.headers['content-type'], one.body.toString()]),
    bodies.map((one, i) => [`${i}`, 'application/json', one]),
  )
})
