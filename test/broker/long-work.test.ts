import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Attempt } from '../../broker/attempt.ts'
import { Deadlines } from '../../broker/deadlines.ts'
import { systemClock } from '../../runtime/clock.ts'
import { openClient, requestTo } from '../support/deliverer.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openRunning, routes, trigger } from '../support/running-broker.ts'
import { answerOk, openRawPeer, openSubscriber } from '../support/subscriber.ts'

const never = new AbortController().signal
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

test('work of three hours is waited for, and no timer of the client cuts it off', async t => {
  let answer = () => {}
  await using peer = await openSubscriber((received, response) => {
    answer = () => answerOk(received, response)
  })
  // The HTTP client counts by the timers of the process, the deadline by the clock: both go on by three hours.
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const mocked = globalThis.setTimeout
  t.mock.method(globalThis, 'setTimeout', (action: () => void, delayMs: number, ...rest: []) => {
    // The mocked `refresh` does nothing; without one the client sets its timer anew.
    return Object.assign(mocked(action, delayMs, ...rest), { refresh: undefined })
  })
  const clock = new ManualClock()
  await using client = openClient({ clock })
  for (const host of ['127.0.0.1', 'localhost']) {
    const url = `http://${host}:${new URL(peer.origin).port}/`
    const results: Attempt[] = []
    const over = client.deliver(requestTo(url, { timeoutMs: 3 * HOUR_MS }), never).then(one => results.push(one))
    await peer.reached(host === 'localhost' ? 2 : 1)
    for (let passedMs = 0; passedMs < 3 * HOUR_MS - 1000; passedMs += 400) t.mock.timers.tick(400)
    await clock.advance(3 * HOUR_MS - 1)
    assert.deepEqual(results, [], 'it is waited for')
    answer()
    await over
    assert.deepEqual(
      results.map(({ kind, tookMs }) => [kind, tookMs]),
      [['delivered', 3 * HOUR_MS - 1]],
    )
  }
})

test('closing ends what is open on connections that were made anew meanwhile', async () => {
  await using peer = await openSubscriber(() => {})
  const clock = new ManualClock()
  const client = openClient({ clock })
  const url = `http://localhost:${new URL(peer.origin).port}/`
  const attempt = client.deliver(requestTo(url, { timeoutMs: 3 * HOUR_MS }), never)
  await peer.reached(1)
  await clock.advance(75_000)
  void client.deliver(requestTo(url, { timeoutMs: 3 * HOUR_MS }), never)
  await peer.reached(2)
  await client[Symbol.asyncDispose]()
  const result = await attempt
  assert.ok(result.kind === 'unreachable' && result.cause === 'reset', JSON.stringify(result))
})

test('a deadline of a month is none of today, by the timers of the process too', async () => {
  const expired: string[] = []
  const deadlines = new Deadlines<{ expire(): void }>(systemClock)
  const start = (name: string, afterMs: number) => {
    deadlines.start({ expire: () => expired.push(name) }, afterMs, systemClock.monotonicMs())
  }
  start('a month', 30 * DAY_MS)
  start('longer than a timer', 2 ** 31)
  start('soon', 50)
  const untilMs = performance.now() + 30_000
  while (expired.length === 0 && performance.now() < untilMs) await new Promise(resolve => setTimeout(resolve, 10))
  deadlines.close()
  assert.deepEqual(expired, ['soon'])
})

test('a deadline of a month expires after a month', async () => {
  const clock = new ManualClock()
  const expired: number[] = []
  const deadlines = new Deadlines<{ expire(): void }>(clock)
  deadlines.start({ expire: () => expired.push(clock.monotonicMs()) }, 30 * DAY_MS, clock.monotonicMs())
  await clock.advance(31 * DAY_MS)
  assert.deepEqual(expired, [30 * DAY_MS])
})

test('a connection on which nothing moves is probed within a minute, so that a dead peer is noticed', async t => {
  if (process.platform !== 'linux') return t.skip('only Linux tells the timers of a socket')
  let reached = () => {}
  const arrived = new Promise<void>(resolve => {
    reached = resolve
  })
  await using peer = await openRawPeer(socket => void socket.once('data', reached))
  await using client = openClient()
  const stop = new AbortController()
  const attempt = client.deliver(requestTo(peer.origin, { timeoutMs: 3 * HOUR_MS }), stop.signal)
  await arrived
  const probe = await probeTimer(Number(new URL(peer.origin).port))
  assert.ok(probe !== undefined, 'the kernel has a timer for probes')
  assert.ok(probe > 0 && probe <= 60, `in ${probe} s`)
  stop.abort()
  assert.equal((await attempt).kind, 'abandoned')
})

/** Seconds until the kernel probes the connection to `port`; looks again while what was sent is not acknowledged yet. */
async function probeTimer(port: number): Promise<number | undefined> {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')} 01 `
  for (let i = 0; i < 1000; i++) {
    const line = readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .find(text => text.includes(remote))
    // `02` is the timer for keep-alive; the time is in hundredths of a second.
    const after = / 02:([0-9A-F]{8}) /.exec(line ?? '')?.[1]
    if (after !== undefined) return Number.parseInt(after, 16) / 100
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  return undefined
}

test('closing waits for work as long as it may, says for whose, and what is given up stays owed', async () => {
  let answer = () => {}
  await using peer = await openSubscriber((received, response) => {
    answer = () => answerOk(received, response)
  })
  const route = trigger('slow', peer.origin, { delivery: { ...trigger('slow', '').delivery, timeoutMs: 3 * HOUR_MS } })
  const waiting = { level: 'info', message: 'waiting for requests in flight' }

  const patient = await openRunning({ drainMs: 60_000 })
  await patient.broker.apply(routes([route]))
  await patient.post()
  await peer.reached(1)
  const closed = patient[Symbol.asyncDispose]()
  // The door is shut before the waiting begins.
  while (!patient.logged.some(line => line.message === waiting.message)) await new Promise(setImmediate)
  answer()
  await closed
  assert.deepEqual(
    patient.logged.filter(line => line.message.includes('in flight')),
    [{ ...waiting, facts: { open: 1, triggers: ['shop/slow'], withinMs: 60_000 } }],
  )
  assert.equal(patient.broker.discarding(), 0)

  const hasty = await openRunning({ drainMs: 20 })
  await hasty.broker.apply(routes([route]))
  await hasty.post()
  await peer.reached(2)
  await hasty[Symbol.asyncDispose]()
  assert.deepEqual(
    hasty.logged.filter(line => line.message.includes('in flight')).map(({ level, facts }) => ({ level, facts })),
    [
      { level: 'info', facts: { open: 1, triggers: ['shop/slow'], withinMs: 20 } },
      { level: 'warn', facts: { open: 1, triggers: ['shop/slow'] } },
    ],
  )
  assert.equal(hasty.broker.discarding(), 1)
})
