import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { advance, curve, SAMPLES, type Series } from '../../console/series.ts'

test('a series holds a minute, whatever happened', () => {
  const step = fc.tuple(fc.nat(200), fc.option(fc.nat(1000), { nil: null }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), steps => {
      let series: Series = []
      for (const [seconds, value] of steps) series = advance(series, seconds, value)
      assert.ok(series.length <= SAMPLES)
      const { line, area } = curve(series, 76, 17)
      assert.doesNotMatch(line + area, /NaN|Infinity|undefined/)
    }),
  )
})

test('the seconds in which nobody looked are unknown, not zero', () => {
  assert.deepEqual(advance([5], 3, 7), [5, null, null, 7])
})

test('a curve has a gap where nothing is known', () => {
  const { line } = curve([1, null, 2, 2], 59, 10)
  assert.equal(line.split('M').length - 1, 2)
})

test('the newest sample is at the right edge, the highest at the top', () => {
  const { line, highest } = curve([0, 4, 2], 59, 10)
  assert.equal(highest, 4)
  assert.equal(line, 'M57 10L58 0L59 5')
})

test('a quiet series stays the same array, so that its row is not drawn again', () => {
  const quiet: Series = [0]
  assert.equal(advance(quiet, 1, 0), quiet)
  const steady = Array<number>(SAMPLES).fill(7)
  assert.equal(advance(steady, 1, 7), steady)
  assert.notEqual(advance(steady, 1, 8), steady)
})

test('where nothing waited nothing is drawn', () => {
  assert.equal(curve([0, 0, null], 76, 17).line, '')
})
