import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileAccess } from '../../../broker/auth/decide.ts'
import type { Access, AccessPolicy } from '../../../contract/routes.ts'
import type { CloudEvent } from '../../../event/event.ts'

function event(type = 'order'): CloudEvent {
  const attributes = Object.assign(Object.create(null), { specversion: '1.0', id: '1', source: '/s', type })
  return { mode: 'binary', attributes, body: new Uint8Array() }
}

function access(policies: readonly AccessPolicy[], otherwise: Access['otherwise'] = 'deny-all'): Access {
  return { audience: 'a', policies, otherwise }
}

function policy(subjects: readonly string[], filters: AccessPolicy['filters'] = [], name = 'p'): AccessPolicy {
  return { name, subjects, filters }
}

const may = (given: Access, subject: string, type?: string) =>
  compileAccess(given, 'shop')(subject, event(type)) === undefined

test('without a policy the default mode decides', () => {
  assert.equal(may(access([], 'allow-all'), 'anybody'), true)
  assert.equal(may(access([], 'deny-all'), 'system:serviceaccount:shop:a'), false)
  const same = access([], 'allow-same-namespace')
  assert.equal(may(same, 'system:serviceaccount:shop:a'), true)
  assert.equal(may(same, 'System:ServiceAccount:SHOP:a'), true)
  assert.equal(may(same, 'system:serviceaccount:shop2:a'), false)
  assert.equal(may(same, 'system:serviceaccount:shop'), false)
  assert.equal(may(same, 'x:system:serviceaccount:shop:a'), false)
})

test('where there is a policy the default mode counts for nothing', () => {
  const given = access([policy(['other'])], 'allow-all')
  assert.equal(may(given, 'system:serviceaccount:shop:a'), false)
  assert.equal(may(access([policy([])], 'allow-all'), 'a'), false, 'a policy that names nobody lets nobody in')
})

test('subjects are compared without case, and a star at the end stands for anything', () => {
  const given = access([policy(['System:ServiceAccount:Shop:*', 'exact'])])
  assert.equal(may(given, 'system:serviceaccount:shop:a'), true)
  assert.equal(may(given, 'system:serviceaccount:shop:'), true)
  assert.equal(may(given, 'system:serviceaccount:shop'), false)
  assert.equal(may(given, 'EXACT'), true)
  assert.equal(may(given, 'exact2'), false)
  assert.equal(may(access([policy(['*'])]), 'anybody'), true)
})

test('the first policy that names the sender decides by its filters, and a later one is not tried', () => {
  const given = access([policy(['a'], [{ exact: { type: 'order' } }], 'first'), policy(['a', 'b'], [], 'second')])
  assert.equal(may(given, 'a', 'order'), true)
  assert.equal(may(given, 'a', 'other'), false)
  assert.equal(may(given, 'b', 'other'), true)
})

test('a refusal says whether nobody named the sender or the filters did not pass', () => {
  const decide = compileAccess(access([policy(['a'], [{ exact: { type: 'x' } }], 'EventPolicy/shop/p')]), 'shop')
  assert.match(decide('b', event()) ?? '', /named by no EventPolicy/)
  assert.match(decide('a', event()) ?? '', /EventPolicy\/shop\/p.*filters do not pass/)
})

/** The rules as they are written, in the plainest way. */
function naive(given: Access, namespace: string, subject: string, one: CloudEvent): boolean {
  for (const { subjects, filters } of given.policies) {
    let named = false
    for (const wanted of subjects) {
      const star = wanted.endsWith('*')
      const text = star ? wanted.substring(0, wanted.length - 1) : wanted
      const same = new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}${star ? '[^]*' : ''}$`, 'i')
      if (same.test(subject)) named = true
    }
    if (!named) continue
    for (const filter of filters) if ('exact' in filter && filter.exact.type !== one.attributes.type) return false
    return true
  }
  if (given.policies.length > 0 || given.otherwise === 'deny-all') return false
  if (given.otherwise === 'allow-all') return true
  return subject.toLowerCase().indexOf(`system:serviceaccount:${namespace}:`) === 0
}

test('every decision is that of a plain model of the rules', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'B', 'b', ':', '.', '/'), maxLength: 4 })
  const prefixed = word.map(text => `system:serviceaccount:${text}`)
  const subject = fc.oneof(word, prefixed, fc.constant('system:serviceaccount:shop:a'))
  const wanted = fc.tuple(subject, fc.boolean()).map(([text, star]) => (star ? `${text}*` : text))
  const filters = fc.array(
    fc.constantFrom('order', 'other').map(type => ({ exact: { type } })),
    { maxLength: 2 },
  )
  const policies = fc.array(fc.record({ name: word, subjects: fc.array(wanted, { maxLength: 3 }), filters }), {
    maxLength: 4,
  })
  const mode = fc.constantFrom('allow-all', 'deny-all', 'allow-same-namespace' as const) as fc.Arbitrary<
    Access['otherwise']
  >
  fc.assert(
    fc.property(policies, mode, subject, fc.constantFrom('order', 'other'), (some, otherwise, who, type) => {
      const given = access(some, otherwise)
      assert.equal(may(given, who, type), naive(given, 'shop', who, event(type)))
    }),
    { numRuns: 2000 },
  )
})
