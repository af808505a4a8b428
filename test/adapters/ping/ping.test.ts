import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { AdapterState, Emitted } from '../../../adapters/adapter.ts'
import { runPing } from '../../../adapters/ping/run.ts'
import { toEvent } from '../../../adapters/ping/to-event.ts'
import type { PingSourceResource } from '../../../crds/ping-source.ts'
import type { CloudEvent } from '../../../event/event.ts'
import { silentLog } from '../../../runtime/log.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'

function pingSource(spec: Partial<PingSourceResource['spec']> = {}): PingSourceResource {
  return {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'PingSource',
    metadata: { name: 'p', namespace: 'shop', labels: {}, annotations: {} },
    where: { file: 'a.yaml', line: 1, column: 1 },
    spec: { schedule: '* * * * *', timezone: 'UTC', sink: { uri: 'http://sink' }, extensions: {}, ...spec },
  }
}

function start(t: TestContext, schedule: string, answer: (event: CloudEvent, signal: AbortSignal) => Promise<Emitted>) {
  const clock = new ManualClock(Date.UTC(2026, 0, 1, 11, 59, 30))
  const seen: string[] = []
  let state: AdapterState | undefined
  const stop = new AbortController()
  const emit = (event: CloudEvent, signal: AbortSignal) => {
    seen.push(event.attributes.id?.slice(11, 19) ?? '')
    return answer(event, signal)
  }
  const ended = runPing(
    { source: pingSource({ schedule }), credentials: {} },
    {
      emit,
      emitInOrder: async () => ({ taken: 0, refused: undefined }),
      clock,
      random: () => 0.5,
      log: silentLog,
      report: now => {
        state = now
      },
      drainMs: 1_000,
    },
    stop.signal,
  )
  const end = async () => {
    stop.abort()
    await settle()
    await clock.advance(1_000)
    await ended
  }
  t.after(end)
  const pass = (seconds: number) => clock.advance(seconds * 1_000)
  return { clock, seen, state: () => state, pass, stop, ended, end }
}

const stored = async () => ({ kind: 'stored' }) as const

test('an event is what Knative makes of it, named after its time', () => {
  const json = pingSource({ contentType: 'application/json', data: '{"é":1}', extensions: { team: 'blue' } })
  const event = toEvent(json, Date.UTC(2026, 0, 1, 12))
  assert.deepEqual(
    { ...event.attributes },
    {
      specversion: '1.0',
      id: '2026-01-01T12:00:00.000Z',
      source: '/apis/v1/namespaces/shop/pingsources/p',
      type: 'dev.knative.sources.ping',
      time: '2026-01-01T12:00:00.000Z',
      datacontenttype: 'application/json',
      team: 'blue',
    },
  )
  assert.equal(Buffer.from(event.body).toString(), '{"é":1}')
  assert.deepEqual(Buffer.from(toEvent(pingSource({ dataBase64: 'AP8=' }), 0).body), Buffer.of(0, 255))
  const empty = toEvent(pingSource(), 0)
  assert.deepEqual([empty.body.byteLength, empty.attributes.datacontenttype], [0, undefined])
})

test('there is one event for every time, at that time', async t => {
  const { seen, pass, state } = start(t, '* * * * *', stored)
  await pass(29)
  assert.deepEqual([seen, state()?.ready], [[], true])
  await pass(1)
  assert.deepEqual(seen, ['12:00:00'])
  await pass(120)
  assert.deepEqual(seen, ['12:00:00', '12:01:00', '12:02:00'])
  assert.deepEqual([state()?.emitted, state()?.held, state()?.error], [3, 0, undefined])
})

test('what was due while the machine slept is not made up, and the next time comes', async t => {
  const { seen, pass, clock } = start(t, '* * * * *', stored)
  await pass(31)
  clock.jump(3_620_000)
  await pass(40)
  assert.deepEqual(seen, ['12:00:00', '13:01:00'])
})

test('a moment too late is not too late', async t => {
  const { seen, pass, clock } = start(t, '*/2 * * * * *', stored)
  await pass(2)
  clock.jump(5_000)
  await pass(1)
  assert.deepEqual(seen, ['11:59:32', '11:59:34', '11:59:36', '11:59:38'])
})

test('a clock set back by seconds makes no time twice, and set back by an hour starts anew', async t => {
  const { seen, pass, clock } = start(t, '* * * * *', stored)
  await pass(32)
  clock.jump(-5_000)
  await pass(30)
  assert.deepEqual(seen, ['12:00:00'])
  clock.jump(-3_595_000)
  await pass(60)
  assert.deepEqual(seen, ['12:00:00', '11:01:00'])
})

test('a sink that takes nothing does not hold the next times up, and bounds what is held', async t => {
  const { seen, pass, state } = start(t, '* * * * * *', (_, signal) => hang(signal))
  await pass(150)
  assert.equal(seen.length, 100)
  assert.equal(state()?.held, 100)
  assert.match(state()?.error ?? '', /100 events wait for the sink/)
})

test('an event that is refused is held and offered again', async t => {
  let refusing = true
  const { seen, pass, state } = start(t, '0 0 * * * *', async () =>
    refusing ? { kind: 'refused', status: 400, reason: 'answered 400' } : { kind: 'stored' },
  )
  await pass(31)
  assert.match(state()?.error ?? '', /answered 400/)
  assert.equal(state()?.held, 1)
  refusing = false
  await pass(60)
  assert.deepEqual(seen, ['12:00:00', '12:00:00'])
  assert.deepEqual([state()?.held, state()?.emitted, state()?.error], [0, 1, undefined])
})

test('a drain waits for the events under way, and ends when its time is over', async t => {
  const sent = Promise.withResolvers<Emitted>()
  const { pass, stop, ended, state } = start(t, '* * * * *', () => sent.promise)
  await pass(31)
  stop.abort()
  await settle()
  assert.equal(state()?.held, 1)
  sent.resolve({ kind: 'stored' })
  await ended
  assert.equal(state()?.emitted, 1)

  const hung = start(t, '* * * * *', (_, signal) => hang(signal))
  await hung.pass(31)
  await hung.end()
  assert.deepEqual([hung.state()?.held, hung.state()?.emitted], [0, 0])
})

function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
}
