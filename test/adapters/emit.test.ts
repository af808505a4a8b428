import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openEmitter } from '../../adapters/emit.ts'
import { openHttpSink } from '../../adapters/http-sink.ts'
import { REQUESTS } from '../../adapters/joiner.ts'
import type { DeliverySpec } from '../../crds/delivery.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { type Answer, accept, idsIn, openSink, type Sink, status } from './sink.ts'

const never = new AbortController().signal

function eventOf(id: string, body = `body of ${id}`): CloudEvent {
  const attributes = Object.assign(noAttributes(), { specversion: '1.0', id, source: '/log', type: 'test' })
  return { mode: 'binary', attributes, body: Buffer.from(body) }
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => eventOf(`e${i}`))

interface Options {
  readonly delivery?: DeliverySpec
  readonly takesBatches?: boolean
  readonly dead?: Sink
}

async function emitting<T>(
  sink: Sink,
  { delivery, takesBatches = false, dead }: Options,
  body: (emitter: ReturnType<typeof openEmitter>) => Promise<T>,
): Promise<T> {
  const deps = { clock: systemClock, random: () => 0, log: silentLog, onTrouble() {} }
  await using http = openHttpSink(sink.url, deps)
  await using deadLetterSink = dead && openHttpSink(dead.url, deps)
  return await body(openEmitter({ sink: http, takesBatches, deadLetterSink, delivery, random: () => 0 }))
}

/** Refuses every request that carries one of these. */
function refusing(ids: readonly string[], code = 400): Answer {
  return (response, seen, attempt) =>
    (idsIn(seen).some(id => ids.includes(id)) ? status(code, {}, 'not this one') : accept)(response, seen, attempt)
}

test('what the sink refuses goes to the dead-letter sink at once, with where, what and why', async () => {
  await using sink = await openSink(status(422, {}, 'no such size'))
  await using dead = await openSink()
  assert.deepEqual(await emitting(sink, { dead }, ({ emit }) => emit(eventOf('1'), never)), { kind: 'dead-lettered' })
  assert.equal(sink.seen.length, 1)
  const [seen] = dead.seen
  assert.equal(seen?.headers['ce-knativeerrordest'], sink.url)
  assert.equal(seen?.headers['ce-knativeerrorcode'], '422')
  assert.equal(Buffer.from(String(seen?.headers['ce-knativeerrordata']), 'base64').toString(), 'no such size')
  assert.equal(seen?.body.toString(), 'body of 1')
})

test('what does not get through in as many attempts as are declared goes to the dead-letter sink', async () => {
  await using sink = await openSink(status(503))
  await using dead = await openSink()
  const delivery: DeliverySpec = { retry: 3, backoffPolicy: 'exponential', backoffDelayMs: 1 }
  assert.deepEqual(await emitting(sink, { dead, delivery }, ({ emit }) => emit(eventOf('1'), never)), {
    kind: 'dead-lettered',
  })
  assert.equal(sink.seen.length, 4)
  assert.equal(dead.seen[0]?.headers['ce-knativeerrorcode'], '503')
})

test('without a dead-letter sink nothing is given up, however few attempts are declared', async () => {
  await using sink = await openSink((response, seen, attempt) =>
    (attempt < 6 ? status(503) : accept)(response, seen, attempt),
  )
  const delivery: DeliverySpec = { retry: 1, backoffPolicy: 'linear', backoffDelayMs: 1 }
  assert.deepEqual(await emitting(sink, { delivery }, ({ emit }) => emit(eventOf('1'), never)), { kind: 'stored' })
  assert.equal(sink.seen.length, 6)
})

test('a dead-letter sink that is down is waited for, and one that refuses too leaves the event to the adapter', async () => {
  await using sink = await openSink(status(400))
  await using down = await openSink((response, seen, attempt) =>
    (attempt < 3 ? status(503) : accept)(response, seen, attempt),
  )
  assert.deepEqual(await emitting(sink, { dead: down }, ({ emit }) => emit(eventOf('1'), never)), {
    kind: 'dead-lettered',
  })
  await using refuses = await openSink(status(413, {}, 'too large'))
  const emitted = await emitting(sink, { dead: refuses }, ({ emit }) => emit(eventOf('1'), never))
  assert.ok(emitted.kind === 'refused')
  assert.match(emitted.reason, /answered 400.*the dead-letter sink answered 413, too large/)
})

test('a declared format is kept on the way to the sink', async () => {
  await using sink = await openSink()
  await emitting(sink, { delivery: { format: 'json' } }, ({ emit }) => emit(eventOf('1'), never))
  assert.match(String(sink.seen[0]?.headers['content-type']), /^application\/cloudevents\+json/)
})

test('events in order go in batches of a hundred to a Broker, and one by one to anything else', async () => {
  await using broker = await openSink()
  const events = numbered(250)
  const ids = events.map(event => event.attributes.id)
  assert.deepEqual(await emitting(broker, { takesBatches: true }, ({ emitInOrder }) => emitInOrder(events, never)), {
    taken: 250,
    refused: undefined,
  })
  assert.deepEqual(
    broker.seen.map(one => idsIn(one).length),
    [100, 100, 50],
  )
  assert.deepEqual(broker.seen.flatMap(idsIn), ids)
  await using service = await openSink()
  await emitting(service, {}, ({ emitInOrder }) => emitInOrder(events, never))
  assert.deepEqual(
    service.seen.map(one => one.id),
    ids,
  )
})

test('large events do not make a batch that a Broker would refuse', async () => {
  await using broker = await openSink()
  const events = Array.from({ length: 4 }, (_, i) => eventOf(`e${i}`, 'x'.repeat(300_000)))
  await emitting(broker, { takesBatches: true }, ({ emitInOrder }) => emitInOrder(events, never))
  assert.deepEqual(
    broker.seen.map(one => idsIn(one).length),
    [1, 1, 1, 1],
  )
})

test('a sink that does not take batches after all gets none again', async () => {
  await using sink = await openSink((response, seen, attempt) =>
    (idsIn(seen).length > 1 ? status(415) : accept)(response, seen, attempt),
  )
  const events = numbered(150)
  const { taken } = await emitting(sink, { takesBatches: true }, ({ emitInOrder }) => emitInOrder(events, never))
  assert.equal(taken, 150)
  assert.equal(sink.seen.length, 151)
})

test('whichever events a sink refuses, those before the first are taken in order and nothing behind it is sent', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 130 }),
      fc.integer({ min: 0, max: 140 }),
      fc.boolean(),
      async (count, bad, takesBatches) => {
        await using sink = await openSink(refusing([`e${bad}`]))
        const events = numbered(count)
        const result = await emitting(sink, { takesBatches }, ({ emitInOrder }) => emitInOrder(events, never))
        const taken = Math.min(count, bad)
        assert.equal(result.taken, taken)
        assert.equal(result.refused?.status, bad < count ? 400 : undefined)
        const stored = sink.seen.filter(one => !idsIn(one).includes(`e${bad}`)).flatMap(idsIn)
        assert.deepEqual(
          stored,
          events.slice(0, taken).map(event => event.attributes.id),
        )
      },
    ),
    { numRuns: 30 },
  )
})

test('with a dead-letter sink the events behind a refused one go on, each to where it belongs', async () => {
  await using sink = await openSink(refusing(['e7', 'e119']))
  await using dead = await openSink()
  const events = numbered(130)
  const { taken } = await emitting(sink, { takesBatches: true, dead }, ({ emitInOrder }) => emitInOrder(events, never))
  assert.equal(taken, 130)
  assert.deepEqual(
    dead.seen.map(one => one.id),
    ['e7', 'e119'],
  )
})

test('events that come at once go to a Broker together, and one that comes alone goes at once', async () => {
  await using broker = await openSink()
  const events = numbered(250)
  await emitting(broker, { takesBatches: true }, async ({ emit }) => {
    assert.deepEqual(await emit(eventOf('first'), never), { kind: 'stored' })
    assert.equal(broker.seen.length, 1)
    const emitted = await Promise.all(events.map(event => emit(event, never)))
    assert.ok(emitted.every(one => one.kind === 'stored'))
  })
  assert.ok(broker.seen.length <= 8, `${broker.seen.length} requests`)
  assert.deepEqual(broker.seen.flatMap(idsIn).sort(), ['first', ...events.map(event => event.attributes.id)].sort())
})

test('whichever of many events a sink refuses, each is told its own end, and none is taken twice', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 60 }),
      fc.uniqueArray(fc.nat(60), { maxLength: 5 }),
      async (count, bad) => {
        const refused = bad.map(n => `e${n}`)
        await using sink = await openSink(refusing(refused))
        const events = numbered(count)
        const emitted = await emitting(sink, { takesBatches: true }, ({ emit }) =>
          Promise.all(events.map(event => emit(event, never))),
        )
        for (const [i, one] of emitted.entries()) assert.equal(one.kind, bad.includes(i) ? 'refused' : 'stored')
        const taken = sink.seen.filter(one => !idsIn(one).some(id => refused.includes(id))).flatMap(idsIn)
        assert.deepEqual(
          taken.sort(),
          events
            .map(event => event.attributes.id ?? '')
            .filter(id => !refused.includes(id))
            .sort(),
        )
      },
    ),
    { numRuns: 30 },
  )
})

test('who stops waiting for a joined event stops alone; when all have stopped the request ends', async () => {
  await using sink = await openSink(() => {})
  await emitting(sink, { takesBatches: true }, async ({ emit }) => {
    const blocking = new AbortController()
    const held = Array.from({ length: REQUESTS }, (_, i) => emit(eventOf(`held ${i}`), blocking.signal))
    const [one, other] = [new AbortController(), new AbortController()]
    const first = emit(eventOf('c'), one.signal)
    const second = emit(eventOf('d'), other.signal)
    await sink.until(() => sink.seen.length === REQUESTS)
    one.abort(new Error('enough'))
    await assert.rejects(first, /enough/)
    sink.answer = accept
    blocking.abort(new Error('stop'))
    for (const each of held) await assert.rejects(each, /stop/)
    assert.deepEqual(await second, { kind: 'stored' })
    assert.deepEqual(sink.seen.slice(REQUESTS).flatMap(idsIn), ['d'])
  })
})
