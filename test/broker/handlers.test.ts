import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type Attempt, VERDICTS, type Verdict } from '../../broker/attempt.ts'
import { ANSWERS, afterAttempt, DEFER_FOR_MS, lessonOf } from '../../broker/retry.ts'
import { FAST } from '../support/running-broker.ts'

const docs = readFileSync(new URL('../../docs/handlers.md', import.meta.url), 'utf8')

test('the table in the documentation is the one in the code', () => {
  const rows = ANSWERS.map(({ from, to, verdict, words }) => {
    return `| ${from === to ? from : `${from}–${to}`} | ${verdict} | ${words} |`
  })
  assert.ok(docs.includes(`${rows.join('\n')}\n\n`), rows.join('\n'))
  for (const verdict of VERDICTS) assert.ok(docs.includes(`| \`${verdict}\` |`), verdict)
})

const policy = { ...FAST, retries: 2, backoffMs: 100, jitter: false }
const never = () => assert.fail('no chance is needed')
const delivered = (verdict: Verdict, retryAfterMs?: number): Attempt => {
  return { kind: 'delivered', status: 200, tookMs: 1, reply: undefined, plainBody: false, verdict, retryAfterMs }
}
const answered = (status: number, verdict: Verdict, retryAfterMs?: number): Attempt => {
  return { kind: 'answered', status, tookMs: 1, excerpt: 'why', verdict, retryAfterMs }
}

test('complete ends it, whatever the status', () => {
  assert.equal(afterAttempt(answered(500, 'complete'), 0, policy, 0, never).kind, 'ack')
  assert.equal(afterAttempt(delivered('complete'), 0, policy, 0, never).kind, 'ack')
})

test('defer comes back later without counting, however often, and never at once', () => {
  const deferred = (attempt: Attempt) => {
    const next = afterAttempt(attempt, 2, policy, 1000, never)
    assert(next.kind === 'retry')
    return [next.dueMs, next.attempt]
  }
  assert.deepEqual(deferred(delivered('defer', 90_000)), [91_000, 2])
  assert.deepEqual(deferred(answered(503, 'defer')), [31_000, 2])
  assert.deepEqual(deferred(answered(202, 'defer', 0)), [2000, 2])
})

test('a deferral goes as far as the handler says, is cut by a declared limit, and is a whole number of ms, at least a second', () => {
  const waitMs = (retryAfterMs: number | undefined, retryAfterMaxMs: number | undefined) => {
    const next = afterAttempt(answered(200, 'defer', retryAfterMs), 0, { ...policy, retryAfterMaxMs }, 1000, never)
    assert(next.kind === 'retry')
    return next.dueMs - 1000
  }
  assert.equal(waitMs(86_400_000, undefined), 86_400_000)
  assert.equal(waitMs(1e18, undefined), DEFER_FOR_MS)
  assert.equal(waitMs(86_400_000, 5000), 5000)
  assert.equal(waitMs(86_400_000, 0), 30_000)
  assert.equal(waitMs(undefined, 0.5), 1000)
  assert.equal(waitMs(86_400_000, 1000.5), 1001)
  assert.equal(waitMs(Number.NaN, undefined), 30_000)
})

test('an event is not deferred for ever: after a week each time is a failed attempt, and the last one is the end', () => {
  const after = (ageMs: number, before: number) =>
    afterAttempt(
      answered(503, 'defer', 60_000),
      before,
      policy,
      DEFER_FOR_MS * 2,
      never,
      'lenient',
      DEFER_FOR_MS * 2 - ageMs,
    )
  const young = after(DEFER_FOR_MS - 1, 2)
  assert.deepEqual([young.kind, young.kind === 'retry' && young.attempt], ['retry', 2])
  const old = after(DEFER_FOR_MS, 1)
  assert.deepEqual(old.kind === 'retry' && [old.attempt, old.dueMs], [2, DEFER_FOR_MS * 2 + 60_000])
  assert.deepEqual(after(DEFER_FOR_MS, 2), { kind: 'give-up', failure: { code: 503, data: 'why' } })
  assert.ok(docs.includes(`${DEFER_FOR_MS / 86_400_000} days`))
})

test('abandon is a failed attempt, also with 200, and dead-letter is the last one, also with 503', () => {
  const again = afterAttempt(delivered('abandon'), 0, policy, 1000, never)
  assert.deepEqual([again.kind, again.kind === 'retry' && again.attempt], ['retry', 1])
  assert.equal(afterAttempt(delivered('abandon'), 2, policy, 1000, never).kind, 'give-up')
  const over = afterAttempt(answered(503, 'dead-letter'), 0, policy, 1000, never)
  assert.deepEqual(over, { kind: 'give-up', failure: { code: 503, data: 'why' } })
  const said = afterAttempt(delivered('dead-letter'), 0, policy, 1000, never)
  assert.deepEqual(said, { kind: 'give-up', failure: { code: 200, data: 'weir-settle: dead-letter' } })
})

test('abandon keeps to Retry-After where the status alone would', () => {
  const dueMs = (status: number) => {
    const next = afterAttempt(answered(status, 'abandon', 5000), 0, policy, 1000, never)
    return next.kind === 'retry' ? next.dueMs : undefined
  }
  assert.deepEqual([dueMs(503), dueMs(429), dueMs(500)], [6000, 6000, 1100])
})

test('what a handler says of an event is no failure of the handler, unless it abandons', () => {
  const lesson = (attempt: Attempt, reply: 'lenient' | 'strict' = 'lenient') =>
    lessonOf(attempt, { delivery: policy, reply }).kind
  assert.equal(lesson(answered(500, 'dead-letter')), 'works')
  assert.equal(lesson(answered(422, 'complete')), 'works')
  assert.equal(lesson(delivered('defer')), 'works')
  assert.equal(lesson(delivered('abandon')), 'fails')
  assert.equal(lesson(answered(429, 'abandon')), 'too-much')
  const plain: Attempt = { kind: 'delivered', status: 200, tookMs: 1, reply: undefined, plainBody: true }
  assert.deepEqual([lesson(plain), lesson(plain, 'strict')], ['works', 'fails'])
  assert.equal(lesson({ ...plain, verdict: 'complete' }, 'strict'), 'works')
})
