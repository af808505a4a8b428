import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CloudEvent } from '../../event/event.ts'
import { readFrames, writeFrames } from '../../event/frames.ts'
import { readHttpEvent } from '../../event/http.ts'
import { FRAMES_TYPE } from '../../event/media-type.ts'
import { bare, binaryEvents, encoded } from '../support/arbitraries.ts'

const eventOf = (id: string, body = ''): CloudEvent => ({
  mode: 'binary',
  attributes: bare({ specversion: '1.0', id, source: '/s', type: 't' }),
  body: encoded(body),
})

/** One frame, with a head and lengths that need not be right. */
function frame(head: string | Uint8Array, data: string, headBytes?: number, dataBytes?: number): Buffer {
  const [text, body] = [Buffer.from(head), Buffer.from(data)]
  const lengths = Buffer.alloc(8)
  lengths.writeUInt32BE(headBytes ?? text.byteLength, 0)
  lengths.writeUInt32BE(dataBytes ?? body.byteLength, 4)
  return Buffer.concat([lengths, text, body])
}

const plainOf = ({ mode, attributes, body }: CloudEvent) => [mode, { ...attributes }, Buffer.from(body).toString('hex')]

test('what is written is read again, bit for bit, whatever the data', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(binaryEvents, fc.uint8Array()), { maxLength: 5 }), pairs => {
      const events = pairs.flatMap(([event, body]) => [event, { ...event, body }])
      const read = readFrames(writeFrames(events), 10)
      assert(read.kind === 'events')
      assert.deepEqual(read.events.map(plainOf), events.map(plainOf))
    }),
  )
})

test('no bytes are no events', () => {
  assert.deepEqual(readFrames(new Uint8Array(), 10), { kind: 'events', events: [] })
})

test('an event does not keep its message in memory', () => {
  const bytes = writeFrames([eventOf('a', 'data'), eventOf('b')])
  const read = readFrames(bytes, 10)
  assert(read.kind === 'events')
  assert.equal(read.events[0]?.body.buffer.byteLength, 4)
})

test('too many events are refused', () => {
  const read = readFrames(writeFrames([eventOf('a'), eventOf('b')]), 1)
  assert(read.kind === 'invalid')
  assert.match(read.reason, /more than 1 events/)
})

const GOOD = '"specversion":"1.0","id":"1","source":"/s","type":"t"'
const BAD: Readonly<Record<string, readonly [Uint8Array, string]>> = {
  'three bytes': [Buffer.alloc(3), 'invalid-data'],
  'a head beyond the end': [frame(`{${GOOD}}`, '', 1000), 'invalid-data'],
  'data beyond the end': [frame(`{${GOOD}}`, 'x', undefined, 2), 'invalid-data'],
  'the longest of lengths': [frame(`{${GOOD}}`, '', 2 ** 32 - 1, 2 ** 32 - 1), 'invalid-data'],
  'a byte too many': [Buffer.concat([frame(`{${GOOD}}`, ''), Buffer.from('x')]), 'invalid-data'],
  'a head of nothing': [frame('', ''), 'invalid-json'],
  'a head that is a list': [frame('[]', ''), 'invalid-json'],
  'a head that is null': [frame('null', ''), 'invalid-json'],
  'a head that is no UTF-8': [frame(Buffer.from(`{${GOOD},"a":"\xff"}`, 'latin1'), ''), 'invalid-json'],
  'a number': [frame(`{${GOOD},"a":1}`, ''), 'invalid-attribute-value'],
  'a control character': [frame(`{${GOOD},"a":"\\u0000"}`, ''), 'invalid-attribute-value'],
  'half of a surrogate pair': [frame(`{${GOOD},"a":"\\ud800"}`, ''), 'invalid-attribute-value'],
  'a name in capitals': [frame(`{${GOOD},"Abc":"1"}`, ''), 'invalid-attribute-name'],
  'a name that objects have': [frame(`{${GOOD},"__proto__":"1"}`, ''), 'invalid-attribute-name'],
  'no id': [frame('{"specversion":"1.0","source":"/s","type":"t"}', ''), 'missing-attribute'],
  'data that says it is a CloudEvent of its own': [
    frame(`{${GOOD},"datacontenttype":"Application/CloudEvents+json"}`, `{${GOOD}}`),
    'invalid-attribute-value',
  ],
  'data that says it is a batch': [
    frame(`{${GOOD},"datacontenttype":"application/cloudevents-batch+json"}`, '[]'),
    'invalid-attribute-value',
  ],
  'data that says it is frames': [frame(`{${GOOD},"datacontenttype":"${FRAMES_TYPE}"}`, ''), 'invalid-attribute-value'],
  'a version of the future': [frame(`{${GOOD.replace('1.0', '2.0')}}`, ''), 'unsupported-specversion'],
}

for (const [what, [bytes, code]] of Object.entries(BAD)) {
  test(`${what} is refused, with the place of its event`, () => {
    const read = readFrames(Buffer.concat([writeFrames([eventOf('a', 'data')]), bytes]), 10)
    assert(read.kind === 'invalid')
    assert.equal(read.code, code)
    assert.match(read.reason, /^event [12] of the batch: /)
  })
}

test('mutants are events or refused, never thrown at, and events that are taken would be taken alone', () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })
  let taken = 0
  fc.assert(
    fc.property(fc.array(binaryEvents, { minLength: 1, maxLength: 3 }), changes, fc.nat(8), (events, all, cut) => {
      const bytes = writeFrames(events)
      for (const [at, byte] of all) bytes[at % bytes.byteLength] = byte
      const read = readFrames(bytes.subarray(0, bytes.byteLength - (cut > 4 ? cut : 0)), 10)
      if (read.kind === 'invalid') return
      taken++
      for (const { attributes } of read.events) {
        const { datacontenttype, ...rest } = attributes
        const headers = Object.entries(rest).flatMap(([name, value]) => [`ce-${name}`, encodeURIComponent(value)])
        if (datacontenttype !== undefined) headers.push('content-type', datacontenttype)
        const alone = readHttpEvent(headers, new Uint8Array())
        assert.equal(alone.kind, 'event', JSON.stringify(attributes))
      }
    }),
    { numRuns: 3000 },
  )
  assert.ok(taken > 20, `${taken} mutants were taken: too few to say anything`)
})
