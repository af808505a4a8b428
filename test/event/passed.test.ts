import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addPassed, checkedPassed, passedName } from '../../event/passed.ts'
import { eventOf, headText } from '../../event/stored.ts'
import { bare } from '../support/arbitraries.ts'

for (const name of ['X-Request-Id', 'x-b3-sampled', 'Knative-Anything', 'traceparent', 'TraceState', 'Baggage']) {
  test(`${name} travels with its event`, () => assert.equal(passedName(name), name.toLowerCase()))
}
for (const name of [
  'authorization',
  'cookie',
  'x-request-ids',
  'x-forwarded-for',
  'knative-',
  'b3',
  'te',
  'tracecontext',
  'host',
  '',
]) {
  test(`${JSON.stringify(name)} stays behind`, () => assert.equal(passedName(name), undefined))
}

const valid = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
for (const [value, kept] of [
  [valid, true],
  [valid.replace('00-', 'cc-'), true],
  [`${valid.replace('00-', 'cc-')}-more`, true],
  [`${valid}-more`, false],
  [valid.replace('00-', 'ff-'), false],
  [valid.toUpperCase(), false],
  [valid.replace('4bf92f3577b34da6a3ce929d0e0e4736', '0'.repeat(32)), false],
  [valid.replace('00f067aa0ba902b7', '0'.repeat(16)), false],
  ['', false],
] as const) {
  test(`traceparent ${value} is ${kept ? 'handed on' : 'dropped, with its state'}`, () => {
    const passed = checkedPassed({ traceparent: value, tracestate: 'a=1' })
    assert.deepEqual(passed, kept ? { traceparent: value, tracestate: 'a=1' } : undefined)
  })
}

test('two trace parents are none, lists are joined, and there is an end to all', () => {
  const passed: Record<string, string> = {}
  for (const value of [valid, valid]) addPassed(passed, 'traceparent', value)
  for (const value of ['a=1', 'b=2']) addPassed(passed, 'tracestate', value)
  for (const value of ['a=1', 'b=2']) addPassed(passed, 'baggage', value)
  for (const value of ['1', '2']) addPassed(passed, 'x-request-id', value)
  assert.deepEqual(checkedPassed(passed), { baggage: 'a=1,b=2', 'x-request-id': '1' })
  const many: Record<string, string> = {}
  for (let i = 0; i < 100; i++) addPassed(many, `knative-${i}`, 'x')
  assert.equal(Object.keys(many).length, 32)
  addPassed(many, 'tracestate', 'a=1')
  assert.equal(many.tracestate, undefined)
})

test('all of them together are bounded, and a later small one still fits', () => {
  const passed: Record<string, string> = {}
  for (let i = 0; i < 10; i++) addPassed(passed, `knative-${i}`, 'x'.repeat(1000))
  addPassed(passed, 'x-request-id', '1')
  assert.deepEqual(Object.keys(passed), ['knative-0', 'knative-1', 'knative-2', 'knative-3', 'x-request-id'])
})

test('a value that is not printable ASCII stays behind, and a trace whose parent is such has no state', () => {
  const passed: Record<string, string> = {}
  for (const value of ['caf\xe9', 'a\r\nb: c', '\0', '\u0100']) addPassed(passed, 'x-request-id', value)
  addPassed(passed, 'traceparent', `${valid}\xa0`)
  addPassed(passed, 'tracestate', 'a=1')
  assert.equal(checkedPassed(passed), undefined)
})

test('they survive the store', () => {
  const attributes = bare({ specversion: '1.0', id: '1', source: '/s', type: 't' })
  const event = { mode: 'binary', attributes, body: new Uint8Array(), passed: { 'x-request-id': '1' } } as const
  assert.deepEqual(eventOf(headText(event), 'binary', event.body), event)
  const { passed, ...bareEvent } = event
  assert.deepEqual(passed, eventOf(headText(event), 'binary', event.body).passed)
  assert.deepEqual(eventOf(headText(bareEvent), 'binary', event.body), bareEvent)
})
