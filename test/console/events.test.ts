import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keyOfEvent, mergeEvents, parseEventFilter, withNews, worstDeliveries } from '../../console/events.ts'
import { delivery, event } from './scenery.ts'

const list = fc.array(
  fc.nat(50).map(seq => event(seq)),
  { maxLength: 60 },
)

test('after a merge the newest are kept, each once, newest first, and what changed has won', () => {
  fc.assert(
    fc.property(list, list, fc.integer({ min: 1, max: 40 }), (before, changed, most) => {
      const merged = mergeEvents(mergeEvents([], before, most), changed, most)
      const seqs = merged.map(({ seq }) => seq)
      assert.deepEqual(
        seqs,
        [...new Set(seqs)].sort((a, b) => b - a),
      )
      assert.ok(merged.length <= most)
      for (const one of merged) {
        const told = changed.findLast(other => keyOfEvent(other) === keyOfEvent(one))
        if (told !== undefined) assert.equal(one, told)
      }
      const newest = Math.max(-1, ...changed.map(({ seq }) => seq))
      if (newest >= 0) assert.ok((seqs[0] ?? -1) >= newest)
    }),
  )
})

test('events of two Brokers with one number are two events', () => {
  const merged = mergeEvents([event(1)], [event(1, { broker: 'other' })], 10)
  assert.equal(merged.length, 2)
})

test('a filter looks where it is told to', () => {
  const order = event(1, {
    attributes: { id: 'A-1', type: 'order.created', source: '/shop', subject: 'Mrs Smith', specversion: '1.0' },
    deliveries: [delivery({ trigger: 'billing', state: 'parked', last: 'connection refused' })],
  })
  const table: [string, boolean][] = [
    ['', true],
    ['   ', true],
    ['ORDER', true],
    ['order smith', true],
    ['order paid', false],
    ['type:order', true],
    ['type:shop', false],
    ['source:/sh', true],
    ['id:a-1', true],
    ['subject:smith', true],
    ['trigger:bill', true],
    ['trigger:worker', false],
    ['state:parked', true],
    ['state:delivered', false],
    ['broker:default/default', true],
    ['refused', true],
    ['-order', false],
    ['-paid', true],
    ['-state:parked', false],
    ['-', true], // a word like any other: it is in the id
    ['nothing:here', false],
    ['.*', false],
  ]
  for (const [text, passes] of table) assert.equal(parseEventFilter(text)(order), passes, text)
})

test('an event that nobody wanted is found as unmatched', () => {
  assert.equal(parseEventFilter('state:unmatched')(event(1, { deliveries: [] })), true)
  assert.equal(parseEventFilter('state:unmatched')(event(1)), false)
})

test('no text that a person types makes a filter fail', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      parseEventFilter(text)(event(1))
    }),
  )
})

test('the deliveries that need a person come first', () => {
  const all = ['delivered', 'waiting', 'parked', 'retrying', 'dead-lettered'] as const
  const sorted = worstDeliveries(all.map(state => delivery({ state, trigger: state })))
  assert.deepEqual(
    sorted.map(({ state }) => state),
    ['parked', 'dead-lettered', 'retrying', 'waiting', 'delivered'],
  )
})

test('a list that stands still keeps its rows and tells what became of them', () => {
  const now = [event(3), event(2, { bytes: 7 })]
  const held = [event(2), event(1)]
  assert.deepEqual(withNews(held, [event(2, { acceptedMs: 5, bytes: 8 })]), held, 'that is an event of another process')
  assert.deepEqual(
    withNews(held, now).map(({ seq, bytes }) => [seq, bytes]),
    [
      [2, 7],
      [1, 42],
    ],
  )
  assert.equal(withNews(now, now), now)
})
