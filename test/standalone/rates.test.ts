import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rates } from '../../standalone/rates.ts'

test('a rate is over the last five seconds, and unknown things have none', () => {
  const rates = new Rates()
  assert.equal(rates.perSecond('x'), 0)
  for (let second = 0; second <= 10; second++) rates.sample(second * 1000, [['x', second < 6 ? second * 10 : 50]])
  assert.equal(rates.perSecond('x'), 0, 'nothing came in the last five seconds')
  rates.sample(11_000, [['x', 75]])
  assert.equal(rates.perSecond('x'), 5)
  rates.sample(12_000, [])
  assert.equal(rates.perSecond('x'), 0, 'forgotten')
})

test('one sample, or a counter that fell, is no rate', () => {
  const rates = new Rates()
  rates.sample(0, [['x', 1_000]])
  assert.equal(rates.perSecond('x'), 0)
  rates.sample(1_000, [['x', 10]])
  assert.equal(rates.perSecond('x'), 0)
})
