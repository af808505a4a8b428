import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beginAt, pinOf } from '../../../adapters/azure-event-hubs/begin.ts'
import { lagOf } from '../../../clients/azure-event-hubs/backlog.ts'

const facts = { first: 10, last: 19, lastOffset: '1900', lastEnqueuedMs: 5_000, empty: false }
const nothing = { first: 0, last: -1, lastOffset: '-1', lastEnqueuedMs: 0, empty: true }
const earliest = { kind: 'earliest' } as const
const latest = { kind: 'latest' } as const

test('a partition goes on after its checkpoint', () => {
  assert.deepEqual(beginAt({ sequence: 14, offset: '1400' }, latest, facts), {
    from: { kind: 'after', sequence: 14 },
    note: undefined,
  })
  const byOffset = { sequence: undefined, offset: '1400' }
  assert.deepEqual(beginAt(byOffset, latest, facts).from, { kind: 'after-offset', offset: '1400' })
})

test('what retention took before it was read is told, and the rest is read', () => {
  const begin = beginAt({ sequence: 4, offset: '400' }, latest, facts)
  assert.deepEqual(begin.from, { kind: 'after', sequence: 4 })
  assert.match(begin.note ?? '', /^5 events were removed/)
})

test('a checkpoint ahead of the log is of another hub: this one is read from its beginning', () => {
  const begin = beginAt({ sequence: 20, offset: '2000' }, latest, facts)
  assert.deepEqual(begin.from, earliest)
  assert.match(begin.note ?? '', /made anew/)
})

test('without a checkpoint the source says where to begin', () => {
  assert.deepEqual(beginAt(undefined, earliest, facts).from, earliest)
  assert.deepEqual(beginAt(undefined, latest, facts).from, { kind: 'after', sequence: 19 })
  const time = { kind: 'time', timeMs: 4_000 } as const
  assert.deepEqual(beginAt(undefined, time, facts).from, time)
})

test('what is pinned is what no reader will ever be asked for', () => {
  const end = { sequence: 19, offset: '1900' }
  assert.deepEqual(pinOf(latest, facts), end)
  assert.equal(pinOf(earliest, facts), undefined)
  assert.equal(pinOf({ kind: 'time', timeMs: 4_000 }, facts), undefined)
  assert.deepEqual(pinOf({ kind: 'time', timeMs: 5_001 }, facts), end)
  for (const initial of [earliest, latest]) assert.deepEqual(pinOf(initial, nothing), { sequence: -1, offset: '-1' })
})

const lags: readonly [what: string, found: typeof facts, sequence: number | undefined, lag: number][] = [
  ['what is after the checkpoint', facts, 14, 5],
  ['nothing at the end', facts, 19, 0],
  ['all that is kept, without a checkpoint', facts, undefined, 10],
  ['only what is kept, where retention has overtaken the checkpoint', facts, 3, 10],
  ['all, where the checkpoint is of another hub', facts, 99, 10],
  ['nothing of a partition that never had an event', nothing, undefined, 0],
  ['nothing of one whose events have all expired', { ...facts, first: 20, empty: true }, 3, 0],
]
for (const [what, found, sequence, lag] of lags) {
  test(`the lag is ${what}`, () => {
    assert.equal(lagOf(found, sequence === undefined ? undefined : { sequence, offset: '' }), lag)
  })
}
