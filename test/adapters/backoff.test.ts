import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { backoffMs } from '../../adapters/backoff.ts'

const rhythm = { minMs: 100, maxMs: 10_000 }

test('a wait doubles from its least to its most', () => {
  const waits = [0, 1, 2, 3, 6, 7, 20].map(failures => backoffMs(failures, rhythm, () => 1))
  assert.deepEqual(waits, [100, 200, 400, 800, 6_400, 10_000, 10_000])
})

test('chance takes away up to half of a wait and never more', () => {
  const dice = fc.double({ min: 0, max: 1, noNaN: true })
  fc.assert(
    fc.property(fc.nat(), dice, (failures, roll) => {
      const fullMs = backoffMs(failures, rhythm, () => 1)
      const waitMs = backoffMs(failures, rhythm, () => roll)
      assert.ok(waitMs >= fullMs / 2 && waitMs <= fullMs && fullMs <= rhythm.maxMs)
    }),
  )
})
