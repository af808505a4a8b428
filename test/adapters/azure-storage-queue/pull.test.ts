import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdapterState, Emit, Emitted } from '../../../adapters/adapter.ts'
import { pull } from '../../../adapters/azure-storage-queue/pull.ts'
import { sleep } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { type Fate, MemoryAccount } from './memory-queue.ts'
import { neverInOrder, sourceOf } from './source.ts'

type Take = (id: string, signal: AbortSignal) => Promise<Emitted>

const STORED: Emitted = { kind: 'stored' }
const REFUSED: Emitted = { kind: 'refused', status: 400, reason: 'answered 400, no' }

/** An adapter on a queue in memory, its sink in the test's hands, on a clock that the test moves. */
class Bench {
  readonly clock = new ManualClock()
  readonly account = new MemoryAccount(this.clock)
  readonly stop = new AbortController()
  readonly states: AdapterState[] = []
  /** Ids of the events that the sink has, in order. */
  readonly stored: string[] = []
  take: Take = async () => STORED
  ended: Promise<void> | undefined

  constructor(...texts: string[]) {
    this.account.make('orders')
    for (const text of texts) this.account.add('orders', text)
  }

  start(changes: Parameters<typeof sourceOf>[0] = {}, drainMs?: number): this {
    const emit: Emit = async (event, signal) => {
      const id = event.attributes.id ?? ''
      const emitted = await this.take(id, signal)
      if (emitted.kind === 'stored') this.stored.push(id)
      return emitted
    }
    const deps = {
      ...{ emit, emitInOrder: neverInOrder, clock: this.clock, random: () => 1, log: silentLog },
      report: (state: AdapterState) => void this.states.push(state),
      ...(drainMs !== undefined && { drainMs }),
    }
    this.ended = pull(this.account.open('orders'), sourceOf(changes), deps, this.stop.signal)
    return this
  }

  get last(): AdapterState | undefined {
    return this.states.at(-1)
  }

  /** A sink that needs `ms` for every event. */
  slow(ms: number): this {
    this.take = (_, signal) => sleep(this.clock, ms, signal).then(() => STORED)
    return this
  }
}

test('a message is deleted when its event is stored, and not before', async () => {
  const bench = new Bench('x')
  const storing = Promise.withResolvers<Emitted>()
  bench.take = () => storing.promise
  bench.start()
  await bench.clock.advance(600_000)
  assert.deepEqual(bench.account.texts('orders'), ['x'])
  assert.deepEqual(bench.last, { ready: true, error: undefined, held: 1, emitted: 0 })
  storing.resolve(STORED)
  await bench.clock.advance(10)
  assert.deepEqual(bench.account.texts('orders'), [])
  assert.deepEqual(bench.stored, ['id-1'])
  assert.deepEqual(bench.last, { ready: true, error: undefined, held: 0, emitted: 1 })
})

test('a sink that needs longer than the visibility gets every event once', async () => {
  const bench = new Bench(...Array.from({ length: 40 }, (_, i) => `m${i}`)).slow(95_000)
  bench.start({ visibilityTimeoutMs: 10_000 })
  await bench.clock.advance(600_000)
  assert.equal(bench.stored.length, 40)
  assert.equal(new Set(bench.stored).size, 40)
  assert.deepEqual(bench.account.texts('orders'), [])
})

test('no more are held at once than the source says', async () => {
  const bench = new Bench(...Array.from({ length: 100 }, (_, i) => `m${i}`)).slow(1_000)
  bench.start({ parallelism: 7 })
  await bench.clock.advance(60_000)
  assert.equal(bench.stored.length, 100)
  assert.equal(Math.max(...bench.states.map(state => state.held)), 7)
})

test('one at a time is possible', async () => {
  const bench = new Bench('a', 'b', 'c').slow(1_000).start({ parallelism: 1 })
  await bench.clock.advance(10_000)
  assert.deepEqual(bench.stored, ['id-1', 'id-2', 'id-3'])
  assert.equal(Math.max(...bench.states.map(state => state.held)), 1)
})

test('an empty queue is asked less and less often, and at once again after a hit', async () => {
  const bench = new Bench().start()
  const polls: number[] = []
  bench.account.latencyMs = () => 0
  bench.account.fate = () => {
    polls.push(bench.clock.monotonicMs())
    return 'works'
  }
  await bench.clock.advance(60_000)
  const gaps = polls.slice(1).map((atMs, i) => atMs - (polls[i] ?? 0))
  assert.deepEqual(gaps.slice(0, 10), [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000])
  bench.account.add('orders', 'x')
  while (bench.stored.length === 0) await bench.clock.advance(10)
  polls.length = 0
  await bench.clock.advance(1_000)
  assert.ok(polls.length >= 3, String(polls))
})

test('a refused message goes to the poison queue with its text as it came, and only it', async () => {
  const text = Buffer.from('bad').toString('base64')
  const bench = new Bench('a', text, 'c')
  bench.take = async id => (id === 'id-2' ? REFUSED : STORED)
  bench.start()
  await bench.clock.advance(1_000)
  assert.deepEqual(bench.account.texts('orders-poison'), [text])
  assert.deepEqual(bench.account.texts('orders'), [])
  assert.deepEqual(bench.stored.sort(), ['id-1', 'id-3'])
})

test('a message that cannot be read goes to the poison queue without an attempt', async () => {
  const bench = new Bench('not base64').start({ encoding: 'base64', poison: { disabled: false, queueName: 'bad' } })
  await bench.clock.advance(1_000)
  assert.deepEqual(bench.account.texts('bad'), ['not base64'])
  assert.deepEqual(bench.stored, [])
})

test('a message that was received too often goes to the poison queue without an attempt', async () => {
  const bench = new Bench('x')
  const [kept] = bench.account.queues.get('orders') ?? []
  assert(kept !== undefined)
  kept.dequeueCount = 4
  bench.start({ maxDequeueCount: 5 })
  await bench.clock.advance(1_000)
  assert.deepEqual(bench.stored, ['id-1'])
  const worn = new Bench('x')
  const [other] = worn.account.queues.get('orders') ?? []
  assert(other !== undefined)
  other.dequeueCount = 5
  worn.start({ maxDequeueCount: 5 })
  await worn.clock.advance(1_000)
  assert.deepEqual(worn.account.texts('orders-poison'), ['x'])
  assert.deepEqual(worn.stored, [])
})

test('without a poison queue a refused message rests, longer each time, and is never deleted', async () => {
  const bench = new Bench('x')
  const attempts: number[] = []
  bench.take = async () => {
    attempts.push(bench.clock.monotonicMs())
    return REFUSED
  }
  bench.start({ poison: { disabled: true }, maxDequeueCount: 2, pollInterval: { minMs: 10, maxMs: 10 } })
  await bench.clock.advance(20_000)
  const gaps = attempts.slice(1).map((atMs, i) => Math.round((atMs - (attempts[i] ?? 0)) / 1_000))
  assert.deepEqual(gaps.slice(0, 4), [1, 2, 4, 8])
  assert.match(bench.last?.error ?? '', /id-1 cannot be delivered \(the sink answered 400, no\).*no poison queue/)
  assert.deepEqual(bench.account.texts('orders'), ['x'])
  bench.take = async () => STORED
  await bench.clock.advance(20_000)
  assert.equal(bench.last?.error, undefined)
  assert.deepEqual(bench.stored, ['id-1'])
})

test('a queue of poison has none of its own', async () => {
  const bench = new Bench('x')
  bench.account.queues.set('orders-poison', bench.account.queues.get('orders') ?? [])
  bench.take = async () => REFUSED
  const emit = () => bench.take('', bench.stop.signal)
  const deps = { emit, emitInOrder: neverInOrder, clock: bench.clock, random: () => 1, log: silentLog }
  void pull(bench.account.open('orders-poison'), sourceOf(), { ...deps, report: () => {} }, bench.stop.signal)
  await bench.clock.advance(5_000)
  assert.deepEqual(bench.account.texts('orders-poison'), ['x'])
  assert.deepEqual([...bench.account.queues.keys()], ['orders', 'orders-poison'])
})

test('a queue that is missing is said, and read as soon as somebody makes it', async () => {
  const bench = new Bench()
  bench.account.queues.clear()
  bench.start()
  await bench.clock.advance(60_000)
  assert.deepEqual(bench.last, { ready: false, error: 'there is no queue orders', held: 0, emitted: 0 })
  bench.account.make('orders')
  bench.account.add('orders', 'x')
  await bench.clock.advance(30_100)
  assert.deepEqual(bench.last, { ready: true, error: undefined, held: 0, emitted: 1 })
})

test('an outage of the queue is said, and what is held outlives it', async () => {
  const bench = new Bench('x').slow(20_000).start({ visibilityTimeoutMs: 30_000 })
  await bench.clock.advance(1_000)
  let fate: Fate = 'not-done'
  bench.account.fate = () => fate
  await bench.clock.advance(25_000)
  assert.deepEqual(bench.stored, ['id-1'])
  assert.equal(bench.last?.error, 'the network is down')
  fate = 'works'
  await bench.clock.advance(30_000)
  assert.deepEqual(bench.account.texts('orders'), [])
  assert.equal(bench.last?.error, undefined)
  assert.deepEqual(bench.stored, ['id-1'])
})

test('a message that another consumer took is neither deleted nor given back', async () => {
  const bench = new Bench('x').slow(40_000).start({ visibilityTimeoutMs: 10_000 })
  await bench.clock.advance(1_000)
  const [kept] = bench.account.queues.get('orders') ?? []
  assert(kept !== undefined)
  Object.assign(kept, { receipt: 'of another', visibleMs: bench.clock.monotonicMs() + 500_000 })
  await bench.clock.advance(100_000)
  assert.equal(kept.receipt, 'of another')
  assert.deepEqual(bench.account.texts('orders'), ['x'])
  assert.deepEqual(bench.stored, [])
  assert.equal(bench.last?.held, 0)
})

test('a message that was gone when its event was stored is let go at once', async () => {
  const bench = new Bench('x').slow(3_000).start()
  await bench.clock.advance(1_000)
  bench.account.queues.set('orders', [])
  await bench.clock.advance(2_200)
  assert.deepEqual(bench.stored, ['id-1'])
  assert.deepEqual(bench.last, { ready: true, error: undefined, held: 0, emitted: 1 })
})

test('a drain takes nothing new and finishes what is held', async () => {
  const bench = new Bench(...Array.from({ length: 40 }, (_, i) => `m${i}`)).slow(5_000).start()
  await bench.clock.advance(1_000)
  bench.stop.abort()
  await bench.clock.advance(6_000)
  await bench.ended
  assert.equal(bench.stored.length, 16)
  assert.equal(bench.account.texts('orders').length, 24)
  assert.equal(bench.clock.pending, 0)
})

test('what a drain cannot finish in time is given back at once', async () => {
  const bench = new Bench('a', 'b', 'c').slow(60_000).start({}, 5_000)
  await bench.clock.advance(1_000)
  bench.stop.abort()
  await bench.clock.advance(3_900)
  assert.equal(bench.last?.held, 3)
  await bench.clock.advance(200)
  await bench.ended
  const visible = (bench.account.queues.get('orders') ?? []).filter(one => one.visibleMs <= bench.clock.monotonicMs())
  assert.equal(visible.length, 3)
  assert.deepEqual(bench.stored, [])
  assert.equal(bench.clock.pending, 0)
})

test('messages that were handed out while the stop came are finished too', async () => {
  const bench = new Bench('a', 'b')
  bench.account.latencyMs = () => 1_000
  bench.start()
  await bench.clock.advance(900)
  bench.stop.abort()
  await bench.clock.advance(5_000)
  await bench.ended
  assert.deepEqual(bench.stored.sort(), ['id-1', 'id-2'])
  assert.deepEqual(bench.account.texts('orders'), [])
})

test('a drain ends in its time although the service says nothing any more', async () => {
  const bench = new Bench('a').slow(60_000).start({}, 5_000)
  await bench.clock.advance(1_000)
  bench.account.latencyMs = () => 9_000
  bench.account.fate = () => 'not-done'
  bench.stop.abort()
  await bench.clock.advance(5_001)
  await bench.ended
  assert.equal(bench.clock.pending, 0)
})

test('an adapter that is stopped before it starts ends', async () => {
  const bench = new Bench('a')
  bench.stop.abort()
  bench.start()
  await bench.clock.advance(100)
  await bench.ended
  assert.deepEqual(bench.stored, [])
  assert.equal(bench.clock.pending, 0)
})

test('a mistake in the code ends the adapter, and the message stays', async () => {
  const bench = new Bench('a')
  bench.take = () => Promise.reject(new Error('a bug'))
  bench.start()
  const failed = assert.rejects(bench.ended ?? Promise.resolve(), /a bug/)
  await bench.clock.advance(30_000)
  await failed
  assert.deepEqual(bench.account.texts('orders'), ['a'])
  assert.equal(bench.clock.pending, 0)
})
