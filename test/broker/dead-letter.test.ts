import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { deadLetterEvent } from '../../broker/dead-letter.ts'
import { readHttpEvent, writeHttpEvent } from '../../event/http.ts'
import { binaryEvents, encoded, jsonEnvelopes } from '../support/arbitraries.ts'

const FAILURE = { destination: 'http://orders.shop.svc.cluster.local', code: 422, data: 'no such article' }

function structured(text: string) {
  const read = readHttpEvent(['content-type', 'application/cloudevents+json'], encoded(text))
  assert(read.kind === 'event')
  return read.event
}

test('a dead letter is the original with the reasons beside it, readable by anyone', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        binaryEvents,
        jsonEnvelopes.map(({ text }) => structured(text)),
      ),
      event => {
        const letter = deadLetterEvent(event, FAILURE, 254)
        const { headers, body } = writeHttpEvent(letter, undefined)
        const read = readHttpEvent(headers, body)
        assert(read.kind === 'event')
        assert.deepEqual(
          { ...read.event.attributes },
          {
            ...event.attributes,
            knativeerrordest: 'http://orders.shop.svc.cluster.local',
            knativeerrorcode: '422',
            knativeerrordata: Buffer.from('no such article').toString('base64'),
            knativebrokerttl: '254',
          },
        )
        assert.ok(Buffer.from(writeHttpEvent(letter, 'binary').body).equals(writeHttpEvent(event, 'binary').body))
      },
    ),
  )
})

test('in an envelope the code and the hops are numbers, and all else is as it was', () => {
  const text = '{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n": 1.0}}'
  const { body } = deadLetterEvent(structured(text), { ...FAILURE, data: '' }, 255)
  const added = `,"knativeerrordest":"${FAILURE.destination}","knativeerrorcode":422,"knativeerrordata":"","knativebrokerttl":255}`
  assert.equal(new TextDecoder().decode(body), text.slice(0, -1) + added)
})

test('the data is cut at 1024 characters of base64, can be decoded, and is there even when empty', () => {
  const dataOf = (data: string) =>
    deadLetterEvent(structured('{"specversion":"1.0","id":"1","source":"/s","type":"t"}'), { ...FAILURE, data }, 1)
      .attributes.knativeerrordata
  assert.equal(dataOf(''), '')
  assert.equal(dataOf('x'.repeat(768))?.length, 1024)
  const long = dataOf('é'.repeat(5000)) ?? ''
  assert.equal(long.length, 1024)
  assert.equal(long, Buffer.from('é'.repeat(5000)).toString('base64').slice(0, 1024))
  assert.equal(Buffer.from(long, 'base64').toString('base64'), long)
})

test('an earlier failure is replaced, not repeated', () => {
  const event = structured('{"specversion":"1.0","id":"1","source":"/s","type":"t","knativeerrorcode":500}')
  const twice = deadLetterEvent(deadLetterEvent(event, { ...FAILURE, code: 503 }, 9), FAILURE, 8)
  assert.equal(twice.attributes.knativeerrorcode, '422')
  assert.equal(twice.attributes.knativebrokerttl, '8')
  assert.equal(structured(new TextDecoder().decode(twice.body)).attributes.knativeerrorcode, '422')
})

const destinations: Record<string, string> = {
  'bad://uri': 'http://uri/',
  'bad://uri/path?q=1': 'http://uri/path?q=1',
  'http://host': 'http://host',
  'HTTPS://host/': 'HTTPS://host/',
  'https://host:8443/a?b#c': 'https://host:8443/a?b#c',
}
for (const [destination, named] of Object.entries(destinations)) {
  test(`the destination ${destination} is named ${named}`, () => {
    const event = structured('{"specversion":"1.0","id":"1","source":"/s","type":"t"}')
    assert.equal(deadLetterEvent(event, { ...FAILURE, destination }, 1).attributes.knativeerrordest, named)
  })
}
