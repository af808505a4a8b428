import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endInTime, inTime } from '../../runtime/in-time.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'

const never = new AbortController().signal

test('what is answered in time is returned, and no timer stays', async () => {
  const clock = new ManualClock()
  assert.equal(await inTime(clock, 1_000, never, async () => 'answer', 'late'), 'answer')
  assert.equal(clock.pending, 0)
})

test('a request that heeds no signal is given up in time, and told', async () => {
  const clock = new ManualClock()
  const told: AbortSignal[] = []
  const deaf = (signal: AbortSignal) => {
    told.push(signal)
    return new Promise<never>(() => {})
  }
  const asked = inTime(clock, 1_000, never, deaf, 'late')
  await clock.advance(999)
  await settle()
  assert.equal(told[0]?.aborted, false)
  await clock.advance(1)
  assert.equal(await asked, 'late')
  assert.equal(told[0]?.aborted, true)
})

test('whoever stops it hears its own reason, at once', async () => {
  const clock = new ManualClock()
  const stop = new AbortController()
  const reason = new Error('it is over')
  const asked = inTime(clock, 1_000, stop.signal, () => new Promise<never>(() => {}), 'late')
  stop.abort(reason)
  await assert.rejects(asked, error => error === reason)
  assert.equal(clock.pending, 0)
  await assert.rejects(
    inTime(clock, 1_000, stop.signal, () => assert.fail('asked though it is over'), 'late'),
    error => error === reason,
  )
})

test('a failure is passed on, and one that comes too late is nobody’s', async () => {
  const clock = new ManualClock()
  await assert.rejects(
    inTime(clock, 1_000, never, () => Promise.reject(new Error('refused')), 'late'),
    /refused/,
  )
  const failing = Promise.withResolvers<never>()
  const asked = inTime(clock, 1_000, never, () => failing.promise, 'late')
  await clock.advance(1_000)
  assert.equal(await asked, 'late')
  failing.reject(new Error('refused late'))
  await settle()
})

test('ending neither rejects nor waits for longer', async () => {
  const clock = new ManualClock()
  await endInTime(clock, 1_000, () => Promise.reject(new Error('refused')))
  let ended = false
  const ending = endInTime(clock, 1_000, () => new Promise<never>(() => {})).then(() => {
    ended = true
  })
  await settle()
  assert.equal(ended, false)
  await clock.advance(1_000)
  await ending
})
