import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CloudEvent } from '../../event/event.ts'
import { eventData, readHttpEvent, withAttributes, writeHttpEvent } from '../../event/http.ts'
import { encoded } from '../support/arbitraries.ts'

/* CloudEvents 0.3: what differs from 1.0, and that none is ever made the other. */

const MINIMAL = ['ce-specversion', '0.3', 'ce-id', '1', 'ce-source', '/s', 'ce-type', 't']
const STRUCTURED = ['content-type', 'application/cloudevents+json']
const envelope = (members: string) => `{"specversion":"0.3","id":"1","source":"/s","type":"t",${members}}`
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function eventOf(headers: readonly string[], body: Uint8Array | string = ''): CloudEvent {
  const read = readHttpEvent(headers, typeof body === 'string' ? encoded(body) : body)
  assert(read.kind === 'event', JSON.stringify(read))
  return read.event
}

function codeOf(headers: readonly string[], body = ''): string {
  const read = readHttpEvent(headers, encoded(body))
  return read.kind === 'invalid' ? read.code : read.kind
}

const bodies = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.json({ maxDepth: 2 }).map(encoded))
const types = fc.constantFrom('application/json', 'text/plain', 'image/png', undefined)

test('an event of 0.3 is never upgraded: neither as it came, nor in the other mode, nor with attributes added', () => {
  fc.assert(
    fc.property(bodies, types, (body, type) => {
      const more = ['ce-schemaurl', 'relative/schema#1', ...(type === undefined ? [] : ['content-type', type])]
      const event = eventOf([...MINIMAL, ...more], body)
      assert.equal(writeHttpEvent(event, undefined).body, event.body)
      for (const changed of [event, withAttributes(event, { knativeerrorcode: 500 })]) {
        for (const format of ['binary', 'structured'] as const) {
          const message = writeHttpEvent(changed, format)
          const { attributes } = eventOf(message.headers, message.body)
          assert.equal(attributes.specversion, '0.3')
          assert.equal(attributes.schemaurl, 'relative/schema#1')
          assert.ok(!text(message.body).includes('data_base64'))
        }
      }
      const back = writeHttpEvent(event, 'structured')
      const { bytes } = eventData(eventOf(back.headers, back.body))
      // White space around JSON belongs to nobody once it stands in an envelope.
      if (hex(bytes) !== hex(body)) assert.equal(text(bytes), text(body).trim())
    }),
    { numRuns: 1000 },
  )
})

for (const [value, code] of [
  ['base64', 'event'],
  ['Base64', 'event'],
  ['7bit', 'event'],
  ['quoted-printable', 'event'],
  ['x-own', 'event'],
  ['', 'invalid-attribute-value'],
  ['base 64', 'invalid-attribute-value'],
  ['base64;x', 'invalid-attribute-value'],
  ['"base64', 'invalid-attribute-value'],
] as const) {
  test(`datacontentencoding ${JSON.stringify(value)} is ${code === 'event' ? 'taken' : 'refused'} in both modes`, () => {
    assert.equal(codeOf([...MINIMAL, 'ce-datacontentencoding', value], 'AP8='), code)
    assert.equal(codeOf(STRUCTURED, envelope(`"datacontentencoding":${JSON.stringify(value)},"data":"AP8="`)), code)
  })
}

test('in 1.0 datacontentencoding is an extension like any other', () => {
  const event = eventOf(['ce-specversion', '1.0', ...MINIMAL.slice(2), 'ce-datacontentencoding', 'base 64'], 'AP8=')
  assert.equal(text(eventData(event).bytes), 'AP8=')
})

test('base64 may be folded, as in mail, and leaves as it came or as its bytes', () => {
  const long = Buffer.alloc(100, 0xfe)
  const folded = long.toString('base64').replace(/.{76}/g, '$&\r\n')
  const binary = eventOf([...MINIMAL, 'ce-datacontentencoding', 'base64'], folded)
  const structured = eventOf(STRUCTURED, envelope(`"datacontentencoding":"base64","data":${JSON.stringify(folded)}`))
  for (const event of [binary, structured]) {
    assert.deepEqual(Buffer.from(eventData(event).bytes), long)
    assert.equal(writeHttpEvent(event, undefined).body, event.body)
    for (const format of ['binary', 'structured'] as const) {
      const { headers, body } = writeHttpEvent(event, format)
      assert.deepEqual(Buffer.from(eventData(eventOf(headers, body)).bytes), long, format)
    }
  }
})

test('base64 that is none is refused in an envelope', () => {
  for (const data of ['"AP8"', '"A?=="', '"=AAA"']) {
    assert.equal(codeOf(STRUCTURED, envelope(`"datacontentencoding":"base64","data":${data}`)), 'invalid-data', data)
  }
})

test('where data is no string, the encoding is ignored, and does not come out on the other side', () => {
  const event = eventOf(STRUCTURED, envelope('"datacontentencoding":"base64","data":{"n":1.0}'))
  assert.equal(text(eventData(event).bytes), '{"n":1.0}')
  const { headers, body } = writeHttpEvent(event, 'binary')
  assert.equal(text(body), '{"n":1.0}')
  assert.ok(!headers.includes('ce-datacontentencoding'))
  assert.equal(codeOf(STRUCTURED, envelope('"datacontentencoding":"base64","data":null')), 'event')
})

test('0.3 knows no data_base64; it is understood, because it is sent, and is not written', () => {
  const event = eventOf(STRUCTURED, envelope('"datacontenttype":"image/png","data_base64":"AP8="'))
  assert.equal(hex(eventData(event).bytes), '00ff')
  const binary = writeHttpEvent(event, 'binary')
  const { body } = writeHttpEvent(eventOf(binary.headers, binary.body), 'structured')
  assert.match(text(body), /"datacontentencoding":"base64","data":"AP8="/)
  assert.equal(codeOf(STRUCTURED, envelope('"data":1,"data_base64":"AP8="')), 'invalid-data')
})

test('in 0.3 dataschema is an extension like any other', () => {
  assert.equal(codeOf(STRUCTURED, envelope('"dataschema":"/x"')), 'event')
})
