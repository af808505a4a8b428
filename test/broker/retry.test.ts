import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Attempt } from '../../broker/attempt.ts'
import { afterAttempt, verdictOf } from '../../broker/retry.ts'
import { DEFAULT_DELIVERY, type DeliveryPolicy, RETRY_AFTER_MAX_MS } from '../../contract/delivery-policy.ts'

const NOW_MS = Date.UTC(2026, 0, 1)
const never = () => assert.fail('chance was asked')

const policy = (more: Partial<DeliveryPolicy> = {}): DeliveryPolicy => ({
  ...DEFAULT_DELIVERY,
  ...{ retries: 5, backoffMs: 1000, backoffMaxMs: undefined, jitter: false },
  ...more,
})
const answered = (status: number, retryAfterMs?: number): Attempt => ({
  ...{ kind: 'answered', status, tookMs: 1, retryAfterMs, excerpt: 'no' },
})
const refused: Attempt = { kind: 'unreachable', tookMs: 1, cause: 'refused', reason: 'connection refused' }
const delivered = (plainBody: boolean): Attempt => ({
  ...{ kind: 'delivered', status: 200, tookMs: 1, reply: undefined, plainBody },
})

function delayMs(attempt: Attempt, before: number, wanted: DeliveryPolicy, random: () => number = never): number {
  const next = afterAttempt(attempt, before, wanted, NOW_MS, random)
  assert(next.kind === 'retry', next.kind)
  assert.equal(next.attempt, before + 1)
  return next.dueMs - NOW_MS
}

const policies: fc.Arbitrary<DeliveryPolicy> = fc.record({
  retries: fc.oneof(fc.nat(20), fc.constant(2 ** 31 - 1)),
  backoff: fc.constantFrom('exponential', 'linear'),
  backoffMs: fc.oneof(fc.nat(1000), fc.nat(), fc.constant(0), fc.constant(1e15)),
  backoffMaxMs: fc.option(fc.nat(), { nil: undefined }),
  timeoutMs: fc.constant(1000),
  retryAfterMaxMs: fc.option(fc.nat(10_000_000), { nil: undefined }),
  jitter: fc.boolean(),
  format: fc.constant(undefined),
})
const failures: fc.Arbitrary<Attempt> = fc.oneof(
  fc.constant(refused),
  fc.record({
    kind: fc.constant('answered' as const),
    status: fc.integer({ min: 100, max: 999 }),
    tookMs: fc.constant(1),
    retryAfterMs: fc.option(fc.oneof(fc.nat(), fc.double()), { nil: undefined }),
    excerpt: fc.string(),
  }),
  fc.constant<Attempt>({ kind: 'broken-reply', status: 200, tookMs: 1, reason: 'id is missing or empty' }),
)
const dice = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const many = fc.oneof(fc.nat(30), fc.nat(1e6), fc.constant(2 ** 31 - 2))

test('no retry waits longer than the cap, or than the longest Retry-After that is honoured', () => {
  fc.assert(
    fc.property(failures, many, policies, dice, (failure, before, wanted, roll) => {
      const next = afterAttempt(failure, before, wanted, NOW_MS, () => roll)
      if (next.kind !== 'retry') return
      const waitMs = next.dueMs - NOW_MS
      const asked = failure.kind === 'answered' && failure.retryAfterMs !== undefined
      const askedMaxMs = asked ? (wanted.retryAfterMaxMs ?? RETRY_AFTER_MAX_MS) : 0
      assert.ok(waitMs >= 0 && waitMs <= Math.max(wanted.backoffMaxMs ?? Number.POSITIVE_INFINITY, askedMaxMs))
      // A time that any store and any Date can hold, however far the policy multiplies.
      assert.ok(Number.isSafeInteger(next.dueMs) && !Number.isNaN(new Date(next.dueMs).getTime()))
    }),
    { numRuns: 5000 },
  )
})

test('without jitter no retry waits shorter than the one before', () => {
  fc.assert(
    fc.property(policies, many, (wanted, before) => {
      const steady = { ...wanted, jitter: false, retries: 2 ** 31 }
      assert.ok(delayMs(refused, before, steady) <= delayMs(refused, before + 1, steady))
    }),
    { numRuns: 2000 },
  )
})

test('an event is attempted once and `retries` times more, whatever fails', () => {
  fc.assert(
    fc.property(fc.nat(20), fc.infiniteStream(failures), dice, (retries, stream, roll) => {
      let attempts = 0
      for (const failure of stream) {
        const next = afterAttempt(failure, attempts, policy({ retries }), NOW_MS, () => roll)
        attempts++
        if (next.kind !== 'retry') break
        assert.equal(next.attempt, attempts)
      }
      assert.ok(attempts <= retries + 1)
    }),
  )
  for (let before = 0; before <= 3; before++) {
    const next = afterAttempt(refused, before, policy({ retries: 3 }), NOW_MS, never)
    assert.equal(next.kind, before < 3 ? 'retry' : 'give-up')
  }
})

test('success is never followed by another attempt', () => {
  fc.assert(
    fc.property(policies, many, fc.boolean(), (wanted, before, plainBody) => {
      assert.deepEqual(afterAttempt(delivered(plainBody), before, wanted, NOW_MS, never), {
        kind: 'ack',
        reply: undefined,
      })
    }),
  )
})

test('a reply comes along with its success', () => {
  const reply = { mode: 'binary' as const, attributes: {}, body: new Uint8Array() }
  const next = afterAttempt(
    { kind: 'delivered', status: 202, tookMs: 1, reply, plainBody: false },
    0,
    policy(),
    NOW_MS,
    never,
    'strict',
  )
  assert(next.kind === 'ack')
  assert.equal(next.reply, reply)
})

const retried = [404, 408, 409, 429, 500, 501, 502, 503, 504, 507, 599, 600, 999, 99, 0]
const final = [100, 102, 199, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 405, 410, 413, 415, 422, 426, 431, 451]
test('404, 408, 409, 429, 5xx and unknown classes are retried; other answers are final', () => {
  for (const status of retried) assert.equal(verdictOf(status), 'abandon', String(status))
  for (const status of final) {
    const next = afterAttempt(answered(status), 0, policy(), NOW_MS, never)
    assert.deepEqual(next, { kind: 'give-up', failure: { code: status, data: 'no' } }, String(status))
  }
})

test('exponential waits double from the delay; linear ones grow by it, from none', () => {
  const waits = (backoff: 'exponential' | 'linear') => [0, 1, 2, 3].map(i => delayMs(refused, i, policy({ backoff })))
  assert.deepEqual(waits('exponential'), [1000, 2000, 4000, 8000])
  assert.deepEqual(waits('linear'), [0, 1000, 2000, 3000])
})

test('a delay of zero retries at once, however often', () => {
  for (const before of [0, 1, 2000]) {
    assert.equal(delayMs(refused, before, policy({ backoffMs: 0, retries: 1e9, jitter: true })), 0)
  }
})

test('jitter spreads over the whole wait, and a declared policy has none', () => {
  const jitter = policy({ jitter: true })
  assert.equal(
    delayMs(refused, 2, jitter, () => 0),
    0,
  )
  assert.equal(
    delayMs(refused, 2, jitter, () => 0.5),
    2000,
  )
  assert.equal(
    delayMs(refused, 2, jitter, () => 0.999_999),
    3999,
  )
  assert.equal(delayMs(refused, 2, policy(), never), 4000)
})

test('the default policy tries for about a day', () => {
  let waitMs = 0
  for (let before = 0; before < DEFAULT_DELIVERY.retries; before++)
    waitMs += delayMs(refused, before, DEFAULT_DELIVERY, () => 0.999_999)
  assert.equal(Math.round(waitMs / 3_600_000), 24)
  assert.equal(afterAttempt(refused, DEFAULT_DELIVERY.retries, DEFAULT_DELIVERY, NOW_MS, never).kind, 'give-up')
})

test('Retry-After lengthens the wait on 429 and 503, within its limit, and nowhere else', () => {
  assert.equal(delayMs(answered(429, 5000), 0, policy()), 5000)
  assert.equal(delayMs(answered(503, 5000), 0, policy()), 5000)
  assert.equal(delayMs(answered(500, 5000), 0, policy()), 1000)
  assert.equal(delayMs(answered(503, 500), 0, policy()), 1000)
  assert.equal(delayMs(answered(503, 5000), 0, policy({ retryAfterMaxMs: 3000 })), 3000)
  assert.equal(delayMs(answered(503, 5000), 0, policy({ retryAfterMaxMs: 0 })), 1000)
  assert.equal(delayMs(answered(503, 1e18), 0, policy()), RETRY_AFTER_MAX_MS)
  for (const unusable of [Number.NaN, -5000, 0]) assert.equal(delayMs(answered(503, unusable), 0, policy()), 1000)
})

test('failures carry the code and the words for the dead letter', () => {
  const ended = (attempt: Attempt, reply: 'lenient' | 'strict' = 'lenient') => {
    const next = afterAttempt(attempt, 5, policy(), NOW_MS, never, reply)
    assert(next.kind === 'give-up')
    return next.failure
  }
  assert.deepEqual(ended(answered(503)), { code: 503, data: 'no' })
  assert.deepEqual(ended(refused), { code: 500, data: 'connection refused' })
  assert.deepEqual(ended({ kind: 'broken-reply', status: 200, tookMs: 1, reason: 'broken' }), {
    code: 502,
    data: 'broken',
  })
  assert.equal(ended(delivered(true), 'strict').code, 502)
})

test('strict replies make a failed attempt of a body that is no CloudEvent, and of nothing else', () => {
  const after = (plainBody: boolean, reply: 'lenient' | 'strict') =>
    afterAttempt(delivered(plainBody), 0, policy(), NOW_MS, never, reply).kind
  assert.equal(after(true, 'strict'), 'retry')
  assert.equal(after(true, 'lenient'), 'ack')
  assert.equal(after(false, 'strict'), 'ack')
})

test('an attempt that the broker itself gave up counts for nothing, even the last', () => {
  assert.deepEqual(afterAttempt({ kind: 'abandoned', tookMs: 1 }, 99, policy(), NOW_MS, never), { kind: 'return' })
})
