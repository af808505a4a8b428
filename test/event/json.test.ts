import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isJson, JSON_DEPTH_MAX, jsonString, scanObject } from '../../event/json.ts'
import { encoded, jsonTexts } from '../support/arbitraries.ts'

function scanned(text: string) {
  const bytes = encoded(text)
  const scan = scanObject(bytes)
  assert.equal(scan.kind, 'object', text)
  assert(scan.kind === 'object')
  const slice = (start: number, end: number) => new TextDecoder().decode(bytes.subarray(start, end))
  return scan.members.map(({ name, kind, start, end }) => ({ name, kind, text: slice(start, end) }))
}

function brokenReason(input: string | Uint8Array): string {
  const scan = scanObject(typeof input === 'string' ? encoded(input) : input)
  assert(scan.kind === 'broken', `taken for an object: ${input}`)
  return scan.reason
}

test('members come in order, with their values as they were written', () => {
  const text = '\n{ "é" : "x\\"}" ,"n":-1.50E+2,"\\u0062":{ "a":[1, {}] },"c":[],"t":true,"f":false,"z":null}\t'
  assert.deepEqual(scanned(text), [
    { name: 'é', kind: 'string', text: '"x\\"}"' },
    { name: 'n', kind: 'number', text: '-1.50E+2' },
    { name: 'b', kind: 'object', text: '{ "a":[1, {}] }' },
    { name: 'c', kind: 'array', text: '[]' },
    { name: 't', kind: 'boolean', text: 'true' },
    { name: 'f', kind: 'boolean', text: 'false' },
    { name: 'z', kind: 'null', text: 'null' },
  ])
  assert.deepEqual(scanned('{}'), [])
})

test('it takes what JSON.parse takes, and finds the same members', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'binary' }), jsonTexts), members => {
      const text = `{${Object.entries(members).map(([name, value]) => `${JSON.stringify(name)}:${value}`)}}`
      const found = scanned(text)
      assert.deepEqual(Object.fromEntries(found.map(({ name, text }) => [name, text])), { ...members })
    }),
  )
})

test('it refuses what JSON.parse refuses: every text with one byte cut, changed or added', () => {
  const text = '{"a":[1.5e3,-0,"\\u00e9\\n"],"b":{"c":null,"d":[true,false]},"e":""}'
  const characters = [...'{}[]",:\\/ue0-+.1nt \n', '\u0001', 'é']
  let refused = 0
  for (let at = 0; at <= text.length; at++) {
    for (const character of ['', ...characters]) {
      for (const end of [at, at + 1]) {
        const mutant = text.slice(0, at) + character + text.slice(end)
        const ours = isJson(encoded(mutant))
        assert.equal(ours, parses(mutant), mutant)
        if (!ours) refused++
      }
    }
  }
  assert.ok(refused > 1000)
})

test('random bytes never throw, and are JSON only where JSON.parse agrees', () => {
  const soup = fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0a1eE+-. truefalsn\u0000é'), maxLength: 12 })
  fc.assert(
    fc.property(soup, text => assert.equal(isJson(encoded(text)), parses(text))),
    { numRuns: 5000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), bytes => {
      scanObject(bytes)
    }),
  )
})

test('a name that comes twice is refused, however it is spelled', () => {
  assert.match(brokenReason('{"id":1,"\\u0069d":2}'), /twice.* at byte \d+$/)
  assert.equal(isJson(encoded('{"data":{"id":1,"id":2}}')), true)
  assert.equal(scanned('{"data":{"id":1,"id":2}}').length, 1)
})

test('only an object is an envelope, and nothing may follow it', () => {
  for (const text of [
    '',
    ' ',
    '[]',
    '"x"',
    '5',
    'null',
    '{} {}',
    '{},',
    '{"a":1,}',
    '{,}',
    "{'a':1}",
    '{a:1}',
    '{"a"}',
  ]) {
    assert.match(brokenReason(text), /^the JSON .+ at byte \d+$/, text)
  }
})

test('nesting is cut at its limit, far before the stack is', () => {
  const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`
  assert.equal(scanned(`{"data":${nested(JSON_DEPTH_MAX - 1)}}`).length, 1)
  assert.match(brokenReason(`{"data":${nested(JSON_DEPTH_MAX)}}`), /deeper than 64/)
  assert.match(brokenReason(`{"data":${'{"a":'.repeat(JSON_DEPTH_MAX)}`), /deeper than 64/)
  assert.match(brokenReason(`{"data":${'['.repeat(500_000)}`), /deeper than 64/)
  assert.equal(isJson(encoded(nested(JSON_DEPTH_MAX - 1))), true)
  assert.equal(isJson(encoded(nested(JSON_DEPTH_MAX))), false)
})

test('what is not plain UTF-8 is refused', () => {
  assert.equal(brokenReason(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), 'the JSON is not UTF-8')
  assert.equal(brokenReason('\ufeff{}'), 'the JSON begins with a byte order mark')
  assert.equal(isJson(encoded('\ufeff{}')), false)
})

test('reasons quote nothing of the input', () => {
  assert.doesNotMatch(brokenReason('{"secret":"hunter2" "x"}'), /secret|hunter2/)
})

test('escapes are decoded, half pairs included', () => {
  const bytes = encoded('{"a":"\\u00e9\\ud800\\/"}')
  const scan = scanObject(bytes)
  assert(scan.kind === 'object' && scan.members[0] !== undefined)
  assert.equal(jsonString(bytes, scan.members[0]), 'é\ud800/')
})

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
