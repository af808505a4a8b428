import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Emit } from '../../../adapters/adapter.ts'
import { pull } from '../../../adapters/azure-storage-queue/pull.ts'
import { type Clock, sleep } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { MemoryAccount } from './memory-queue.ts'
import { neverInOrder, sourceOf } from './source.ts'

/** A small generator of even quality (mulberry32): the same seed, the same life. */
function dice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The time of a process: after `kill` no timer of it fires, so that nothing of it ever goes on. */
class MortalClock implements Clock {
  readonly #clock: Clock
  #dead = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  kill(): void {
    this.#dead = true
  }

  nowMs(): number {
    return this.#clock.nowMs()
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs()
  }

  after(delayMs: number, action: () => void) {
    return this.#clock.after(delayMs, () => {
      if (!this.#dead) action()
    })
  }
}

interface Weather {
  /** Chance that a call never arrives, and that its answer is lost. */
  readonly loss: number
  /** Chance that an event needs longer than the visibility. */
  readonly slow: number
  readonly kills: number
  readonly drains: number
  readonly maxDequeueCount: number
}

const MESSAGES = 40
const VISIBILITY_MS = 10_000

/** One life of one to two adapters and a queue. @returns what the sink and the queues have in the end. */
async function live(seed: number, weather: Weather) {
  const random = dice(seed)
  const clock = new ManualClock()
  const account = new MemoryAccount(clock)
  account.make('orders')
  const ids = Array.from({ length: MESSAGES }, (_, i) => account.add('orders', `m${i}`))
  const unwanted = new Set(ids.filter(() => random() < 0.1))
  const stored: string[] = []
  account.latencyMs = () => 1 + 200 * random()
  account.fate = () => (random() < weather.loss ? (random() < 0.5 ? 'not-done' : 'answer-lost') : 'works')

  const start = () => {
    const mortal = new MortalClock(clock)
    const emit: Emit = async (event, signal) => {
      const id = event.attributes.id ?? ''
      await sleep(mortal, random() < weather.slow ? VISIBILITY_MS * 3 * random() : 100 * random(), signal)
      if (unwanted.has(id)) return { kind: 'refused', status: 400, reason: 'answered 400' }
      stored.push(id)
      return { kind: 'stored' }
    }
    const mine = new MemoryAccount(mortal)
    Object.assign(mine, { queues: account.queues, latencyMs: account.latencyMs, fate: account.fate })
    // Receipts and ids must differ between processes.
    mine.receipt = () => account.receipt()
    mine.add = (name, text) => account.add(name, text)
    const stop = new AbortController()
    const source = sourceOf({ visibilityTimeoutMs: VISIBILITY_MS, maxDequeueCount: weather.maxDequeueCount })
    const deps = {
      emit,
      emitInOrder: neverInOrder,
      clock: mortal,
      random,
      log: silentLog,
      report: () => {},
      drainMs: 3_000,
    }
    const ended = pull(mine.open('orders'), source, deps, stop.signal)
    return { mortal, stop, ended }
  }

  for (let i = 0; i < weather.kills + weather.drains; i++) {
    const process = start()
    await clock.advance(Math.ceil(4_000 * random()))
    if (i < weather.kills) {
      process.mortal.kill()
      continue
    }
    process.stop.abort()
    await clock.advance(3_001)
    await process.ended
  }
  const last = start()
  for (let i = 0; i < 200 && account.texts('orders').length > 0; i++) await clock.advance(5_000)
  last.stop.abort()
  await clock.advance(4_000)
  await last.ended
  return { ids, unwanted, stored, left: account.texts('orders'), poison: account.texts('orders-poison') }
}

test('whatever is lost or killed, every message is stored or refused in the end', async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const weather = { loss: 0.15, slow: 0.2, kills: seed % 4, drains: seed % 3, maxDequeueCount: 1_000 }
    const { ids, unwanted, stored, left, poison } = await live(seed, weather)
    assert.deepEqual(left, [], `seed ${seed}`)
    const textOf = (id: string) => `m${ids.indexOf(id)}`
    for (const id of ids) {
      if (unwanted.has(id)) assert.ok(poison.includes(textOf(id)), `seed ${seed}: ${id} is in no queue`)
      else assert.ok(stored.includes(id), `seed ${seed}: ${id} never came`)
    }
    for (const text of poison)
      assert.ok(
        [...unwanted].some(id => textOf(id) === text),
        `seed ${seed}: ${text} was good`,
      )
  }
})

test('in quiet weather no message comes twice, however slow the sink is', async () => {
  for (let seed = 1; seed <= 100; seed++) {
    const weather = { loss: 0, slow: 0.5, kills: 0, drains: 0, maxDequeueCount: 5 }
    const { ids, unwanted, stored, left, poison } = await live(seed, weather)
    assert.deepEqual(left, [])
    assert.equal(new Set(stored).size, stored.length, `seed ${seed}`)
    assert.equal(stored.length, ids.length - unwanted.size)
    assert.equal(poison.length, unwanted.size)
  }
})

test('messages that kill their adapter end in the poison queue', async () => {
  for (let seed = 1; seed <= 50; seed++) {
    const weather = { loss: 0.1, slow: 0.9, kills: 8, drains: 0, maxDequeueCount: 3 }
    const { ids, stored, left, poison } = await live(seed, weather)
    assert.deepEqual(left, [], `seed ${seed}`)
    for (const [i, id] of ids.entries())
      assert.ok(stored.includes(id) || poison.includes(`m${i}`), `seed ${seed}: ${id} is lost`)
  }
})
