import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CloudEvent } from '../../event/event.ts'
import { eventData, readHttpEvent, withAttributes, writeHttpEvent } from '../../event/http.ts'
import { attributeNames, attributeValues, bare, binaryEvents, encoded, jsonEnvelopes } from '../support/arbitraries.ts'

const STRUCTURED = ['Content-Type', 'application/cloudevents+json']
const MINIMAL = ['ce-specversion', '1.0', 'ce-id', '1', 'ce-source', '/s', 'ce-type', 't']
const NO_BODY = new Uint8Array()

function eventOf(headers: readonly string[], body: Uint8Array | string = NO_BODY): CloudEvent {
  const read = readHttpEvent(headers, typeof body === 'string' ? encoded(body) : body)
  assert(read.kind === 'event', JSON.stringify(read))
  return read.event
}

function codeOf(headers: readonly string[], body = ''): string {
  const read = readHttpEvent(headers, encoded(body))
  return read.kind === 'invalid' ? read.code : read.kind
}

function sent(event: CloudEvent, format?: 'binary' | 'structured'): CloudEvent {
  const { headers, body } = writeHttpEvent(event, format)
  return eventOf(headers, body)
}

const text = (bytes: Uint8Array) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

test('a binary event arrives with its attributes as text, and its own body', () => {
  const body = encoded('{"total": 1.0}')
  const headers = [
    ...['Host', 'x', 'Ce-Specversion', '1.0', 'CE-ID', '00042', 'ce-source', '/caf%C3%A9', 'ce-type', 'order.created'],
    ...['ce-time', '2026-01-01T00:00:00.123456789+01:00', 'ce-retries', '007', 'content-type', 'application/json'],
    ...['Connection', 'close', 'cookie', 'x', 'cexid', 'x'],
  ]
  const event = eventOf(headers, body)
  assert.equal(event.mode, 'binary')
  assert.equal(event.body, body)
  assert.equal('hasOwnProperty' in event.attributes, false)
  assert.deepEqual(
    event.attributes,
    bare({
      specversion: '1.0',
      id: '00042',
      source: '/café',
      type: 'order.created',
      time: '2026-01-01T00:00:00.123456789+01:00',
      retries: '007',
      datacontenttype: 'application/json',
    }),
  )
})

test('a structured event arrives with canonical attributes, and its own body', () => {
  const body = encoded(
    '{"specversion":"1.0","id":"1","source":"/s","type":"t","count":42,"low":-2147483648,"zero":-0,"done":true,"gone":null,"data":{"n":1.0}}',
  )
  const event = eventOf(['content-type', 'Application/CloudEvents+JSON; Charset="UTF-8"', 'ce-id', 'ignored'], body)
  assert.equal(event.mode, 'structured')
  assert.equal(event.body, body)
  assert.deepEqual(
    event.attributes,
    bare({
      ...{ specversion: '1.0', id: '1', source: '/s', type: 't' },
      ...{ count: '42', low: '-2147483648', zero: '0', done: 'true' },
    }),
  )
})

test('a message that does not claim to be a CloudEvent is none, and not an error', () => {
  assert.equal(codeOf([], 'ok'), 'none')
  assert.equal(codeOf(['content-type', 'application/json'], '{"specversion":"1.0"}'), 'none')
  assert.equal(codeOf(['ce-id', '1', 'ce-foo-bar', 'x', 'content-type', 'text/plain'], 'ok'), 'none')
  assert.equal(codeOf(['content-type', 'text/plain', 'content-type', 'text/html'], 'ok'), 'none')
})

const refused: [why: string, code: string, headers: readonly string[], body?: string][] = [
  ['no id', 'missing-attribute', ['ce-specversion', '1.0', 'ce-source', '/s', 'ce-type', 't']],
  ['an empty type', 'missing-attribute', ['ce-specversion', '1.0', 'ce-id', '1', 'ce-source', '/s', 'ce-type', '']],
  [
    'an empty specversion',
    'missing-attribute',
    ['ce-specversion', '', 'ce-id', '1', 'ce-source', '/s', 'ce-type', 't'],
  ],
  ['an unknown specversion', 'unsupported-specversion', ['ce-specversion', '1.1', 'ce-id', '1']],
  ['a dash in a name', 'invalid-attribute-name', [...MINIMAL, 'ce-foo-bar', 'x']],
  ['an empty name', 'invalid-attribute-name', [...MINIMAL, 'ce-', 'x']],
  ['a prototype for a name', 'invalid-attribute-name', [...MINIMAL, 'ce-__proto__', 'x']],
  ['data as a header', 'invalid-attribute-name', [...MINIMAL, 'ce-data', 'x']],
  ['two ids', 'duplicate-header', [...MINIMAL, 'CE-Id', '1']],
  ['two extensions, the first empty', 'duplicate-header', [...MINIMAL, 'ce-x', '', 'ce-X', '1']],
  ['two specversions', 'duplicate-header', ['ce-specversion', '1.0', ...MINIMAL]],
  ['two content types', 'duplicate-header', [...MINIMAL, 'content-type', 'text/a', 'Content-Type', 'text/a']],
  ['two content types, one structured', 'duplicate-header', ['content-type', 'text/plain', ...STRUCTURED], '{}'],
  ['two content types, the other structured', 'duplicate-header', [...STRUCTURED, 'content-type', 'text/plain'], '{}'],
  ['two ids beside an envelope', 'duplicate-header', [...STRUCTURED, 'ce-id', '1', 'ce-x-y', '', 'ce-id', '2'], '{}'],
  ['a line break in an id', 'invalid-attribute-value', [...MINIMAL, 'ce-x', 'a%0D%0Ab']],
  ['bytes that are not UTF-8', 'invalid-attribute-value', [...MINIMAL, 'ce-x', '\u00ff']],
  ['an undecodable specversion', 'invalid-attribute-value', ['ce-specversion', '%FF', 'ce-id', '1']],
  ['a time that is none', 'invalid-attribute-value', [...MINIMAL, 'ce-time', 'yesterday']],
  ['an empty subject', 'invalid-attribute-value', [...MINIMAL, 'ce-subject', '']],
  ['a relative dataschema', 'invalid-attribute-value', [...MINIMAL, 'ce-dataschema', '/schema']],
  ['a content type that is none', 'invalid-attribute-value', [...MINIMAL, 'content-type', 'json, please']],
  ['a batch in XML', 'unsupported-format', ['content-type', 'application/cloudevents-batch+xml'], '<batch/>'],
  ['an XML envelope', 'unsupported-format', [...MINIMAL, 'content-type', 'application/cloudevents+xml'], '<event/>'],
  ['no format', 'unsupported-format', ['content-type', 'application/cloudevents'], '{}'],
  ['no envelope', 'invalid-json', STRUCTURED, ''],
  ['a list', 'invalid-json', STRUCTURED, '[]'],
  ['two ids in an envelope', 'invalid-json', STRUCTURED, envelope('"id":"2"')],
  ['an envelope without type', 'missing-attribute', STRUCTURED, '{"specversion":"1.0","id":"1","source":"/s"}'],
  ['a null type', 'missing-attribute', STRUCTURED, '{"specversion":"1.0","id":"1","source":"/s","type":null}'],
  ['a capital in a name', 'invalid-attribute-name', STRUCTURED, envelope('"Foo":"x"')],
  ['a prototype in an envelope', 'invalid-attribute-name', STRUCTURED, envelope('"__proto__":"x"')],
  ['a fraction', 'invalid-attribute-value', STRUCTURED, envelope('"n":1.5')],
  ['an exponent', 'invalid-attribute-value', STRUCTURED, envelope('"n":1e3')],
  ['an integer of more than 32 bits', 'invalid-attribute-value', STRUCTURED, envelope('"n":2147483648')],
  ['an object for an attribute', 'invalid-attribute-value', STRUCTURED, envelope('"n":{}')],
  ['a line break in an envelope', 'invalid-attribute-value', STRUCTURED, envelope('"n":"a\\nb"')],
  ['half a pair in an envelope', 'invalid-attribute-value', STRUCTURED, envelope('"n":"\\ud800"')],
  ['data twice', 'invalid-data', STRUCTURED, envelope('"data":1,"data_base64":"AA=="')],
  ['data_base64 that is none', 'invalid-data', STRUCTURED, envelope('"data_base64":"A"')],
  ['data_base64 of another alphabet', 'invalid-data', STRUCTURED, envelope('"data_base64":"_-_-"')],
  ['a number for data_base64', 'invalid-data', STRUCTURED, envelope('"data_base64":5')],
  ['an object for text', 'invalid-data', STRUCTURED, envelope('"datacontenttype":"text/plain","data":{}')],
  ['half a pair in text', 'invalid-data', STRUCTURED, envelope('"datacontenttype":"text/plain","data":"\\ud800"')],
]
for (const [why, code, headers, body] of refused) {
  test(`${why} is refused with ${code}`, () => assert.equal(codeOf(headers, body), code))
}

test('a refusal quotes no value and no data', () => {
  const cases: [string[], string][] = [
    [[...MINIMAL, 'ce-time', 'hunter2'], ''],
    [[...MINIMAL, 'ce-subject', 'hunter2%00'], ''],
    [STRUCTURED, envelope('"time":"hunter2"')],
    [STRUCTURED, envelope('"data":hunter2')],
  ]
  for (const [headers, body] of cases) {
    const read = readHttpEvent(headers, encoded(body))
    assert(read.kind === 'invalid')
    assert.doesNotMatch(read.reason, /hunter/)
  }
  const long = readHttpEvent([...MINIMAL, `ce-${'\u0000-x'.repeat(200)}`, 'x'], NO_BODY)
  assert(long.kind === 'invalid' && long.reason.length < 120)
  assert.match(long.reason, /^[ -~]+$/)
})

test('datacontenttype comes from Content-Type alone', () => {
  assert.equal(eventOf([...MINIMAL, 'ce-datacontenttype', 'text/html']).attributes.datacontenttype, undefined)
  const both = eventOf([...MINIMAL, 'ce-datacontenttype', 'text/html', 'content-type', 'text/plain'])
  assert.equal(both.attributes.datacontenttype, 'text/plain')
  assert.deepEqual(writeHttpEvent(both, undefined).headers, [...MINIMAL, 'content-type', 'text/plain'])
})

test('in its own mode an event leaves as it came: the same body, the same attributes', () => {
  fc.assert(
    fc.property(binaryEvents, event => {
      const { headers, body } = writeHttpEvent(event, undefined)
      assert.equal(body, event.body)
      assert.deepEqual(eventOf(headers, body).attributes, event.attributes)
      for (const header of headers) assert.match(header, /^[ -~]*$/)
    }),
    { numRuns: 1000 },
  )
  fc.assert(
    fc.property(jsonEnvelopes, ({ text, attributes }) => {
      const event = eventOf(STRUCTURED, text)
      assert.deepEqual(event.attributes, attributes)
      const { headers, body } = writeHttpEvent(event, undefined)
      assert.equal(body, event.body)
      assert.deepEqual(eventOf(headers, body), event)
    }),
    { numRuns: 1000 },
  )
})

test('binary to structured and back is the same event, bit for bit', () => {
  fc.assert(
    fc.property(binaryEvents, event => {
      const structured = sent(event, 'structured')
      assert.equal(structured.mode, 'structured')
      assert.deepEqual(
        { ...structured.attributes, datacontentencoding: '' },
        { ...event.attributes, datacontentencoding: '' },
      )
      const back = sent(structured, 'binary')
      assert.deepEqual(back.attributes, event.attributes)
      // White space around JSON belongs to nobody once it stands in an envelope.
      if (hex(back.body) !== hex(event.body)) assert.equal(text(back.body), text(event.body).trim())
    }),
    { numRuns: 2000 },
  )
})

test('structured to binary and back is the same event, and its JSON is the same text', () => {
  fc.assert(
    fc.property(jsonEnvelopes, ({ text: envelope, attributes, data }) => {
      const event = eventOf(STRUCTURED, envelope)
      const binary = sent(event, 'binary')
      assert.equal(text(binary.body), data ?? '')
      const implied = data === undefined ? {} : { datacontenttype: 'application/json' }
      assert.deepEqual(binary.attributes, bare({ ...implied, ...attributes }))
      const back = sent(binary, 'structured')
      assert.deepEqual(back.attributes, binary.attributes)
      assert.equal(text(sent(back, 'binary').body), data ?? '')
    }),
    { numRuns: 2000 },
  )
})

test('an envelope shows JSON as JSON, text as text, and the rest as base64', () => {
  const shown = (contentType: string | undefined, body: Uint8Array | string, version = '1.0') => {
    const type = contentType === undefined ? [] : ['content-type', contentType]
    const event = eventOf(['ce-specversion', version, 'ce-id', '1', 'ce-source', '/s', 'ce-type', 't', ...type], body)
    return text(writeHttpEvent(event, 'structured').body).replace(/^.*?"type":"t",?("datacontenttype":"[^"]*",?)?/, '')
  }
  assert.equal(shown('application/json', '{"a": 1.0}'), '"data":{"a": 1.0}}')
  assert.equal(shown('application/json', '{"a":'), '"data_base64":"eyJhIjo="}')
  assert.equal(shown('application/json', '"text"'), '"data":"text"}')
  assert.equal(shown('text/plain', 'a "b"\n'), '"data":"a \\"b\\"\\n"}')
  assert.equal(shown('text/plain', '\ufeffa'), '"data":"\ufeffa"}')
  assert.equal(shown('text/plain', Uint8Array.of(0xff)), '"data_base64":"/w=="}')
  assert.equal(shown('text/plain; charset=iso-8859-1', 'a'), '"data_base64":"YQ=="}')
  assert.equal(shown('image/png', 'a'), '"data_base64":"YQ=="}')
  assert.equal(shown(undefined, '{}'), '"data_base64":"e30="}')
  assert.equal(shown('application/json', ''), '}')
  assert.equal(shown('image/png', 'a', '0.3'), '"datacontentencoding":"base64","data":"YQ=="}')
  assert.equal(shown('application/json', '{}', '0.3'), '"data":{}}')
})

test('an envelope of 0.3 stays one, and its base64 becomes bytes in binary mode', () => {
  const body = envelope('"datacontenttype":"image/png","datacontentencoding":"BASE64","data":"AP8="').replace(
    '1.0',
    '0.3',
  )
  const event = eventOf(STRUCTURED, body)
  const { headers, body: bytes } = writeHttpEvent(event, 'binary')
  assert.equal(hex(bytes), '00ff')
  assert.ok(headers.includes('0.3') && !headers.includes('ce-datacontentencoding'))
  const broken = body.replace('AP8=', 'AP8')
  assert.equal(codeOf(STRUCTURED, broken), 'invalid-data')
})

test('a string of a type that is not JSON becomes its bytes, escapes undone', () => {
  const event = eventOf(STRUCTURED, envelope('"datacontenttype":"text/plain","data":"caf\\u00e9 \\ud83d\\ude00"'))
  const { headers, body } = writeHttpEvent(event, 'binary')
  assert.equal(text(body), 'café 😀')
  assert.deepEqual(headers.slice(-2), ['content-type', 'text/plain'])
})

test('base64 with an escaped plus, as .NET writes it, is understood', () => {
  const event = eventOf(STRUCTURED, envelope('"data_base64":"\\u002B\\/8="'))
  assert.equal(hex(writeHttpEvent(event, 'binary').body), 'fbff')
  assert.equal(event.attributes.datacontenttype, undefined)
})

test('the data of an event is the same in either mode', () => {
  const json = eventOf(STRUCTURED, envelope('"data": {"n" : 1.0} '))
  assert.equal(text(eventData(json).bytes), '{"n" : 1.0}')
  assert.equal(eventData(json).contentType, 'application/json')
  const none = eventData(eventOf(STRUCTURED, envelope('"x":"y"')))
  assert.deepEqual([none.bytes.byteLength, none.contentType], [0, undefined])
  const encoded03 = eventOf(['ce-specversion', '0.3', ...MINIMAL.slice(2), 'ce-datacontentencoding', 'base64'], 'AP8=')
  assert.equal(hex(eventData(encoded03).bytes), '00ff')
  assert.equal(text(writeHttpEvent(encoded03, undefined).body), 'AP8=')
})

test('changed attributes are seen by every reader, and nothing else changes', () => {
  const values = fc.option(fc.oneof(attributeValues, fc.integer(), fc.boolean()), { nil: undefined })
  const changes = fc.dictionary(attributeNames, values, { maxKeys: 4, noNullPrototype: true })
  const check = (event: CloudEvent, change: Record<string, string | number | boolean | undefined>) => {
    const changed = withAttributes(event, change)
    const expected = bare(event.attributes)
    for (const [name, value] of Object.entries(change)) {
      if (value === undefined) delete expected[name]
      else expected[name] = String(value)
    }
    assert.deepEqual(sent(changed).attributes, expected)
    assert.deepEqual(changed.attributes, expected)
    assert.equal(hex(sent(changed, 'binary').body), hex(sent(event, 'binary').body))
    assert.equal(changed.mode, event.mode)
  }
  fc.assert(fc.property(binaryEvents, changes, check), { numRuns: 500 })
  fc.assert(
    fc.property(jsonEnvelopes, changes, fc.boolean(), ({ text, attributes }, change, existing) => {
      const some = Object.keys(attributes).find(name => name !== 'datacontenttype' && attributeIsFree(name))
      check(eventOf(STRUCTURED, text), existing && some !== undefined ? { ...change, [some]: undefined } : change)
    }),
    { numRuns: 2000 },
  )
})

test('an attribute is changed where it stands, removed with its comma, or added at the end', () => {
  const changed = (change: Record<string, string | number | undefined>) =>
    text(withAttributes(eventOf(STRUCTURED, SPACED), change).body)
  assert.equal(changed({ hops: 7 }), SPACED.replace('"old" ', '7 '))
  assert.equal(changed({ hops: undefined }), SPACED.replace('\n  "hops" : "old" ,', ' '))
  assert.equal(changed({ last: undefined }), SPACED.replace(' ,\n  "last":true', ''))
  assert.equal(changed({ more: 'a"b' }), SPACED.replace('true', 'true,"more":"a\\"b"'))
  assert.equal(changed({ never: undefined }), SPACED)
})
const SPACED = `{
  "hops" : "old" ,
  "specversion":"1.0", "id":"1","source":"/s","type":"t","data":{"hops":1.0} ,
  "last":true
}`

test('no event, no headers and no body make the reader throw', () => {
  const start = writeHttpEvent(
    eventOf([...MINIMAL, 'ce-subject', 'a%20b', 'content-type', 'application/json'], '{"a":[1]}'),
    undefined,
  )
  const structured = writeHttpEvent(eventOf(start.headers, start.body), 'structured')
  const character = fc.oneof(
    fc.integer({ min: 0, max: 255 }),
    fc.constantFrom(0x22, 0x25, 0x2c, 0x5c, 0x7b, 0xd800, 0x100),
  )
  const edits = fc.array(fc.tuple(fc.nat(200), fc.nat(200), character), { minLength: 1, maxLength: 4 })
  const kinds = new Map<string, number>()
  fc.assert(
    fc.property(fc.boolean(), edits, edits, (binary, headerEdits, bodyEdits) => {
      const message = binary ? start : structured
      const headers = [...message.headers]
      for (const [at, where, code] of headerEdits) {
        const index = at % headers.length
        const header = headers[index] ?? ''
        const place = where % (header.length + 1)
        headers[index] = header.slice(0, place) + String.fromCharCode(code) + header.slice(place + (code % 2))
      }
      const body = Buffer.from(message.body)
      if (!binary) for (const [at, , code] of bodyEdits) body[at % body.length] = code & 255
      const read = readHttpEvent(binary ? headers : message.headers, body)
      kinds.set(read.kind, (kinds.get(read.kind) ?? 0) + 1)
      if (read.kind !== 'event') return
      // What was taken can be passed on, in either mode.
      assert.deepEqual(sent(read.event).attributes, read.event.attributes)
      sent(sent(read.event, 'structured'), 'binary')
      sent(sent(read.event, 'binary'), 'structured')
    }),
    { numRuns: 10_000 },
  )
  for (const kind of ['event', 'invalid', 'none']) assert.ok((kinds.get(kind) ?? 0) > 20, `${kind} is reached`)
})

function envelope(more: string): string {
  return `{"specversion":"1.0","id":"1","source":"/s","type":"t",${more}}`
}

function attributeIsFree(name: string): boolean {
  return !['specversion', 'id', 'source', 'type'].includes(name)
}
