import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileFilters, FILTER_DEPTH_MAX, type Filter, indexKey } from '../../contract/filter.ts'
import type { CloudEvent } from '../../event/event.ts'
import { bare, filterLists, smallEvents } from '../support/arbitraries.ts'

function eventWith(more: Record<string, string>): CloudEvent {
  const attributes = bare({ specversion: '1.0', id: '1', source: '/shop/eu', type: 'order.created', ...more })
  return { mode: 'binary', attributes, body: new Uint8Array() }
}

function passes(filters: readonly Filter[], more: Record<string, string> = {}): boolean {
  return compileFilters(filters)(eventWith(more))
}

test('a list without filters passes everything', () => {
  assert.equal(passes([]), true)
  assert.deepEqual(indexKey([]), {})
})

test('exact, prefix and suffix compare by case, and all of their attributes must hold', () => {
  assert.equal(passes([{ exact: { type: 'order.created' } }]), true)
  assert.equal(passes([{ exact: { type: 'Order.created' } }]), false)
  assert.equal(passes([{ exact: { type: 'order.created', source: '/shop' } }]), false)
  assert.equal(passes([{ exact: { type: 'order.created', source: '/shop/eu' } }]), true)
  assert.equal(passes([{ prefix: { type: 'order.', source: '/shop' } }]), true)
  assert.equal(passes([{ prefix: { type: 'order.', source: '/store' } }]), false)
  assert.equal(passes([{ suffix: { type: '.created' } }]), true)
  assert.equal(passes([{ suffix: { type: '.Created' } }]), false)
})

test('an attribute that the event does not have fails, whatever its name', () => {
  for (const name of ['subject', 'constructor', 'tostring', '__proto__', 'hasOwnProperty']) {
    const wanted = Object.fromEntries([[name, 'x']])
    for (const filter of [{ exact: wanted }, { prefix: wanted }, { suffix: wanted }, { attributes: wanted }]) {
      assert.equal(passes([filter]), false, name)
      assert.equal(passes([{ not: filter }]), true, name)
      // Also for an event that somebody made without a null prototype.
      const event = { ...eventWith({}), attributes: { type: 't' } }
      assert.equal(compileFilters([filter])(event), false, name)
    }
    assert.equal(passes([{ attributes: Object.fromEntries([[name, '']]) }]), false, name)
  }
  assert.equal(passes([{ exact: { constructor: 'x' } as Record<string, string> }], { constructor: 'x' }), true)
})

test('an integer or a boolean is compared as its text', () => {
  assert.equal(passes([{ exact: { retries: '5' } }], { retries: '5' }), true)
  assert.equal(passes([{ exact: { retries: '05' } }], { retries: '5' }), false)
})

test('legacy attributes are exact, and an empty value asks for any that is not empty', () => {
  assert.equal(passes([{ attributes: { type: 'order.created' } }]), true)
  assert.equal(passes([{ attributes: { type: 'order' } }]), false)
  assert.equal(passes([{ attributes: { subject: '' } }], { subject: 'x' }), true)
  assert.equal(passes([{ attributes: { subject: '' } }]), false)
  assert.equal(passes([{ attributes: { extension: '' } }], { extension: '' }), false)
  assert.equal(passes([{ attributes: { time: '' } }]), false)
  assert.equal(passes([{ attributes: {} }]), true)
})

test('all, any and not combine', () => {
  const order: Filter = { prefix: { type: 'order.' } }
  const other: Filter = { prefix: { type: 'invoice.' } }
  assert.equal(passes([{ all: [order, { not: other }] }]), true)
  assert.equal(passes([{ all: [order, other] }]), false)
  assert.equal(passes([{ any: [other, order] }]), true)
  assert.equal(passes([{ any: [other, { not: order }] }]), false)
  assert.equal(passes([{ not: { not: order } }]), true)
  assert.equal(passes([order, other]), false)
})

test('a filter that says nothing matches nothing', () => {
  const empty: Filter[] = [
    ...[{ exact: {} }, { prefix: {} }, { suffix: {} }, { all: [] }, { any: [] }],
    ...[{ exact: { type: '' } }, { prefix: { type: '' } }, { suffix: { type: '' } }],
    { prefix: { type: 'order.', source: '' } },
  ]
  for (const filter of empty) assert.equal(passes([filter]), false, JSON.stringify(filter))
})

test('an expression is a filter like the others', () => {
  const made: Filter = { cesql: "type LIKE 'order.%' AND retries < 3" }
  assert.equal(passes([made], { retries: '2' }), true)
  assert.equal(passes([made], { retries: '3' }), false)
  assert.equal(passes([made, { prefix: { source: '/store' } }], { retries: '2' }), false)
  assert.equal(passes([{ any: [made, { exact: { type: 'invoice.created' } }] }], { retries: '2' }), true)
})

test('an error in an expression counts as false, so that a `not` around it passes', () => {
  assert.equal(passes([{ cesql: "subject = 'a'" }]), false)
  assert.equal(passes([{ cesql: "subject != 'a'" }]), false)
  assert.equal(passes([{ not: { cesql: "subject = 'a'" } }]), true)
})

test('a list with an expression that cannot be compiled matches nothing, wherever it stands', () => {
  for (const cesql of ['type =', '', 'subject', 'NO_SUCH() = 5', '('.repeat(10_000)])
    for (const filter of [{ cesql }, { not: { cesql } }, { any: [{ cesql }, { not: { exact: { type: 'x' } } }] }]) {
      assert.equal(passes([filter]), false, cesql)
      assert.equal(passes([{ exact: { type: 'order.created' } }, filter]), false, cesql)
    }
})

test('a filter nested without end is refused as a whole, and does not exhaust the stack', () => {
  const nested = (levels: number) => {
    let filter: Filter = { exact: { type: 'order.created' } }
    for (let level = 0; level < levels; level++) filter = { not: filter }
    return filter
  }
  assert.equal(passes([nested(FILTER_DEPTH_MAX - 2)]), true)
  for (const levels of [FILTER_DEPTH_MAX, FILTER_DEPTH_MAX + 1, 100_000]) {
    assert.equal(passes([nested(levels)]), false)
    assert.deepEqual(indexKey([nested(levels)]), {})
  }
})

test('compiled filters say what the definition says', () => {
  fc.assert(
    fc.property(filterLists, smallEvents, (filters, event) => {
      assert.equal(
        compileFilters(filters)(event),
        filters.every(filter => holds(filter, event)),
      )
    }),
    { numRuns: 5000 },
  )
})

test('the index key is what every event that passes has', () => {
  fc.assert(
    fc.property(filterLists, smallEvents, (filters, event) => {
      if (!compileFilters(filters)(event)) return
      for (const [name, value] of Object.entries(indexKey(filters))) assert.equal(event.attributes[name], value)
    }),
    { numRuns: 5000 },
  )
})

test('the index key is found in exact, in legacy attributes, in expressions and inside all, and nowhere else', () => {
  assert.deepEqual(indexKey([{ exact: { type: 'a', subject: 'b' } }]), { type: 'a' })
  assert.deepEqual(indexKey([{ attributes: { source: 's', type: '' } }]), { source: 's' })
  assert.deepEqual(indexKey([{ all: [{ all: [{ exact: { type: 'a' } }] }, { exact: { source: 's' } }] }]), {
    type: 'a',
    source: 's',
  })
  assert.deepEqual(indexKey([{ cesql: "type = 'a' AND subject LIKE 'b%'" }, { all: [{ cesql: "'s' = source" }] }]), {
    type: 'a',
    source: 's',
  })
  assert.deepEqual(indexKey([{ cesql: "type = 'a' OR EXISTS b" }, { not: { cesql: "source = 's'" } }]), {})
  assert.deepEqual(indexKey([{ exact: { type: 'a' } }, { cesql: 'type =' }]), {})
  assert.deepEqual(indexKey([{ any: [{ exact: { type: 'a' } }] }, { not: { exact: { source: 's' } } }]), {})
  assert.deepEqual(indexKey([{ prefix: { type: 'a' } }, { suffix: { source: 's' } }]), {})
})

/** The definition, word by word. */
function holds(filter: Filter, event: CloudEvent): boolean {
  const { attributes } = event
  const each = (wanted: Readonly<Record<string, string>>, test: (have: string, want: string) => boolean) =>
    Object.keys(wanted).length > 0 &&
    Object.entries(wanted).every(
      ([name, want]) => want !== '' && name in attributes && test(attributes[name] ?? '', want),
    )
  if ('exact' in filter) return each(filter.exact, (have, want) => have === want)
  if ('prefix' in filter) return each(filter.prefix, (have, want) => have.startsWith(want))
  if ('suffix' in filter) return each(filter.suffix, (have, want) => have.endsWith(want))
  if ('all' in filter) return filter.all.length > 0 && filter.all.every(part => holds(part, event))
  if ('any' in filter) return filter.any.some(part => holds(part, event))
  if ('not' in filter) return !holds(filter.not, event)
  if ('cesql' in filter || 'data' in filter) return assert.fail('expressions have a definition of their own')
  return Object.entries(filter.attributes).every(([name, want]) =>
    want === '' ? (attributes[name] ?? '') !== '' : attributes[name] === want,
  )
}
