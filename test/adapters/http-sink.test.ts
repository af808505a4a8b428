import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openEmitter } from '../../adapters/emit.ts'
import { type Credential, openHttpSink } from '../../adapters/http-sink.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { silentLog } from '../../runtime/log.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { type Answer, accept, openSink, type Sink, status } from './sink.ts'

const never = new AbortController().signal

function eventOf(id: string, body = 'hello'): CloudEvent {
  const attributes = Object.assign(noAttributes(), {
    ...{ specversion: '1.0', id, source: '/queue', type: 'test', subject: 'é 100%' },
    datacontenttype: 'text/plain',
  })
  return { mode: 'binary', attributes, body: Buffer.from(body) }
}

async function emitting(answer: Answer, body: (sink: Sink, parts: ReturnType<typeof open>) => Promise<void>) {
  await using sink = await openSink(answer)
  const parts = open(sink.url)
  await using _ = parts.emitter
  await body(sink, parts)
}

function open(url: string, credential?: Credential) {
  const clock = new ManualClock()
  const troubles: (string | undefined)[] = []
  const onTrouble = (reason: string | undefined) => void troubles.push(reason)
  const http = openHttpSink(url, { clock, random: () => 1, log: silentLog, onTrouble, credential })
  const { emit } = openEmitter({
    sink: http,
    takesBatches: false,
    deadLetterSink: undefined,
    delivery: undefined,
    random: () => 1,
  })
  const emitter = { emit, [Symbol.asyncDispose]: () => http[Symbol.asyncDispose]() }
  return { clock, troubles, emitter, emit }
}

/** Lets real requests come and go until only a timer is waited for, then moves to it. */
async function nextTimer(clock: ManualClock, sink: Sink, requests: number): Promise<number> {
  await sink.until(() => sink.seen.length >= requests)
  for (;;) {
    await settle()
    const { nextInMs } = clock
    // 30 s is the limit of an attempt that is still under way.
    if (nextInMs !== undefined && nextInMs !== 30_000) return nextInMs
  }
}

test('an event is stored when the sink answers 2xx, and leaves as the HTTP binding says', () =>
  emitting(accept, async (sink, { emit, clock }) => {
    assert.deepEqual(await emit(eventOf('1'), never), { kind: 'stored' })
    const [seen] = sink.seen
    assert.equal(seen?.headers['ce-id'], '1')
    assert.equal(seen?.headers['ce-subject'], '%C3%A9%20100%25')
    assert.equal(seen?.headers['content-type'], 'text/plain')
    assert.equal(seen?.body.toString(), 'hello')
    assert.equal(clock.pending, 0)
  }))

test('events one after another share connections', () =>
  emitting(status(202, {}, 'thanks'), async (sink, { emit }) => {
    for (let i = 0; i < 50; i++) await emit(eventOf(String(i)), never)
    // Two, where the first is still being tidied up when the next event is there.
    assert.ok(sink.connections() <= 2, String(sink.connections()))
  }))

test('404, 408, 409, 429 and 5xx are tried again until the sink takes the event', () =>
  emitting(accept, async (sink, { emit, clock, troubles }) => {
    const codes = [404, 408, 409, 429, 500, 502, 503, 504]
    sink.answer = (response, _, attempt) => response.writeHead(codes[attempt - 1] ?? 202).end()
    const emitted = emit(eventOf('1'), never)
    const waits: number[] = []
    for (let i = 1; i <= codes.length; i++) {
      const waitMs = await nextTimer(clock, sink, i)
      waits.push(waitMs)
      await clock.advance(waitMs)
    }
    assert.deepEqual(await emitted, { kind: 'stored' })
    assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000])
    assert.match(troubles[0] ?? '', /answered 404 Not Found; events wait/)
    assert.equal(troubles.at(-1), undefined)
  }))

test('any other answer is final, and its problem is told in its own words', () =>
  emitting(accept, async (sink, { emit, clock }) => {
    for (const code of [301, 400, 401, 403, 405, 413, 415, 422]) {
      sink.answer = status(code, { location: '/elsewhere' }, '{"title":"No","detail":"the id\\nis missing"}')
      const emitted = await emit(eventOf(String(code)), never)
      assert.deepEqual(emitted, { kind: 'refused', status: code, reason: `answered ${code}, the id is missing` })
    }
    sink.answer = status(400)
    const bare = await emit(eventOf('bare'), never)
    assert.equal(bare.kind === 'refused' && bare.reason, 'answered 400 Bad Request')
    assert.equal(clock.pending, 0)
  }))

test('a Retry-After holds up every event, not only the one that was told', () =>
  emitting(status(503, { 'retry-after': '20' }), async (sink, { emit, clock }) => {
    const first = emit(eventOf('first'), never)
    await nextTimer(clock, sink, 1)
    sink.answer = accept
    const second = emit(eventOf('second'), never)
    await clock.advance(19_999)
    assert.equal(sink.seen.length, 1)
    await clock.advance(2_001) // Up to a tenth later, by chance.
    assert.deepEqual(await Promise.all([first, second]), [{ kind: 'stored' }, { kind: 'stored' }])
  }))

test('an hour of Retry-After is cut to five minutes', () =>
  emitting(status(429, { 'retry-after': '3600' }), async (sink, { emit, clock }) => {
    const emitted = emit(eventOf('1'), never)
    await nextTimer(clock, sink, 1)
    sink.answer = accept
    await clock.advance(330_000)
    assert.deepEqual(await emitted, { kind: 'stored' })
  }))

test('a sink that says nothing is asked again after thirty seconds', () =>
  emitting(
    () => {},
    async (sink, { emit, clock, troubles }) => {
      const emitted = emit(eventOf('1'), never)
      await sink.until(() => sink.seen.length === 1)
      await clock.advance(30_000)
      sink.answer = accept
      assert.equal(await nextTimer(clock, sink, 1), 100)
      assert.match(troubles[0] ?? '', /no answer within 30 s/)
      await clock.advance(100)
      assert.deepEqual(await emitted, { kind: 'stored' })
    },
  ))

test('a 2xx counts although the rest of the answer never comes, or never ends', () =>
  emitting(accept, async (sink, { emit, clock }) => {
    sink.answer = response => void response.writeHead(202, { 'content-length': '10' }).write('x')
    const hanging = emit(eventOf('1'), never)
    await sink.until(() => sink.seen.length === 1)
    for (let turn = 0; turn < 20; turn++) await settle()
    await clock.advance(30_000)
    assert.deepEqual(await hanging, { kind: 'stored' })
    sink.answer = response => {
      response.writeHead(202)
      const pour = () => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384)));
      }
      response.on('drain', pour)
      pour()
    }
    assert.deepEqual(await emit(eventOf('2'), never), { kind: 'stored' })
  }))

test('a connection that breaks, and one that is refused, are tried again', () =>
  emitting(accept, async (sink, { emit, clock, troubles }) => {
    sink.answer = (response, _, attempt) => (attempt === 1 ? response.destroy() : response.writeHead(202).end())
    const emitted = emit(eventOf('1'), never)
    await clock.advance(await nextTimer(clock, sink, 1))
    assert.deepEqual(await emitted, { kind: 'stored' })
    assert.ok(troubles[0] !== undefined)
    const nobody = open('http://127.0.0.1:1/')
    await using _ = nobody.emitter
    const stop = new AbortController()
    const waiting = nobody.emit(eventOf('2'), stop.signal)
    while (nobody.troubles.length === 0) await settle()
    assert.match(nobody.troubles[0] ?? '', /ECONNREFUSED/)
    stop.abort(new Error('enough'))
    await assert.rejects(waiting, /enough/)
    assert.equal(nobody.clock.pending, 0)
  }))

test('an abort ends an attempt under way with its own reason, and no timer is left', () =>
  emitting(
    () => {},
    async (sink, { emit, clock }) => {
      const stop = new AbortController()
      const emitted = emit(eventOf('1'), stop.signal)
      await sink.until(() => sink.seen.length === 1)
      stop.abort(new Error('enough'))
      await assert.rejects(emitted, /enough/)
      await assert.rejects(emit(eventOf('2'), stop.signal), /enough/)
      assert.equal(sink.seen.length, 1)
      assert.equal(clock.pending, 0)
    },
  ))

test('trouble is told once when it comes and once when it goes', () =>
  emitting(accept, async (sink, { emit, clock, troubles }) => {
    sink.answer = (response, _, attempt) => response.writeHead(attempt < 4 ? 503 : 202).end()
    const emitted = emit(eventOf('1'), never)
    for (let i = 1; i < 4; i++) await clock.advance(await nextTimer(clock, sink, i))
    await emitted
    sink.answer = accept
    await emit(eventOf('2'), never)
    assert.equal(troubles.length, 2)
    assert.match(troubles[0] ?? '', /503/)
    assert.equal(troubles[1], undefined)
  }))

test('an address that is not http is refused at once', () => {
  for (const url of ['bad://uri', 'nowhere', 'ftp://x/']) assert.throws(() => open(url), TypeError)
})

test('a sink that wants a token gets it with every event, and one that wants none never sees one', async () => {
  await using sink = await openSink(accept)
  const { emitter } = open(sink.url, { token: () => 'secret', refresh() {} })
  await using _ = emitter
  await emitter.emit(eventOf('1'), never)
  await emitting(accept, async (other, { emit }) => {
    await emit(eventOf('2'), never)
    assert.equal(other.seen[0]?.headers.authorization, undefined)
  })
  assert.equal(sink.seen[0]?.headers.authorization, 'Bearer secret')
})

test('a token that was refused is replaced, and the event is sent again instead of being given up', async () => {
  await using sink = await openSink((response, seen) =>
    response.writeHead(seen.headers.authorization === 'Bearer new' ? 202 : 401).end(),
  )
  let token = 'old'
  const refresh = () => {
    token = 'new'
  }
  const { emitter, clock, troubles } = open(sink.url, { token: () => Promise.resolve(token), refresh })
  await using _ = emitter
  const emitted = emitter.emit(eventOf('1'), never)
  await clock.advance(await nextTimer(clock, sink, 1))
  assert.deepEqual(await emitted, { kind: 'stored' })
  assert.match(troubles[0] ?? '', /answered 401/)
  assert.ok(!JSON.stringify(troubles).includes('old'))
})

test('a 401 from a sink that was shown no token stays final, as in Knative', () =>
  emitting(status(401), async (_, { emit }) => {
    assert.equal((await emit(eventOf('1'), never)).kind, 'refused')
  }))

test('while there is no token nothing is sent, and an abort ends the wait for one', async () => {
  await using sink = await openSink(accept)
  const none = open(sink.url, { token: () => undefined, refresh() {} })
  await using _ = none.emitter
  const stop = new AbortController()
  const first = none.emitter.emit(eventOf('1'), stop.signal)
  while (none.troubles.length === 0) await settle()
  assert.match(none.troubles[0] ?? '', /wants a token, and there is none/)
  const never = open(sink.url, { token: () => new Promise(() => {}), refresh() {} })
  await using __ = never.emitter
  const second = never.emitter.emit(eventOf('2'), stop.signal)
  await settle()
  stop.abort(new Error('enough'))
  await assert.rejects(first, /enough/)
  await assert.rejects(second, /enough/)
  assert.equal(sink.seen.length, 0)
  assert.equal(never.clock.pending, 0)
})
