import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { retryAfterMs } from '../../adapters/retry-after.ts'

const nowMs = Date.UTC(2026, 0, 1)

test('seconds and dates are read, and nothing else', () => {
  const table: [string | string[] | undefined, number | undefined][] = [
    [undefined, undefined],
    ['0', 0],
    [' 7 ', 7_000],
    [['3', '9'], 3_000],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 23:59:00 GMT', 0],
    ['-1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['2026', 2_026_000],
    ['Thu, yesterday', undefined],
    ['99999999999999999999', undefined],
  ]
  for (const [header, expected] of table) assert.equal(retryAfterMs(header, nowMs), expected, String(header))
})

test('no header makes a wait that is negative or no number', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.date().map(String)), text => {
      const waitMs = retryAfterMs(text, nowMs)
      assert.ok(waitMs === undefined || (waitMs >= 0 && Number.isFinite(waitMs)))
    }),
  )
})
