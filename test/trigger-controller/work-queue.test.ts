import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { openWorkQueue, type Work } from '../../trigger-controller/work-queue.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'

function queueOf(work: Work, concurrency = 2) {
  const clock = new ManualClock()
  const options = { concurrency, backoffMs: 100, backoffMaxMs: 1_000, timeoutMs: 5_000 }
  const queue = openWorkQueue(work, { clock, random: () => 1, log: silentLog }, options)
  return { clock, queue }
}

/** Work that a test finishes by hand. */
function byHand() {
  const open: { readonly key: string; readonly done: () => void; readonly fail: (error: Error) => void }[] = []
  const work: Work = key => new Promise((done, fail) => void open.push({ key, done, fail }))
  return { work, open, keys: () => open.map(one => one.key) }
}

test('a key that is asked for many times before its turn is worked on once', async () => {
  const hand = byHand()
  const { queue } = queueOf(hand.work, 1)
  for (let i = 0; i < 10; i++) {
    queue.add('a')
    queue.add('b')
  }
  await settle()
  assert.deepEqual(hand.keys(), ['a'])
  hand.open[0]?.done()
  await settle()
  assert.deepEqual(hand.keys(), ['a', 'b'])
  hand.open[1]?.done()
  await queue.idle()
  assert.equal(hand.open.length, 2)
})

test('a key is never worked on by two at a time, and what is asked for meanwhile is done afterwards', async () => {
  const hand = byHand()
  const { queue } = queueOf(hand.work)
  queue.add('a')
  await settle()
  queue.add('a')
  queue.add('a')
  await settle()
  assert.equal(hand.open.length, 1)
  hand.open[0]?.done()
  await settle()
  assert.equal(hand.open.length, 2)
})

test('no more keys than the concurrency are worked on at once, in the order they came', async () => {
  const hand = byHand()
  const { queue } = queueOf(hand.work, 2)
  for (const key of ['a', 'b', 'c', 'd']) queue.add(key)
  await settle()
  assert.deepEqual(hand.keys(), ['a', 'b'])
  hand.open[1]?.done()
  await settle()
  assert.deepEqual(hand.keys(), ['a', 'b', 'c'])
})

test('a key that fails comes back after a wait that doubles up to a limit, while others go on', async () => {
  const times: number[] = []
  let failing = true
  const { queue, clock } = queueOf(async key => {
    if (key === 'good') return
    times.push(clock.monotonicMs())
    if (failing) throw new Error('no')
  })
  queue.add('bad')
  await clock.advance(100 + 200 + 400 + 800 + 1_000 + 1_000)
  assert.deepEqual(times, [0, 100, 300, 700, 1_500, 2_500, 3_500])
  queue.add('good')
  await queue.idle()

  failing = false
  await clock.advance(1_000)
  failing = true
  queue.add('bad')
  await clock.advance(100)
  assert.deepEqual(times.slice(-2), [4_500, 4_600], 'a success forgets the failures')
})

test('news about a key that waits after a failure is acted upon at once', async () => {
  let runs = 0
  const { queue, clock } = queueOf(async () => {
    runs++
    throw new Error('no')
  })
  queue.add('a')
  await clock.advance(0)
  queue.add('a')
  await clock.advance(0)
  assert.equal(runs, 2)
  assert.equal(clock.pending, 1, 'one timer, not one per failure')
})

test('work that hangs is told to stop when its time is over', async () => {
  const { queue, clock } = queueOf(
    (_key, signal) => new Promise((_done, fail) => signal.addEventListener('abort', () => fail(signal.reason))),
    1,
  )
  queue.add('hangs')
  await clock.advance(4_999)
  let idle = false
  void queue.idle().then(() => {
    idle = true
  })
  await settle()
  assert.equal(idle, false)
  await clock.advance(1)
  assert.equal(idle, true)
})

test('closing stops what runs, starts nothing more, and may be done twice', async () => {
  const begun: string[] = []
  const { queue, clock } = queueOf((key, signal) => {
    begun.push(key)
    return new Promise((_done, fail) => signal.addEventListener('abort', () => fail(signal.reason)))
  }, 1)
  queue.add('a')
  queue.add('b')
  await settle()
  await queue[Symbol.asyncDispose]()
  await queue[Symbol.asyncDispose]()
  queue.add('c')
  await clock.advance(60_000)
  assert.deepEqual(begun, ['a'])
  assert.equal(clock.pending, 0)
})

test('closing forgets what waits after a failure', async () => {
  const { queue, clock } = queueOf(async () => {
    throw new Error('no')
  })
  queue.add('a')
  await clock.advance(0)
  assert.equal(clock.pending, 1)
  await queue[Symbol.asyncDispose]()
  assert.equal(clock.pending, 0)
})
