import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DueTimer } from '../../../broker/stores/due-timer.ts'
import { Fifo } from '../../../broker/stores/fifo.ts'
import { Heap } from '../../../broker/stores/heap.ts'
import { checksumOf, seedOf } from '../../../broker/stores/sqlite/checksum.ts'
import { LINGER_LONG_MS, LINGER_MAX_MS, Linger } from '../../../broker/stores/sqlite/linger.ts'
import { Young } from '../../../broker/stores/sqlite/young.ts'
import { ManualClock } from '../../support/manual-clock.ts'

test('a heap gives back what was put in, smallest first, whatever the order', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer())), steps => {
      const heap = new Heap<number>((a, b) => a < b)
      const model: number[] = []
      for (const step of steps) {
        if (step === null) assert.equal(heap.pop(), model.sort((a, b) => a - b).shift())
        else {
          heap.push(step)
          model.push(step)
        }
        assert.equal(heap.size, model.length)
      }
      while (model.length > 0) assert.equal(heap.pop(), model.sort((a, b) => a - b).shift())
    }),
  )
})

test('a fifo gives back what was put in, in order, across thousands', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1500, max: 1500 }), { maxLength: 30 }), steps => {
      const fifo = new Fifo<number>()
      const model: number[] = []
      let made = 0
      for (const step of steps) {
        for (let i = 0; i < step; i++) {
          fifo.push(made)
          model.push(made++)
        }
        for (let i = 0; i > step; i--) assert.equal(fifo.shift(), model.shift())
        assert.equal(fifo.size, model.length)
        assert.equal(fifo.peek(), model[0])
        assert.deepEqual([...fifo.values()], model)
      }
    }),
    { numRuns: 30 },
  )
})

test('young events are found by seq, with gaps, until they are dropped', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 60 })), { maxLength: 60 }),
      steps => {
        const young = new Young()
        const model = new Map<number, number[]>()
        let seq = 0
        for (const [gap, pick] of steps) {
          seq += gap
          young.add({ seq, keys: [1, 2] })
          model.set(seq, [1, 2])
          const chosen = Math.max(1, seq - pick)
          assert.equal(young.forget(chosen, 2), model.get(chosen)?.includes(2) ?? false)
          if (model.has(chosen)) model.set(chosen, model.get(chosen)?.filter(key => key !== 2) ?? [])
          if (pick % 7 === 0) {
            young.dropUpTo(chosen)
            for (const one of model.keys()) if (one <= chosen) model.delete(one)
          }
          assert.deepEqual(
            [...young.upTo(seq)].map(event => [event.seq, event.keys]),
            [...model],
          )
        }
      },
    ),
  )
})

test('the checksum of an event changes with any of its numbers, keys and bytes', () => {
  const numbers = fc.tuple(
    fc.integer({ min: 1, max: 2 ** 50 }),
    fc.integer({ min: 0, max: 2 ** 50 }),
    fc.nat(1000),
    fc.nat(255),
    fc.nat(1),
  )
  fc.assert(
    fc.property(
      numbers,
      fc.array(fc.nat(1000), { maxLength: 4 }),
      fc.uint8Array({ minLength: 1, maxLength: 50 }),
      fc.nat(),
      (values, keys, bytes, roll) => {
        const sum = (numbers: readonly number[], owed: readonly number[], text: Uint8Array) => {
          const [a = 0, b = 0, c = 0, d = 0, e = 0] = numbers
          return checksumOf(text, bytes, seedOf(a, b, c, d, e, owed))
        }
        const before = sum(values, keys, bytes)
        for (const i of [0, 1, 2]) {
          const flipped = values.with(i, (values[i] ?? 0) + 2 ** (roll % 9))
          assert.notEqual(sum(flipped, keys, bytes), before)
        }
        if (keys.length > 0) assert.notEqual(sum(values, keys.with(0, (keys[0] ?? 0) ^ 1), bytes), before)
        const other = Uint8Array.from(bytes)
        other[roll % other.length] = (other[roll % other.length] ?? 0) ^ (1 << (roll % 8))
        assert.notEqual(sum(values, keys, other), before)
      },
    ),
  )
})

test('few events do not wait for company, many do, and soon no longer', () => {
  const linger = new Linger()
  let nowMs = 0
  const send = (groups: number, events: number, everyMs: number) => {
    for (let i = 0; i < groups; i++) {
      nowMs += everyMs
      linger.sent(events, nowMs)
    }
  }
  send(20, 1, 10)
  assert.equal(linger.waitMs(), 0)
  send(20, 20, 2)
  assert.equal(linger.waitMs(), LINGER_MAX_MS)
  send(20, 1, 10)
  assert.equal(linger.waitMs(), 0)
  send(20, 1000, 0)
  assert.equal(linger.waitMs(), 0, 'a clock that stands still is no load')
})

/** Events per ms that come through when senders are as `next` says: when the next one is sent, given when the last was answered. */
function through(linger: Linger, next: (sentMs: number, answeredMs: number) => number, ms: number): number {
  let [nowMs, events] = [0, 0]
  for (let firstMs = 0; nowMs < ms; ) {
    const goMs = firstMs + linger.waitMs()
    let count = 0
    let sentMs = firstMs
    const answeredMs = Math.max(goMs, firstMs) + 1 // the commit
    for (; sentMs <= goMs; sentMs = next(sentMs, answeredMs)) count++
    linger.sent(count, goMs)
    events += count
    nowMs = answeredMs
    firstMs = Math.max(sentMs, answeredMs)
  }
  return events / ms
}

test('events that come by themselves at a moderate rate wait a little for each other', () => {
  const linger = new Linger()
  const rate = through(linger, sentMs => sentMs + 2, 10_000)
  assert.ok(rate > 0.45, String(rate))
  assert.equal(linger.waitMs(), LINGER_LONG_MS)
})

test('a sender that waits for each answer is not slowed down, but for a trial now and then', () => {
  const alone = through(new Linger(), (_, answeredMs) => answeredMs + 0.1, 100)
  const rate = through(new Linger(), (_, answeredMs) => answeredMs + 0.1, 20_000)
  assert.ok(alone > 0.5 && rate > 0.8, `${alone} ${rate}`)
})

test('one timer serves many due times, whatever order they are asked for in', async () => {
  const clock = new ManualClock()
  const startMs = clock.nowMs()
  const woken: number[] = []
  const waiting = [5000, 90_000, 1000, 200_000]
  const timer = new DueTimer(
    clock,
    () => {
      woken.push(clock.nowMs() - startMs)
      const next = waiting.filter(ms => ms > clock.nowMs() - startMs).toSorted((a, b) => a - b)[0]
      if (next !== undefined) timer.wakeAt(startMs + next)
    },
    () => assert.fail(),
  )
  for (const ms of waiting) timer.wakeAt(startMs + ms)
  await clock.advance(300_000)
  assert.deepEqual(woken, [1000, 5000, 90_000, 200_000])
  timer.wakeAt(startMs + 400_000)
  timer.cancel()
  assert.equal(clock.pending, 0)
})

test('a wall clock that is set back is told once, and makes no time later; one that drifts is not told', async () => {
  const clock = new ManualClock()
  const back: number[] = []
  let woken = 0
  const timer = new DueTimer(
    clock,
    () => woken++,
    byMs => back.push(byMs),
  )
  timer.wakeAt(clock.nowMs() + 200_000)
  clock.jump(-500)
  await clock.advance(100_000)
  assert.deepEqual(back, [])
  clock.jump(-3_600_000)
  await clock.advance(99_999)
  assert.deepEqual([back, woken], [[3_600_500], 0])
  await clock.advance(1)
  assert.deepEqual([back, woken, clock.pending], [[3_600_500], 1, 0])
  clock.jump(3_600_000)
  timer.look()
  clock.jump(-1000)
  timer.look()
  assert.deepEqual(back, [3_600_500, 1000])
})
