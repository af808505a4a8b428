import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeldTooLongError, HOLD_MAX_MS, Terms } from '../../../adapters/rabbitmq/terms.ts'
import { ManualClock } from '../../support/manual-clock.ts'

test('messages that come together share a term, later ones have one of their own, and none is longer than allowed', async () => {
  const clock = new ManualClock()
  const terms = new Terms(clock, [new AbortController().signal])
  const first = terms.signal()
  await clock.advance(5_000)
  assert.equal(terms.signal(), first)
  await clock.advance(10_000)
  const second = terms.signal()
  assert.notEqual(second, first)
  await clock.advance(HOLD_MAX_MS - 15_000)
  assert.ok(first.reason instanceof HeldTooLongError)
  assert.equal(second.aborted, false)
  await clock.advance(15_000)
  assert.ok(second.reason instanceof HeldTooLongError)
})

test('when the connection is over all terms are, and nothing waits on the clock', async () => {
  const clock = new ManualClock()
  const over = new AbortController()
  const terms = new Terms(clock, [new AbortController().signal, over.signal])
  const before = terms.signal()
  over.abort(new Error('over'))
  assert.equal(before.reason, over.signal.reason)
  assert.equal(clock.pending, 0)
  await clock.advance(20_000)
  assert.equal(terms.signal().reason, over.signal.reason)
  assert.equal(clock.pending, 0)
})
