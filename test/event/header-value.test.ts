import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeHeaderValue, encodeHeaderValue } from '../../event/header-value.ts'
import { attributeValues } from '../support/arbitraries.ts'

test('every legal value comes back from a header as it went in', () => {
  fc.assert(
    fc.property(attributeValues, value => {
      const header = encodeHeaderValue(value)
      assert.match(header, /^[!#$&-~%]*$/)
      assert.equal(decodeHeaderValue(header), value)
    }),
    { numRuns: 3000 },
  )
})

test('every single character of Unicode that is allowed survives, and the others are refused', () => {
  for (let point = 0; point <= 0x10ffff; point += point < 0x3000 || (point > 0xfdc0 && point < 0x10100) ? 1 : 97) {
    if (point >= 0xd800 && point <= 0xdfff) continue
    const character = String.fromCodePoint(point)
    const control = point < 0x20 || (point >= 0x7f && point < 0xa0)
    const noncharacter = (point >= 0xfdd0 && point <= 0xfdef) || (point & 0xfffe) === 0xfffe
    const expected = control || noncharacter ? undefined : character
    assert.equal(decodeHeaderValue(encodeHeaderValue(character)), expected, `U+${point.toString(16)}`)
  }
})

test('a value is spelled as the HTTP binding spells its examples', () => {
  assert.equal(encodeHeaderValue('Euro € 😀'), 'Euro%20%E2%82%AC%20%F0%9F%98%80')
  assert.equal(encodeHeaderValue('100% "sure"'), '100%25%20%22sure%22')
  assert.equal(encodeHeaderValue("!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"), "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~")
  assert.equal(encodeHeaderValue('a\ud800b'), 'a%EF%BF%BDb')
})

const read: Record<string, string | undefined> = {
  'Euro%20%E2%82%AC%20%F0%9F%98%80': 'Euro € 😀',
  'lower%e2%82%acCase': 'lower€Case',
  'needless%41': 'needlessA',
  'a space': 'a space',
  // Exactly one round.
  '%2541': '%41',
  // A malformed percent stands for itself.
  '100%': '100%',
  '%': '%',
  '%4': '%4',
  '%zz%41': '%zzA',
  '%%41': '%A',
  // Quoted strings of older senders.
  '"quoted value"': 'quoted value',
  '"a\\"b\\\\c"': 'a"b\\c',
  '"%41"': 'A',
  '"\\%41"': 'A',
  '""': '',
  '"': '"',
  'a"b': 'a"b',
  '"a"b"': '"a"b"',
  '"open': '"open',
  '"open\\"': '"open\\"',
  '': '',
  // Raw UTF-8, as an HTTP library gives its bytes; a text that is decoded already; both spellings in one.
  'caf\u00c3\u00a9': 'café',
  '\u00f0\u009f\u0098\u0080%20x': '😀 x',
  '€': '€',
  // Not UTF-8: overlong, half a pair, cut short, Latin-1.
  '%C0%A0': undefined,
  '%ED%A0%80': undefined,
  '%E2%82': undefined,
  '%FF': undefined,
  'caf\u00e9': undefined,
  '\ud800': undefined,
  // Not allowed in any attribute, encoded or not.
  'a%0D%0Ax-injected:%201': undefined,
  '%00': undefined,
  'a\tb': undefined,
  '%C2%85': undefined,
  '%EF%BF%BF': undefined,
}
for (const [header, value] of Object.entries(read)) {
  test(`${JSON.stringify(header)} in a header reads as ${JSON.stringify(value) ?? 'no value'}`, () => {
    assert.equal(decodeHeaderValue(header), value)
  })
}

test('no header text makes the decoder throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map(c => String.fromCharCode(c)) }), text => {
      const value = decodeHeaderValue(text)
      assert.ok(value === undefined || value.isWellFormed())
    }),
    { numRuns: 3000 },
  )
})
