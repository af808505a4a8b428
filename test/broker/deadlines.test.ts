import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deadlines } from '../../broker/deadlines.ts'
import { ManualClock } from '../support/manual-clock.ts'

function openDeadlines() {
  const clock = new ManualClock()
  const deadlines = new Deadlines<{ expire(): void }>(clock)
  const expired: string[] = []
  const start = (name: string, afterMs: number) =>
    deadlines.start({ expire: () => expired.push(name) }, afterMs, clock.monotonicMs())
  return { clock, deadlines, expired, start }
}

test('a deadline expires at its time, not before, and once', async () => {
  const { clock, expired, start } = openDeadlines()
  start('a', 100)
  await clock.advance(40)
  start('b', 100)
  await clock.advance(59)
  assert.deepEqual(expired, [])
  await clock.advance(1)
  assert.deepEqual(expired, ['a'])
  await clock.advance(39)
  assert.deepEqual(expired, ['a'])
  await clock.advance(1000)
  assert.deepEqual(expired, ['a', 'b'])
})

test('a cancelled deadline never expires, and cancelling twice is nothing', async () => {
  const { clock, expired, start } = openDeadlines()
  start('a', 100).cancel()
  const b = start('b', 100)
  start('c', 100)
  b.cancel()
  b.cancel()
  await clock.advance(1000)
  assert.deepEqual(expired, ['c'])
})

test('different lengths do not wait for each other', async () => {
  const { clock, expired, start } = openDeadlines()
  start('long', 5000)
  start('short', 10)
  await clock.advance(10)
  assert.deepEqual(expired, ['short'])
})

test('a thousand deadlines of one length need one timer, and none when all is over', async () => {
  const { clock, start } = openDeadlines()
  const running = Array.from({ length: 1000 }, () => start('x', 30_000))
  assert.equal(clock.pending, 1)
  for (const deadline of running) deadline.cancel()
  await clock.advance(30_000)
  assert.equal(clock.pending, 0)
})

test('what an expiry starts expires in its turn, with one timer', async () => {
  const clock = new ManualClock()
  const deadlines = new Deadlines<{ expire(): void }>(clock)
  let rounds = 0
  const again = {
    expire() {
      rounds++
      if (rounds < 3) deadlines.start(again, 100, clock.monotonicMs())
    },
  }
  deadlines.start(again, 100, clock.monotonicMs())
  deadlines.start({ expire() {} }, 100, clock.monotonicMs())
  await clock.advance(150)
  assert.equal(clock.pending, 1)
  await clock.advance(1000)
  assert.equal(rounds, 3)
  assert.equal(clock.pending, 0)
})

test('closing forgets every deadline', async () => {
  const { clock, deadlines, expired, start } = openDeadlines()
  start('a', 100)
  deadlines.close()
  await clock.advance(1000)
  assert.deepEqual(expired, [])
  assert.equal(clock.pending, 0)
})

test('what runs is known', async () => {
  const { clock, deadlines, start } = openDeadlines()
  start('a', 100)
  start('b', 200).cancel()
  start('c', 200)
  assert.equal(deadlines.running().length, 2)
  await clock.advance(100)
  assert.equal(deadlines.running().length, 1)
})
