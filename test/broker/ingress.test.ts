import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import type { Intake } from '../../broker/accept.ts'
import { Budget } from '../../broker/budget.ts'
import { type Ingress, type IngressOptions, openIngress } from '../../broker/ingress.ts'
import { type EventStore, StoreFailedError, StoreFullError } from '../../broker/store.ts'
import { openMemoryStore } from '../../broker/stores/memory.ts'
import { brokerId } from '../../contract/ids.ts'
import type { CloudEvent } from '../../event/event.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { type Answer, answers, exchange } from '../support/raw-http.ts'

const broker = brokerId('shop', 'main')
const valid = ['ce-specversion: 1.0', 'ce-id: 1', 'ce-source: /s', 'ce-type: t']

interface Door extends AsyncDisposable {
  readonly port: number
  readonly ingress: Ingress
  readonly stored: readonly CloudEvent[]
  readonly refused: () => number
  send(head: string, headers?: readonly string[], body?: string): Promise<Answer>
}

/** A real door before a real store, for one Broker: shop/main. */
async function openDoor(over: Partial<IngressOptions> = {}, append?: EventStore['append']): Promise<Door> {
  const store = openMemoryStore(new ManualClock())
  const stored: CloudEvent[] = []
  let refused = 0
  const intake: Intake = {
    broker,
    store: append === undefined ? store : Object.assign(Object.create(store), { append }),
    budget: new Budget(1 << 20),
    onStored: (_broker, event) => stored.push(event),
  }
  const ingress = await openIngress({
    host: '127.0.0.1',
    port: 0,
    bodyMaxBytes: 1000,
    budget: new Budget(1 << 20),
    door: path => (path === `/${broker}` ? { intake, authorise: undefined, onRefused: () => refused++ } : undefined),
    clock: systemClock,
    log: silentLog,
    ...over,
  })
  const port = Number(new URL(ingress.origins.http).port)
  return {
    port,
    ingress,
    stored,
    refused: () => refused,
    async send(head, headers = valid, body = '') {
      const lines = [`${head} HTTP/1.1`, 'host: x', ...headers, `content-length: ${body.length}`, 'connection: close']
      const [answer] = answers(await exchange(port, `${lines.join('\r\n')}\r\n\r\n${body}`, 5000))
      assert.ok(answer !== undefined)
      return answer
    },
    [Symbol.asyncDispose]: () => ingress[Symbol.asyncDispose](),
  }
}

/** A refusal as every refusal is: the methods, the document, a stable code. */
function assertProblem(answer: Answer, status: number, code: string): void {
  assert.equal(answer.status, status)
  assert.equal(answer.headers.get('allow'), 'POST, OPTIONS')
  assert.equal(answer.headers.get('content-type'), 'application/problem+json')
  const body = JSON.parse(answer.body)
  assert.equal(body.code, code)
  assert.equal(body.status, status)
  for (const field of ['type', 'title', 'detail']) assert.equal(typeof body[field], 'string')
}

const ENVELOPE = '{"specversion":"1.0","id":"1","source":"/s","type":"t"}'

test('a valid event is answered 202 without a body, once it is stored', async () => {
  await using door = await openDoor()
  const answer = await door.send('POST /shop/main', [...valid, 'content-type: text/plain'], 'hello')
  assert.equal(answer.status, 202)
  assert.equal(answer.body, '')
  assert.equal(answer.headers.get('allow'), 'POST, OPTIONS')
  assert.equal(answer.headers.get('content-length'), '0')
  assert.equal(Buffer.from(door.stored[0]?.body ?? '').toString(), 'hello')
})

test('a structured event, one without content type, and one of any type are taken', async () => {
  await using door = await openDoor()
  const envelope = '{"specversion":"1.0","id":"1","source":"/s","type":"t"}'
  const type = 'content-type: application/cloudevents+json'
  assert.equal((await door.send('POST /shop/main', [type], envelope)).status, 202)
  assert.equal((await door.send('POST /shop/main', valid, 'x')).status, 202)
  assert.equal((await door.send('POST /shop/main', [...valid, 'content-type: video/x-odd'], 'x')).status, 202)
  assert.equal(door.stored.length, 3)
})

test('a trailing slash, a query and the host are no part of the path, and an escape in it is read', async () => {
  await using door = await openDoor()
  const whole = ['http://x/shop/main', 'HTTPS://x:1/shop/main/?y']
  for (const path of ['/shop/main/', '/shop/main?x=/a/b', '/shop/main/?', '/sh%6fp/main', ...whole]) {
    assert.equal((await door.send(`POST ${path}`)).status, 202, path)
  }
})

test('Knative has one answer for each wrong request', async () => {
  await using door = await openDoor()
  const table: [string, number, string][] = [
    ['GET /shop/main', 405, 'method-not-allowed'],
    ['PUT /', 405, 'method-not-allowed'],
    ['PROPFIND /a/b/c', 405, 'method-not-allowed'],
    ['QUERY /shop/main', 405, 'method-not-allowed'],
    ['POST /', 404, 'no-broker-in-path'],
    ['POST /?x=1', 404, 'no-broker-in-path'],
    ['POST http://shop', 404, 'no-broker-in-path'],
    ['POST http://shop/main', 400, 'bad-path'],
    ['POST ftp://x/shop/main', 400, 'bad-path'],
    ['POST *', 400, 'bad-path'],
    ['DELETE /shop/main', 405, 'method-not-allowed'],
    ['TRACE /shop/main', 405, 'method-not-allowed'],
    ['POST /shop', 400, 'bad-path'],
    ['POST /shop/', 400, 'bad-path'],
    ['POST /shop/main/more', 400, 'bad-path'],
    ['POST //main', 400, 'bad-path'],
    ['POST /shop/main//', 400, 'bad-path'],
    ['POST /shop/%E0%A4%A', 400, 'bad-path'],
    ['POST /nobody/main', 404, 'unknown-broker'],
    [`POST /shop/${'x'.repeat(300)}`, 404, 'unknown-broker'],
  ]
  for (const [head, status, code] of table) {
    const answer = await door.send(head)
    assert.equal(answer.status, status, head)
    assertProblem(answer, status, code)
  }
  assert.equal(door.stored.length, 0)
})

test('of several things that are wrong, the method is told first, then the path, the event, the Broker, the hops', async () => {
  await using door = await openDoor()
  const broken = valid.slice(0, 3)
  const looped = [...valid, 'ce-knativebrokerttl: 0']
  const table: [string, readonly string[], number, string][] = [
    ['GET /', broken, 405, 'method-not-allowed'],
    ['GET /a/b/c', broken, 405, 'method-not-allowed'],
    ['POST /', broken, 404, 'no-broker-in-path'],
    ['POST /a/b/c', broken, 400, 'bad-path'],
    ['POST /nobody/main', broken, 400, 'invalid-event'],
    ['POST /nobody/main', looped, 404, 'unknown-broker'],
    ['POST /shop/main', looped, 400, 'hop-limit'],
    ['POST /shop/main', [...broken, 'ce-knativebrokerttl: 0'], 400, 'invalid-event'],
  ]
  for (const [head, headers, status, code] of table) assertProblem(await door.send(head, headers), status, code)
})

test('CONNECT is a method like any other that is not POST', async () => {
  await using door = await openDoor()
  const [answer] = answers(await exchange(door.port, 'CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n'))
  assert.ok(answer !== undefined)
  assertProblem(answer, 405, 'method-not-allowed')
})

test('whoever offers to speak HTTP/2 as well, as Java does, is answered in HTTP/1.1', async () => {
  await using door = await openDoor()
  const offer = ['connection: Upgrade, HTTP2-Settings', 'upgrade: h2c', 'http2-settings: AAEAAEAAAAIAAAABAAMAAABk']
  const head = ['POST /shop/main HTTP/1.1', 'host: x', ...valid, ...offer, 'content-length: 2'].join('\r\n')
  const [answer] = answers(await exchange(door.port, `${head}\r\n\r\nhi`))
  assert.equal(answer?.status, 202)
})

test('HEAD is refused like GET, without the body', async () => {
  await using door = await openDoor()
  const text = await exchange(door.port, 'HEAD /shop/main HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  assert.match(text, /^HTTP\/1\.1 405 /)
  assert.ok(text.endsWith('\r\n\r\n'))
})

test('OPTIONS is answered on every path, as the webhook spec asks', async () => {
  await using door = await openDoor()
  for (const path of ['/', '/shop/main', '/a/b/c', '*']) {
    const answer = await door.send(`OPTIONS ${path}`, [])
    assert.equal(answer.status, 200, path)
    assert.equal(answer.headers.get('allow'), 'POST, OPTIONS')
    assert.equal(answer.headers.get('webhook-allowed-origin'), '*')
    assert.equal(answer.headers.get('webhook-allowed-rate'), '*')
  }
})

test('what is no valid CloudEvent is a final 400, before the Broker is looked up', async () => {
  await using door = await openDoor()
  const table: [string[], string, string][] = [
    [[], '', 'not-an-event'],
    [['content-type: application/json'], '{}', 'not-an-event'],
    [['content-type: ;;;'], '{}', 'not-an-event'],
    [valid.slice(0, 3), '', 'invalid-event'],
    [['ce-specversion: 2.0', ...valid.slice(1)], '', 'invalid-event'],
    [[...valid, 'ce-id: 2'], '', 'invalid-event'],
    [[...valid, 'ce-time: yesterday'], '', 'invalid-event'],
    [[...valid, 'content-type: ;;;'], '', 'invalid-event'],
    [['content-type: application/cloudevents+json'], '{"id":', 'invalid-event'],
    [['content-type: application/cloudevents-batch+json'], '[1]', 'invalid-event'],
    [['content-type: application/cloudevents-batch+json'], `[${ENVELOPE},{}]`, 'invalid-event'],
    [[...valid, 'knativebrokerttl: 0', 'ce-knativebrokerttl: 0'], '', 'hop-limit'],
    [[...valid, 'ce-knativebrokerttl: x'], '', 'invalid-hops'],
  ]
  for (const [headers, body, code] of table) assertProblem(await door.send('POST /shop/main', headers, body), 400, code)
  assertProblem(await door.send('POST /nobody/main', valid.slice(0, 3)), 400, 'invalid-event')
  assert.equal(door.stored.length, 0)
  assert.equal(door.refused(), table.length)
})

test('all events of a batch are stored, in their order, or none', async () => {
  await using door = await openDoor()
  const batch = ['content-type: Application/CloudEvents-Batch+JSON; charset=utf-8', 'x-request-id: r1']
  assert.equal(
    (await door.send('POST /shop/main', batch, `[${ENVELOPE},${ENVELOPE.replace('"1"', '"2"')}]`)).status,
    202,
  )
  assert.deepEqual(
    door.stored.map(event => [event.attributes.id, event.passed]),
    [
      ['1', { 'x-request-id': 'r1' }],
      ['2', { 'x-request-id': 'r1' }],
    ],
  )
  assert.equal((await door.send('POST /shop/main', batch, '[]')).status, 202)
  const looped = ENVELOPE.replace('"1"', '"3","knativebrokerttl":0')
  const refused = await door.send('POST /shop/main', batch, `[${ENVELOPE},${looped}]`)
  assertProblem(refused, 400, 'hop-limit')
  assert.match(JSON.parse(refused.body).detail, /^Event 1 of the batch /)
  assertProblem(await door.send('POST /shop/nobody', batch, `[${ENVELOPE}]`), 404, 'unknown-broker')
  assert.equal(door.stored.length, 2)
})

test('request ids, trace contexts and knative headers go with the event; credentials and others do not', async () => {
  await using door = await openDoor()
  const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const sent = [
    ...valid,
    'X-Request-Id: r1',
    'x-b3-traceid: b3',
    'Knative-Foo: k',
    `traceparent: ${parent}`,
    'tracestate: a=1',
    'tracestate: b=2',
    'authorization: Bearer s3cret',
    'cookie: s3cret',
    'x-other: o',
    'user-agent: u',
  ]
  await door.send('POST /shop/main', sent)
  assert.deepEqual(
    { ...door.stored[0]?.passed },
    { 'x-request-id': 'r1', 'x-b3-traceid': 'b3', 'knative-foo': 'k', traceparent: parent, tracestate: 'a=1,b=2' },
  )
  await door.send('POST /shop/main', [...valid, 'traceparent: 00-0-0-0', 'tracestate: a=1'])
  assert.equal(door.stored[1]?.passed, undefined)
})

test('a refusal never repeats what was sent', async () => {
  await using door = await openDoor()
  const { body } = await door.send(
    'POST /shop/main',
    ['ce-specversion: 1.0', 'ce-id: s3cret', 'ce-time: s3cret'],
    's3cret',
  )
  assert.ok(!body.includes('s3cret'), body)
})

test('a body that is too large is a final 413, told or not, and the connection goes on', async () => {
  await using door = await openDoor()
  const large = 'x'.repeat(2000)
  const next = `POST /shop/main HTTP/1.1\r\nhost: x\r\n${valid.join('\r\n')}\r\ncontent-length: 0\r\n\r\n`
  const head = `POST /shop/main HTTP/1.1\r\nhost: x\r\n${valid.join('\r\n')}\r\n`
  const told = `${head}content-length: 2000\r\n\r\n${large}`
  const untold = `${head}transfer-encoding: chunked\r\n\r\n3e8\r\n${large.slice(0, 1000)}\r\n3e8\r\n${large.slice(1000)}\r\n0\r\n\r\n`
  for (const request of [told, untold]) {
    const [first, second] = answers(await exchange(door.port, request + next))
    assert.ok(first !== undefined && second !== undefined)
    assertProblem(first, 413, 'too-large')
    assert.equal(second.status, 202)
  }
})

test('a body of exactly the limit is taken', async () => {
  await using door = await openDoor()
  assert.equal((await door.send('POST /shop/main', valid, 'x'.repeat(1000))).status, 202)
  assertProblem(await door.send('POST /shop/main', valid, 'x'.repeat(1001)), 413, 'too-large')
})

test('whoever expects 100-continue is not asked for a body that will be refused', async () => {
  await using door = await openDoor()
  const head = `POST /shop/main HTTP/1.1\r\nhost: x\r\n${valid.join('\r\n')}\r\nexpect: 100-continue\r\n`
  const small = await exchange(door.port, `${head}content-length: 3\r\n\r\nabc`)
  assert.match(small, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 202 /)
  const large = await exchange(door.port, `${head}content-length: 5000\r\n\r\n`)
  assert.match(large, /^HTTP\/1\.1 413 /)
  assertProblem(await door.send('POST /shop/main', [...valid, 'expect: magic']), 417, 'expectation-failed')
})

test('too many bytes being read is a 503 that says when to come back, and room comes back', async () => {
  await using door = await openDoor({ budget: new Budget(900) })
  const first = net.connect(door.port, '127.0.0.1')
  await once(first, 'connect')
  first.write(
    `POST /shop/main HTTP/1.1\r\nhost: x\r\n${valid.join('\r\n')}\r\ncontent-length: 800\r\n\r\n${'y'.repeat(790)}`,
  )
  await new Promise(resolve => setTimeout(resolve, 50))
  const answer = await door.send('POST /shop/main', valid, 'x'.repeat(200))
  assertProblem(answer, 503, 'overloaded')
  assert.equal(answer.headers.get('retry-after'), '1')
  first.destroy()
  await once(first, 'close')
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.equal((await door.send('POST /shop/main', valid, 'x'.repeat(200))).status, 202)
})

test('announcing much and sending nothing takes no room from others', async () => {
  await using door = await openDoor({ budget: new Budget(900) })
  const idle = net.connect(door.port, '127.0.0.1')
  await once(idle, 'connect')
  idle.write(`POST /shop/main HTTP/1.1\r\nhost: x\r\n${valid.join('\r\n')}\r\ncontent-length: 800\r\n\r\n`)
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.equal((await door.send('POST /shop/main', valid, 'x'.repeat(800))).status, 202)
  idle.destroy()
})

test('a compressed body is a final 415', async () => {
  await using door = await openDoor()
  assertProblem(
    await door.send('POST /shop/main', [...valid, 'Content-Encoding: gzip'], 'x'),
    415,
    'unsupported-encoding',
  )
  assert.equal((await door.send('POST /shop/main', [...valid, 'content-encoding: identity'], 'x')).status, 202)
})

test('a full store is a 507 and a failed one a 503, both with Retry-After', async () => {
  await using full = await openDoor({}, () => Promise.reject(new StoreFullError('The disk is full.')))
  const one = await full.send('POST /shop/main')
  assertProblem(one, 507, 'store-full')
  assert.equal(one.headers.get('retry-after'), '10')
  await using failed = await openDoor({}, () => Promise.reject(new StoreFailedError('fsync: EIO')))
  const two = await failed.send('POST /shop/main')
  assertProblem(two, 503, 'store-failed')
  assert.equal(two.headers.get('retry-after'), '5')
})

test('nothing is answered before the event is durable', async () => {
  let durable = () => {}
  const append = () =>
    new Promise<{ seq: number; matched: [] }>(resolve => {
      durable = () => resolve({ seq: 1, matched: [] })
    })
  await using door = await openDoor({}, append)
  let answered = false
  const sending = door.send('POST /shop/main').then(answer => {
    answered = true
    return answer
  })
  await new Promise(resolve => setTimeout(resolve, 100))
  assert.equal(answered, false)
  durable()
  assert.equal((await sending).status, 202)
})

test('what is no HTTP is told so in the same words, and the connection ends', async () => {
  await using door = await openDoor()
  const table: [string, number, string][] = [
    ['BOOM\r\n\r\n', 400, 'bad-request'],
    ['POST /shop/main HTTP/1.1\r\n\r\n', 400, 'bad-request'],
    ['POST /shop/main HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx', 400, 'bad-request'],
    [
      'POST /shop/main HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'bad-request',
    ],
    ['POST /shop/main HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n', 400, 'bad-request'],
    [`POST /shop/main HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
  ]
  for (const [request, status, code] of table) {
    const [answer] = answers(await exchange(door.port, request))
    assert.ok(answer !== undefined, request.slice(0, 60))
    assertProblem(answer, status, code)
  }
  assert.equal(door.stored.length, 0)
})

test('once it stops, connections end with their answer, and what comes late is refused for now', async () => {
  let durable = () => {}
  const append = () =>
    new Promise<{ seq: number; matched: [] }>(resolve => {
      durable = () => resolve({ seq: 1, matched: [] })
    })
  await using door = await openDoor({}, append)
  const request = `POST /shop/main HTTP/1.1\r\nhost: x\r\n${valid.join('\r\n')}\r\ncontent-length: 3\r\n\r\n`
  const early = exchange(door.port, `${request}abc`, 3000)
  const late = net.connect(door.port, '127.0.0.1')
  await once(late, 'connect')
  late.write(request)
  await new Promise(resolve => setTimeout(resolve, 50))
  door.ingress.stop()
  late.write('abc')
  const [chunk] = (await once(late, 'data')) as [Buffer]
  const [refusal] = answers(chunk.toString('latin1'))
  assert.ok(refusal !== undefined)
  assertProblem(refusal, 503, 'stopping')
  assert.equal(refusal.headers.get('connection'), 'close')
  durable()
  const [accepted] = answers(await early)
  assert.equal(accepted?.status, 202)
  assert.equal(accepted.headers.get('connection'), 'close')
})

test('a port that is taken is an error with its code', async () => {
  await using door = await openDoor()
  await assert.rejects(openDoor({ port: door.port }), { code: 'EADDRINUSE' })
})
