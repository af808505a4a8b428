import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { Attempt, DeliveryRequest } from '../../broker/attempt.ts'
import { postElsewhereWhenBusy } from '../../broker/dispatch/when-busy.ts'
import { type Call, Outbox, readCalls, readEnded, writeCalls } from '../../broker/dispatch/wire.ts'
import type { Poster } from '../../broker/poster.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { type Log, silentLog } from '../../runtime/log.ts'
import { deliverConformance } from '../conformance/deliver.ts'
import { binaryEvents } from '../support/arbitraries.ts'
import { makeCertificate } from '../support/certificates.ts'
import { openThreadedClient, plainEvent, requestTo } from '../support/deliverer.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { FAST, openRunning, routes, trigger, url } from '../support/running-broker.ts'
import { openSecureSubscriber } from '../support/secure-subscriber.ts'
import { storePlace } from '../support/sqlite-store.ts'
import { answering, eventually, openSubscriber } from '../support/subscriber.ts'

const never = new AbortController().signal

deliverConformance('An attempt by a thread', openThreadedClient)

const passed = fc.option(fc.constant({ 'x-request-id': 'é', 'knative-x': 'k' }), { nil: undefined })
const events = fc.tuple(binaryEvents, passed, fc.boolean()).map(([event, passed, structured]): CloudEvent => {
  const mode = structured ? 'structured' : event.mode
  return passed === undefined ? { ...event, mode } : { ...event, mode, passed }
})
const requests: fc.Arbitrary<DeliveryRequest> = fc
  .record({
    url: fc.string(),
    event: events,
    batch: fc.option(fc.array(events, { minLength: 1, maxLength: 4 }), { nil: undefined }),
    hops: fc.nat(255),
    timeoutMs: fc.nat(),
    format: fc.constantFrom(undefined, 'binary' as const, 'structured' as const),
    namespace: fc.string(),
    wantsReply: fc.boolean(),
    trust: fc.constantFrom(undefined, {}, { caCerts: 'PEM\n', audience: 'a' }),
  })
  .map(({ batch, event, ...rest }) => ({ ...rest, batch, event: batch?.[0] ?? event }))

test('requests reach the thread as they are, also what stands for nothing and names of JavaScript', () => {
  const calls = fc.array(
    fc.record({ id: fc.nat(), request: requests, token: fc.constantFrom(undefined, 't'), signal: fc.nat() }),
    { maxLength: 5 },
  )
  fc.assert(
    fc.property(calls, sent => {
      const read = readCalls(structuredClone(writeCalls(sent)))
      assert.deepEqual(read.map(plain), sent.map(plain))
      for (const { request } of read) assert.equal('valueOf' in request.event.attributes, false)
    }),
    { numRuns: 300 },
  )
})

/** Comparable: whatever is undefined is left out, and bodies are hexadecimal. */
function plain(call: Call): unknown {
  return JSON.parse(
    JSON.stringify(call, (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value), 1),
    (_, value) => (value?.type === 'Buffer' ? Buffer.from(value.data).toString('hex') : value),
  )
}

test('what became of attempts comes back as it was', () => {
  const tookMs = 1.25
  const ok = { kind: 'delivered', status: 204, tookMs, reply: undefined, plainBody: false } as const
  const attempts: Attempt[] = [
    { ...ok, verdict: undefined, retryAfterMs: undefined },
    { ...ok, plainBody: true, verdict: undefined, retryAfterMs: undefined },
    { ...ok, verdict: 'defer', retryAfterMs: 7 },
    { ...ok, reply: { ...plainEvent, attributes: Object.assign(noAttributes(), plainEvent.attributes) } },
    { kind: 'answered', status: 503, tookMs, retryAfterMs: undefined, excerpt: 'é' },
    { kind: 'broken-reply', status: 200, tookMs, reason: 'r' },
    { kind: 'unreachable', tookMs, cause: 'dns', reason: 'r' },
    { kind: 'abandoned', tookMs },
  ]
  const outbox = new Outbox()
  for (const [i, attempt] of attempts.entries()) outbox.add(i, attempt)
  const heard: Attempt[] = []
  readEnded(structuredClone(outbox.take()), (call, attempt) => {
    heard[call] = attempt
  })
  assert.deepEqual(
    heard,
    attempts.map(one => ('reply' in one && one.reply ? withBytes(one) : one)),
  )
  assert.deepEqual(outbox.take(), { kind: 'ended', plain: [], others: [] })
})

/** A clone has plain bytes for a buffer. */
function withBytes(attempt: Attempt & { kind: 'delivered' }): Attempt {
  return attempt.reply === undefined
    ? attempt
    : { ...attempt, reply: { ...attempt.reply, body: new Uint8Array(attempt.reply.body) } }
}

const THREADS = { deliveryThreads: { count: 2, from: 'start' as const } }

suite('A broker whose deliveries have threads', () => {
  test('retries, replies and dead letters are what they are without', async () => {
    await using broken = await openSubscriber(answering(503))
    await using dead = await openSubscriber()
    await using board = await openSubscriber()
    const reply = { 'ce-specversion': '1.0', 'ce-id': '2', 'ce-source': '/r', 'ce-type': 'brewed' }
    await using barista = await openSubscriber(answering(200, reply, 'flat white'))
    await using running = await openRunning(THREADS)
    const wants = (type: string) => ({ filters: [{ kind: 'exact' as const, attributes: { type } }] })
    await running.broker.apply(
      routes([
        trigger('broken', broken.origin, { ...wants('t'), deadLetter: url(dead.origin) }),
        trigger('barista', barista.origin, wants('t')),
        trigger('board', board.origin, wants('brewed')),
      ]),
    )
    assert.equal(await running.post({ body: '{"n": 1.0}' }), 202)
    await dead.reached(1)
    await board.reached(1)
    assert.equal(broken.received.length, 1 + FAST.retries)
    assert.equal(dead.received[0]?.body.toString(), '{"n": 1.0}')
    assert.equal(dead.received[0]?.headers['ce-knativeerrorcode'], '503')
    assert.equal(board.received[0]?.body.toString(), 'flat white')
  })

  test('thousands of events in flight all arrive, each with its own bytes', async () => {
    await using subscriber = await openSubscriber()
    await using running = await openRunning(THREADS)
    await running.broker.apply(routes([trigger('a', subscriber.origin), trigger('b', subscriber.origin)]))
    const bodies = Array.from({ length: 1000 }, (_, i) => `{"n":${i},"pad":"${'x'.repeat((i * 37) % 3000)}"}`)
    for (let i = 0; i < bodies.length; i += 50) {
      const posted = bodies.slice(i, i + 50).map((body, at) => running.post({ id: `${i + at}`, body }))
      assert.ok((await Promise.all(posted)).every(status => status === 202))
    }
    await subscriber.reached(2000)
    for (const { headers, body } of subscriber.received) assert.equal(body.toString(), bodies[Number(headers['ce-id'])])
    await eventually(() => running.broker.backlog.read().every(one => one.inFlight === 0), 'all are settled')
  })

  test('stopping gives up what hangs, and it stays owed', async () => {
    await using place = await storePlace()
    const { dir } = place
    await using hanging = await openSubscriber(() => {})
    {
      await using running = await openRunning({ ...THREADS, dataDir: dir, drainMs: 100 })
      await running.broker.apply(routes([trigger('t', hanging.origin)]))
      assert.equal(await running.post({ body: 'first' }), 202)
      await hanging.reached(1)
    }
    await eventually(() => hanging.open === 0, 'the request ends')
    await using subscriber = await openSubscriber()
    await using again = await openRunning({ ...THREADS, dataDir: dir })
    await again.broker.apply(routes([trigger('t', subscriber.origin)]))
    await subscriber.reached(1)
    assert.equal(subscriber.received[0]?.body.toString(), 'first')
  })
})

test('a busy thread leaves its requests to others after a while, and a burst is no reason', async () => {
  const clock = new ManualClock()
  const postedBy: string[] = []
  const closed: string[] = []
  const poster = (name: string): Poster => ({
    post: () => {
      postedBy.push(name)
      return Promise.resolve({ kind: 'abandoned', tookMs: 0 })
    },
    async [Symbol.asyncDispose]() {
      closed.push(name)
    },
  })
  let share = 1
  {
    await using spread = postElsewhereWhenBusy(poster('own'), {
      clock,
      utilization: () => share,
      openOther: () => poster('other'),
    })
    const post = () => spread.post(requestTo('http://x/'), undefined, never)
    await clock.advance(4500)
    share = 0.5
    await clock.advance(1000)
    share = 0.9
    await clock.advance(4400)
    await post()
    await clock.advance(1000)
    await post()
    share = 0
    await clock.advance(60_000)
    await post()
  }
  assert.deepEqual(postedBy, ['own', 'other', 'other'])
  assert.deepEqual(closed, ['own', 'other'])
})

test('a broker that has been busy for five seconds delivers on, by threads of its own', async () => {
  await using subscriber = await openSubscriber()
  await using running = await openRunning({ deliveryThreads: { count: 1, from: 'busy' } })
  await running.broker.apply(routes([trigger('t', subscriber.origin)]))
  assert.equal(await running.post(), 202)
  await subscriber.reached(1)
  const untilMs = performance.now() + 20_000
  // Never idle: there is always something for the next turn.
  while (running.logged.every(line => !/have threads/.test(line.message)) && performance.now() < untilMs)
    await new Promise(setImmediate)
  assert.deepEqual(
    running.logged.filter(line => /have threads/.test(line.message)).map(line => line.facts),
    [{ threads: 1 }],
  )
  assert.equal(await running.post(), 202)
  await subscriber.reached(2)
})

test('a thread that ends by itself is told as a failure, once', async () => {
  const failures: Error[] = []
  const broken = { loopback: 'allow', private: 'allow', allow: ['no range'] } as const
  const client = openThreadedClient(1, { addresses: broken, onFailure: error => failures.push(error) })
  const [early, late] = [new AbortController(), new AbortController()]
  const hanging = [early, late].map(stop => client.deliver(requestTo('http://127.0.0.1:9/'), stop.signal))
  early.abort()
  await eventually(() => failures.length > 0, 'it is told')
  assert.equal((await hanging[0])?.kind, 'abandoned')
  late.abort()
  assert.equal((await hanging[1])?.kind, 'abandoned')
  await client[Symbol.asyncDispose]()
  assert.equal(failures.length, 1)
  assert.match(
    failures[0]?.message ?? '',
    /events crashed \(no range is no range of addresses.*\); what it had in hand is owed/,
  )
})

test('a broker whose delivering thread crashed says so and ends in order, without waiting; what it took in is owed', async () => {
  await using place = await storePlace()
  const { dir } = place
  await using subscriber = await openSubscriber()
  const caFile = join(dir, 'ca.pem')
  await writeFile(caFile, makeCertificate('Authority').cert)
  {
    const opening = openRunning({ ...THREADS, caFile, dataDir: dir, drainMs: 60_000 })
    // The broker has read it, and its threads have not begun to.
    rmSync(caFile)
    await using running = await opening
    await running.broker.apply(routes([trigger('t', subscriber.origin)]))
    await eventually(() => running.fatal.length > 0, 'it is told')
    assert.match(running.fatal[0]?.message ?? '', /ca\.pem cannot be read/)
    assert.equal(await running.post({ body: 'kept' }), 202)
  }
  await using again = await openRunning({ dataDir: dir })
  await again.broker.apply(routes([trigger('t', subscriber.origin)]))
  await subscriber.reached(1)
  assert.equal(subscriber.received[0]?.body.toString(), 'kept')
})

test('a file of authorities is read again by the thread, and what is wrong with it is in the log', async () => {
  await using place = await storePlace()
  const { dir } = place
  const authority = makeCertificate('Authority')
  const caFile = join(dir, 'ca.pem')
  await writeFile(caFile, authority.cert)
  await using peer = await openSecureSubscriber(makeCertificate('good', { by: authority }))
  const said: unknown[] = []
  const log: Log = { ...silentLog, error: (_: unknown, words?: string) => void said.push(words) }
  await using client = openThreadedClient(1, { caFile, log })
  // Another name each time, or the connection that is open would do.
  const attempt = (host: string) => client.deliver(requestTo(`https://${host}:${peer.port}/`), never)
  assert.equal((await attempt('localhost')).kind, 'delivered')
  await writeFile(caFile, 'half a certificate')
  // The thread has a clock of its own, and looks every 10 s.
  await new Promise(resolve => setTimeout(resolve, 10_100))
  assert.equal((await attempt('127.0.0.1')).kind, 'delivered')
  await eventually(() => said.length > 0, 'it is told')
  assert.deepEqual(said, ['certificates cannot be read: the last ones stay trusted'])
})
