import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { explainFilters } from '../../contract/explain-filter.ts'
import { compileFilters, type Filter } from '../../contract/filter.ts'
import { bare, filterLists, smallEvents } from '../support/arbitraries.ts'

test('what is explained is what is so, for every list and event', () => {
  fc.assert(
    fc.property(filterLists, smallEvents, (filters, event) => {
      const explained = explainFilters(filters, event)
      assert.equal(explained.matches, compileFilters(filters)(event))
      assert.ok(explained.words.length > 0)
    }),
    { numRuns: 2000 },
  )
})

const attributes = bare({ specversion: '1.0', id: '1', source: '/a/b', type: 'order.made' })
const event = { mode: 'binary', attributes, body: Buffer.from('{"n":1}') } as const
const cases: readonly [Filter[], string, RegExp][] = [
  [[], '', /no filter/],
  [[{ exact: { type: 'x' } }], 'spec.filters[0].exact.type', /type is `order\.made`; wanted exactly `x`/],
  [[{ exact: { type: 'order.made' } }, { prefix: { source: '/b' } }], 'spec.filters[1].prefix.source', /prefix `\/b`/],
  [
    [{ all: [{ exact: { type: 'order.made' } }, { suffix: { source: 'x' } }] }],
    'spec.filters[0].all[1].suffix.source',
    /suffix/,
  ],
  [[{ any: [{ exact: { type: 'a' } }, { exact: { type: 'b' } }] }], 'spec.filters[0].any', /none of 2/],
  [[{ not: { exact: { type: 'order.made' } } }], 'spec.filters[0].not.exact', /fits/],
  [[{ attributes: { subject: '' } }], 'spec.filter.attributes.subject', /no subject/],
  [[{ cesql: "type = 'x'" }], 'spec.filters[0].cesql', /not true/],
  [[{ cesql: "source = '/a/b' AND type = 'x' AND EXISTS id" }], 'spec.filters[0].cesql', /: `type = 'x'` is not$/],
  [
    [{ cesql: "source = '/a/b' AND total > 5" }],
    'spec.filters[0].cesql',
    /: `total > 5` is not \(.*no attribute total/,
  ],
  [[{ cesql: "(type = 'x' AND source = 'y')" }], 'spec.filters[0].cesql', /is not true for this event$/],
  [
    [{ cesql: "type = 'x' OR source = 'y' AND EXISTS id" }],
    'spec.filters[0].cesql',
    /: `type = 'x' OR source = 'y'` is not$/,
  ],
  [[{ cesql: "type IN ('a AND b') AND id = '1'" }], 'spec.filters[0].cesql', /: `type IN \('a AND b'\)` is not$/],
  [[{ data: 'data.m > 1' }], 'metadata.annotations[weir.dev/filter-data]', /no answer for this event: No such key: m/],
  [[{ exact: {} }], 'spec.filters[0].exact', /nothing matches/],
  [[{ data: 'data.n > 1' }], 'metadata.annotations[weir.dev/filter-data]', /`data\.n > 1` is false/],
]
for (const [filters, clause, words] of cases) {
  test(`${JSON.stringify(filters)} is decided by ${clause || 'nothing'}`, () => {
    const explained = explainFilters(filters, event)
    assert.equal(explained.clause, clause)
    assert.match(explained.words, words)
  })
}
