import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DeliveryState, type JournalEntry, openJournal } from '../../broker/journal.ts'
import { brokerId, triggerId } from '../../contract/ids.ts'
import type { CloudEvent } from '../../event/event.ts'
import { ManualClock } from '../support/manual-clock.ts'

const broker = brokerId('shop', 'main')
const orders = triggerId('shop', 'orders')
const audit = triggerId('shop', 'audit')
const event: CloudEvent = {
  mode: 'binary',
  attributes: { specversion: '1.0', id: '1', source: '/s', type: 't' },
  body: Buffer.from('secret'),
}
const delivered: DeliveryState = {
  state: 'delivered',
  attempts: 1,
  last: '200',
  tookMs: 3,
  nextDueMs: undefined,
}

function open() {
  const clock = new ManualClock()
  const journal = openJournal(clock)
  const recorder = journal.recorder()
  const accept = (seq: number, matched = [orders]) => recorder.accepted(broker, seq, event, matched, 1000 + seq)
  const change = (seq: number, trigger = orders) =>
    recorder.changed(broker, { trigger, seq, event, acceptedMs: 1000 + seq }, delivered)
  return { clock, journal, recorder, accept, change }
}

test('an event is there with the Triggers that wait for it, and never with its data', () => {
  const { journal, accept } = open()
  accept(1, [orders, audit])
  const [entry] = journal.recent(10)
  assert.deepEqual(Object.keys(entry?.deliveries ?? {}), [orders, audit])
  assert.equal(entry?.deliveries[orders]?.state, 'waiting')
  assert.equal(entry?.bytes, 6)
  assert.ok(!JSON.stringify(entry).includes('secret'))
})

test('an event that nobody wanted has no deliveries', () => {
  const { journal, accept } = open()
  accept(1, [])
  assert.deepEqual(Object.keys(journal.recent(1)[0]?.deliveries ?? { x: 1 }), [])
})

test('each delivery changes by itself', () => {
  const { journal, accept, change } = open()
  accept(1, [orders, audit])
  change(1, audit)
  const [entry] = journal.recent(1)
  assert.equal(entry?.deliveries[audit]?.state, 'delivered')
  assert.equal(entry?.deliveries[orders]?.state, 'waiting')
})

test('the last thousand are kept, newest first', () => {
  const { journal, accept } = open()
  journal.watch(() => {})
  for (let seq = 1; seq <= 1500; seq++) accept(seq)
  assert.deepEqual(
    journal.recent(3).map(entry => entry.seq),
    [1500, 1499, 1498],
  )
  const all = journal.recent(5000)
  assert.equal(all.length, 1000)
  assert.equal(all.at(-1)?.seq, 501)
})

test('an event accepted before the process began, or long ago, is news when it is delivered', () => {
  const { journal, change } = open()
  change(7)
  assert.equal(journal.recent(1)[0]?.seq, 7)
  assert.equal(journal.recent(1)[0]?.acceptedMs, 1007)
})

test('an event that was forgotten already is news again when it is delivered', () => {
  const { journal, accept, change } = open()
  journal.watch(() => {})
  for (let seq = 1; seq <= 1500; seq++) accept(seq)
  change(7)
  assert.equal(journal.recent(1)[0]?.seq, 7)
})

test('a delivery that is faster than the acceptance loses no Trigger', () => {
  const { journal, accept, change } = open()
  change(1, audit)
  accept(1, [orders, audit])
  assert.equal(journal.recent(5).length, 1)
  const [entry] = journal.recent(1)
  assert.equal(entry?.deliveries[audit]?.state, 'delivered')
  assert.equal(entry?.deliveries[orders]?.state, 'waiting')
})

test('two stores may use the same numbers', () => {
  const { journal, accept } = open()
  const other = journal.recorder()
  accept(1)
  other.accepted(brokerId('shop', 'other'), 1, event, [], 1)
  other.changed(brokerId('shop', 'other'), { trigger: audit, seq: 1, event, acceptedMs: 1 }, delivered)
  assert.deepEqual(
    journal.recent(5).map(entry => Object.keys(entry.deliveries)),
    [[audit], [orders]],
  )
})

test('who watches is told of what is new or changed, each once, at most four times a second', async () => {
  const { clock, journal, accept, change } = open()
  const told: (readonly JournalEntry[])[] = []
  const stop = journal.watch(changed => told.push(changed))
  for (let round = 0; round < 20; round++) {
    accept(round)
    change(round)
    await clock.advance(50)
  }
  assert.ok(told.length >= 3 && told.length <= 4, `${told.length} calls in a second`)
  await clock.advance(250)
  const seqs = told.flat().map(entry => entry.seq)
  assert.deepEqual(
    [...new Set(seqs)].sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i),
  )
  assert.equal(told.flat().at(-1)?.deliveries[orders]?.state, 'delivered')
  stop()
  accept(100)
  await clock.advance(1000)
  assert.ok(!told.flat().some(entry => entry.seq === 100))
})

test('nobody watching costs no timer', () => {
  const { clock, accept } = open()
  accept(1)
  assert.equal(clock.pending, 0)
})

test('a watcher is told of at most as many as are kept', async () => {
  const { clock, journal, accept } = open()
  let most = 0
  journal.watch(changed => {
    most = Math.max(most, changed.length)
  })
  for (let seq = 1; seq <= 3000; seq++) accept(seq)
  await clock.advance(250)
  assert.equal(most, 1000)
})

test('in a flood that nobody watches only the first thousand of each second are kept; who watches sees all', async () => {
  const { clock, journal, recorder } = open()
  const flood = (from: number) => {
    for (let seq = from; seq < from + 5000; seq++) {
      recorder.accepted(broker, seq, event, [orders], clock.nowMs())
      recorder.changed(broker, { trigger: orders, seq, event, acceptedMs: clock.nowMs() }, delivered)
    }
  }
  flood(1)
  assert.equal(journal.recent(5000)[0]?.seq, 1000)
  await clock.advance(1000)
  flood(10_001)
  assert.equal(journal.recent(5000)[0]?.seq, 11_000)
  let seen = 0
  journal.watch(changed => {
    seen += changed.length
  })
  flood(20_001)
  assert.equal(journal.recent(5000)[0]?.seq, 25_000)
  await clock.advance(250)
  assert.equal(seen, 1000)
})
