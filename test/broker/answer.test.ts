import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { retryAfterMs, unreachableCause } from '../../broker/answer.ts'

const nowMs = Date.UTC(2026, 0, 1)

test('Retry-After in seconds and as a date is ms from now', () => {
  assert.equal(retryAfterMs('2', nowMs), 2000)
  assert.equal(retryAfterMs(' 0 ', nowMs), 0)
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 00:00:30 GMT', nowMs), 30_000)
  assert.equal(retryAfterMs('Wed, 31 Dec 2025 00:00:00 GMT', nowMs), 0)
  assert.equal(retryAfterMs('1000000000000', nowMs), 1e15)
})

test('a Retry-After that is neither form is ignored', () => {
  for (const junk of [
    '',
    '-5',
    '1.5',
    'soon',
    '2026-01-01',
    'Xyz, 01 Jan 2026 00:00:30 GMT',
    '1e3',
    '٣',
    '9'.repeat(16),
  ]) {
    assert.equal(retryAfterMs(junk, nowMs), undefined, junk)
  }
})

test('any text at all is a wait that is not negative, or none', () => {
  fc.assert(
    fc.property(fc.string(), text => {
      const waitMs = retryAfterMs(text, nowMs)
      assert.ok(waitMs === undefined || (waitMs >= 0 && Number.isFinite(waitMs)))
    }),
  )
})

test('errors are told apart by their codes, the first address speaking for all', () => {
  const of = (code: string) => unreachableCause(Object.assign(new Error('it failed'), { code })).cause
  assert.equal(of('ECONNREFUSED'), 'refused')
  assert.equal(of('ECONNRESET'), 'reset')
  assert.equal(of('UND_ERR_SOCKET'), 'reset')
  assert.equal(of('UND_ERR_CONNECT_TIMEOUT'), 'timeout')
  assert.equal(of('ENOTFOUND'), 'dns')
  assert.equal(of('CERT_HAS_EXPIRED'), 'tls')
  assert.equal(of('ERR_TLS_CERT_ALTNAME_INVALID'), 'tls')
  assert.equal(of('DEPTH_ZERO_SELF_SIGNED_CERT'), 'tls')
  assert.equal(of('HPE_INVALID_CONSTANT'), 'protocol')
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:1'), { code: 'ECONNREFUSED' })
  assert.deepEqual(unreachableCause(new AggregateError([refused], '')), {
    cause: 'refused',
    reason: 'connect ECONNREFUSED ::1:1',
  })
})
