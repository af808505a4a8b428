import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { expiryOf, isTimed, timingOf, unreadableTime } from '../../broker/timing.ts'
import { triggerId } from '../../contract/ids.ts'
import { bare } from '../support/arbitraries.ts'
import { trigger, url } from '../support/running-broker.ts'

const NOW_MS = Date.UTC(2026, 0, 31, 8)

function leaseOf(more: Record<string, string>, attempt = 0) {
  const attributes = bare({ specversion: '1.0', id: '1', source: '/s', type: 't', ...more })
  const event = { mode: 'binary', attributes, body: new Uint8Array() } as const
  const stage = 'subscriber' as const
  return {
    trigger: triggerId('shop', 't'),
    seq: 1,
    event,
    hops: 9,
    acceptedMs: NOW_MS,
    stage,
    attempt,
    failure: undefined,
  }
}

const honours = trigger('t', 'http://x', { deliverAfter: 'honour' })
const discards = trigger('t', 'http://x', { expiry: 'discard' })

test('a Trigger that asks for nothing heeds no times', () => {
  const plain = trigger('t', 'http://x')
  assert.equal(isTimed(plain), false)
  const lease = leaseOf({ deliverafter: 'PT1H', expirytime: '2020-01-01T00:00:00Z' })
  assert.deepEqual(timingOf(lease, plain, NOW_MS), { kind: 'now' })
})

for (const [text, dueMs] of [
  ['2026-01-31T09:00:00Z', NOW_MS + 3_600_000],
  ['2026-01-31T10:00:00.5+01:00', NOW_MS + 3_600_500],
  ['PT90S', NOW_MS + 90_000],
  ['P1D', NOW_MS + 86_400_000],
  ['PT1.0001S', NOW_MS + 1001],
] as const) {
  test(`deliverafter ${text} holds the event back until then`, () => {
    assert.deepEqual(timingOf(leaseOf({ deliverafter: text }), honours, NOW_MS), { kind: 'later', dueMs })
    assert.deepEqual(timingOf(leaseOf({ deliverafter: text }), honours, dueMs), { kind: 'now' })
  })
}

for (const text of ['', 'soon', '2026-01-31', '2026-13-31T09:00:00Z', '-PT1S', '5']) {
  test(`deliverafter ${JSON.stringify(text)} is no time: the event goes at once`, () => {
    assert.deepEqual(timingOf(leaseOf({ deliverafter: text }), honours, NOW_MS), { kind: 'now' })
  })
}

test('an expiry is a time: a duration is none', () => {
  for (const text of ['PT1S', 'PT0S', 'P1D', '', 'never']) {
    assert.equal(expiryOf(leaseOf({ expirytime: text }), discards), undefined)
    assert.match(unreadableTime(leaseOf({ expirytime: text }), discards) ?? '', /^expirytime ".*" is no time/)
  }
})

test('a time that cannot be read is told in one short line, where it is asked for', () => {
  const evil = leaseOf({ deliverafter: `x\n${'y'.repeat(5000)}` })
  const words = unreadableTime(evil, honours) ?? ''
  assert.match(words, /^deliverafter "x\\ny+" is no time/)
  assert.ok(words.length < 200)
  assert.equal(unreadableTime(evil, discards), undefined)
  assert.equal(unreadableTime(leaseOf({ deliverafter: 'PT5M' }), honours), undefined)
  assert.equal(unreadableTime(leaseOf({}), { ...honours, expiry: 'discard' }), undefined)
})

test('whatever an event says of its times, a due time is a whole number that a store can keep', () => {
  const texts = fc.oneof(
    fc.string(),
    fc
      .tuple(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.constantFrom('Y', 'M', 'W', 'D'))
      .map(([n, u]) => `P${n}${u}`),
    fc.double({ min: 0, max: 1e6, noNaN: true }).map(n => `PT${n}S`),
    fc.date({ noInvalidDate: true }).map(date => date.toISOString()),
  )
  fc.assert(
    fc.property(texts, texts, (deliverafter, expirytime) => {
      const timing = timingOf(leaseOf({ deliverafter, expirytime }), { ...honours, expiry: 'discard' }, NOW_MS)
      if (timing.kind === 'later') assert.ok(Number.isSafeInteger(timing.dueMs) && timing.dueMs > NOW_MS)
    }),
    { numRuns: 2000 },
  )
})

test('a retry is not held back again, and a dead letter neither', () => {
  assert.deepEqual(timingOf(leaseOf({ deliverafter: 'PT1H' }, 1), honours, NOW_MS), { kind: 'now' })
  const sink = {
    ...leaseOf({ deliverafter: 'PT1H', expirytime: '2020-01-01T00:00:00Z' }),
    stage: 'dead-letter' as const,
  }
  assert.deepEqual(timingOf(sink, { ...honours, expiry: 'discard' }, NOW_MS), { kind: 'now' })
})

test('what is expired is discarded, dead-lettered, or parked where there is no sink', () => {
  const lease = leaseOf({ expirytime: '2026-01-31T07:59:59Z' }, 3)
  const over = timingOf(lease, discards, NOW_MS)
  assert.deepEqual(over, {
    kind: 'over',
    settlement: { kind: 'discarded' },
    words: 'expired at 2026-01-31T07:59:59.000Z',
  })
  const settled = (deadLetter: ReturnType<typeof url> | undefined) => {
    const timing = timingOf(lease, { ...discards, expiry: 'dead-letter', deadLetter }, NOW_MS)
    return timing.kind === 'over' ? timing.settlement : timing
  }
  const failure = { destination: 'http://x', code: 410, data: 'expired at 2026-01-31T07:59:59.000Z' }
  assert.deepEqual(settled(url('http://sink')), { kind: 'dead-letter', failure })
  assert.deepEqual(settled(undefined), { kind: 'parked', failure })
})

test('what expires before it is due is looked at when it expires', () => {
  const both = { ...honours, expiry: 'discard' as const }
  const lease = leaseOf({ deliverafter: 'PT1H', expirytime: '2026-01-31T08:10:00Z' })
  assert.deepEqual(timingOf(lease, both, NOW_MS), { kind: 'later', dueMs: NOW_MS + 600_000 })
  assert.equal(expiryOf(lease, honours), undefined)
})
