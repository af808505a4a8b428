import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { attributesFault, hasForbiddenCharacter, isAttributeName } from '../../event/attributes.ts'
import { isJsonType, isMediaType, isUtf8TextType } from '../../event/media-type.ts'
import { attributeMaps, attributeValues, timestamps } from '../support/arbitraries.ts'

function faultOf(more: Record<string, string>): string | undefined {
  const fault = attributesFault({ specversion: '1.0', id: '1', source: '/s', type: 't', ...more })
  return fault && `${fault.code}: ${fault.reason}`
}

test('legal attributes have no fault', () => {
  fc.assert(fc.property(attributeMaps, attributes => assert.equal(attributesFault(attributes), undefined)))
  assert.equal(faultOf({ extension: '' }), undefined)
})

test('a time is RFC 3339, of any precision and offset', () => {
  fc.assert(fc.property(timestamps, time => assert.equal(faultOf({ time }), undefined)))
  for (const time of ['2024-02-29T23:59:60Z', '2000-02-29t00:00:00z', '1985-04-12T23:20:50.520000000000001-12:00']) {
    assert.equal(faultOf({ time }), undefined, time)
  }
})

const notTimes = [
  ...['', '2024-01-01', '2024-01-01T00:00:00', '2024-01-01 00:00:00Z', '2024-01-01T00:00Z', '2024-01-01T00:00:00.Z'],
  ...['2024-13-01T00:00:00Z', '2024-00-01T00:00:00Z', '2024-01-32T00:00:00Z', '2023-02-29T00:00:00Z'],
  ...['1900-02-29T00:00:00Z', '2024-04-31T00:00:00Z', '2024-01-01T24:00:00Z', '2024-01-01T00:60:00Z'],
  ...['2024-01-01T00:00:61Z', '2024-01-01T00:00:00+0100', '2024-01-01T00:00:00+24:00', ' 2024-01-01T00:00:00Z'],
  ...['24-01-01T00:00:00Z', '2024-01-01T00:00:00Z\n', 'Mon, 01 Jan 2024 00:00:00 GMT', '1704067200'],
]
for (const time of notTimes) {
  test(`${JSON.stringify(time)} is no time`, () => {
    assert.equal(faultOf({ time }), 'invalid-attribute-value: time is no RFC 3339 timestamp')
  })
}

test('dataschema is an absolute URI in 1.0, and an extension before it', () => {
  for (const dataschema of ['https://x/y?z#f', 'urn:x:y', 'a:b']) assert.equal(faultOf({ dataschema }), undefined)
  for (const dataschema of ['', '/x', 'x', '1a:b', 'a:', 'https://x y', '//host/x']) {
    assert.match(faultOf({ dataschema }) ?? '', /^invalid-attribute-value: dataschema/, dataschema)
  }
  assert.equal(faultOf({ specversion: '0.3', dataschema: '/x', schemaurl: '/x' }), undefined)
  assert.match(faultOf({ specversion: '0.3', schemaurl: '' }) ?? '', /schemaurl is empty/)
  for (const schemaurl of ['/x y', '<x>', 'a\\b']) {
    assert.match(faultOf({ specversion: '0.3', schemaurl }) ?? '', /schemaurl is no URI reference/)
    assert.equal(faultOf({ schemaurl }), undefined)
  }
})

test('names are lower-case letters and digits, of any length', () => {
  for (const name of ['a', '1', 'constructor', 'x'.repeat(100)]) assert.ok(isAttributeName(name), name)
  for (const name of ['', 'A', 'a-b', 'a_b', 'é', 'a b', 'a\n', 'data']) assert.ok(!isAttributeName(name), name)
})

test('values may have any character but controls, halves of pairs and noncharacters', () => {
  fc.assert(fc.property(attributeValues, value => assert.ok(!hasForbiddenCharacter(value))))
  for (const code of [
    0, 9, 10, 13, 0x1f, 0x7f, 0x85, 0x9f, 0xd800, 0xdfff, 0xfdd0, 0xfffe, 0xffff, 0x1fffe, 0x10ffff,
  ]) {
    assert.ok(hasForbiddenCharacter(`a${String.fromCodePoint(code)}b`), code.toString(16))
  }
})

test('a content type is a media type with parameters', () => {
  const types = [
    'text/plain',
    'application/vnd.a+json;v=1',
    'a/b ; c="d \\" e" ;f=g',
    'text/plain;',
    'text/plain; ;a=b',
  ]
  for (const type of types) assert.ok(isMediaType(type), type)
  for (const type of [
    '',
    'json',
    'a/',
    '/b',
    'a/b c',
    'a/b;c',
    'a/b;c=',
    'a/b;c="d',
    'a/b, c/d',
    'a/é',
    'a/b;c="\r\n"',
  ]) {
    assert.ok(!isMediaType(type), type)
  }
})

test('a hostile content type takes no time to refuse', () => {
  for (const part of [';', '; ', ' ', ';a=', ';a=b', '; a="b"', '"\\"', 'a/']) {
    const startMs = performance.now()
    isMediaType(`a/b${part.repeat(16_384 / part.length)}\u0001`)
    isMediaType(`a/b;a="${part.repeat(16_384 / part.length)}`)
    assert.ok(performance.now() - startMs < 1000, part)
  }
})

test('JSON and text are told by the media type alone', () => {
  for (const type of ['application/json', 'TEXT/JSON ; a=b', 'image/svg+JSON;x']) assert.ok(isJsonType(type), type)
  for (const type of ['application/jsonp', 'text/plain; x=application/json', 'json']) assert.ok(!isJsonType(type), type)
  for (const type of ['text/csv', 'Text/html; Charset="utf-8"', 'text/xml;charset=US-ASCII']) {
    assert.ok(isUtf8TextType(type), type)
  }
  for (const type of ['application/text', 'text/plain; charset=latin1', 'text/plain;charset="utf-16"']) {
    assert.ok(!isUtf8TextType(type), type)
  }
})
