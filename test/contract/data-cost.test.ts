import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Environment } from '@marcbachmann/cel-js'
import fc from 'fast-check'
import { COST_MAX, costOf, type Extent, extentOf, weigh, worstExtent } from '../../contract/data-cost.ts'
import { bare } from '../support/arbitraries.ts'

const environment = new Environment().registerVariable('data', 'dyn').registerVariable('event', 'map<string, string>')
const SMALL: Extent = { bytes: 1000, values: 50, elements: 10, keys: 10, text: 100 }

function ns(text: string, extent: Partial<Extent>): number {
  return costOf(weigh(environment.parse(text).ast), { ...SMALL, ...extent })
}

for (const [text, extent, what] of [
  ['data.a != 1', { keys: 20_000 }, 'the keys of a map that is an operand'],
  ['data.a == data.b', { values: 20_000 }, 'all that is in two parts that are compared'],
  ['data.a.size() > 1', { text: 2_000_000 }, 'a text that is counted'],
  ['5 in data.a', { elements: 100_000 }, 'a list that is searched'],
  ['data.a.exists_one(i, i * 2.0 * 3.0 > 1.0)', { elements: 30_000 }, 'the steps for each element'],
  ['data.a.all(i, i.x == 1)', { elements: 3000 }, 'an error for each element'],
  ['data.a.exists_one(i, i.x == 1 || i.y == 1)', { elements: 2000 }, 'an error beside ||, for each element'],
  ['data.a.all(i, i.s.contains("x"))', { bytes: 1_000_000 }, 'all texts of all elements'],
  ['data.a.all(i, data.s.contains("x"))', { elements: 1000, text: 1000 }, 'one text, for each element'],
] as const) {
  test(`${text} is too dear by ${what}`, () => {
    assert.ok(ns(text, {}) < COST_MAX / 10, 'not of small data')
    assert.ok(ns(text, extent) > COST_MAX, `${ns(text, extent)} ns`)
  })
}

test('an element is compared with something outside of its loop at no more than its own size', () => {
  const large = { bytes: 30_000, values: 3000, elements: 500, keys: 10, text: 100 }
  assert.ok(ns('data.a.exists(i, i.sku == data.wanted)', large) < COST_MAX)
  assert.ok(ns('data.a.exists(i, data.b == data.wanted)', large) > COST_MAX)
})

test('no data holds more than the worst of its size', () => {
  const attributes = fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), fc.string({ minLength: 1 }))
  fc.assert(
    fc.property(fc.json(), attributes, (text, more) => {
      const own = bare(more)
      const inAttributes = Object.entries(own).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
      const bytes = Buffer.byteLength(text) + inAttributes
      const [real, worst] = [extentOf(JSON.parse(text), own, bytes), worstExtent(bytes)]
      for (const name of ['bytes', 'values', 'elements', 'keys', 'text'] as const)
        assert.ok(real[name] <= worst[name], `${name} ${real[name]} of ${bytes} bytes`)
    }),
    { numRuns: 2000 },
  )
})
