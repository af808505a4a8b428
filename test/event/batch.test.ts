import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BATCH_EVENTS_MAX, readBatch, writeBatch, writeBinaryBatch } from '../../event/batch.ts'
import { toStructured } from '../../event/convert.ts'
import type { CloudEvent } from '../../event/event.ts'
import { readHttpEvent } from '../../event/http.ts'
import { binaryEvents, encoded, jsonEnvelopes } from '../support/arbitraries.ts'

const one = (id: string) => `{"specversion":"1.0","id":"${id}","source":"/s","type":"t","data":{"n":1.10}}`

test('each event of a batch is kept as it was written', () => {
  const read = readBatch(encoded(` [ ${one('a')} ,\n${one('b')}]\n`))
  assert(read.kind === 'events')
  assert.deepEqual(
    read.events.map(event => Buffer.from(event.body).toString()),
    [one('a'), one('b')],
  )
  assert.deepEqual(
    read.events.map(event => event.attributes.id),
    ['a', 'b'],
  )
})

test('an event of a batch does not keep the batch in memory', () => {
  const body = encoded(`[${one('a')}]`)
  const read = readBatch(body)
  assert(read.kind === 'events')
  assert.notEqual(read.events[0]?.body.buffer, body.buffer)
})

test('an empty batch has no events', () => {
  assert.deepEqual(readBatch(encoded('[]')), { kind: 'events', events: [] })
})

test('a batch with one broken event is refused whole, and names the event', () => {
  const read = readBatch(encoded(`[${one('a')},{"specversion":"1.0","id":"","source":"/s","type":"t"}]`))
  assert(read.kind === 'invalid')
  assert.match(read.reason, /^event 1 of the batch: /)
})

for (const text of ['', '{}', '[', '[1]', '[{}]', `[${one('a')},]`, `[${one('a')}] x`, `[[${one('a')}]]`, 'null']) {
  test(`${JSON.stringify(text.slice(0, 20))} is no batch`, () => {
    assert.equal(readBatch(encoded(text)).kind, 'invalid')
  })
}

test('a batch of too many events is refused before they are read', () => {
  const read = readBatch(encoded(`[${'0,'.repeat(BATCH_EVENTS_MAX)}0]`))
  assert(read.kind === 'invalid')
  assert.match(read.reason, /more than 10000/)
})

test('what is written together is read apart again', () => {
  fc.assert(
    fc.property(fc.array(binaryEvents, { maxLength: 5 }), events => {
      const { headers, body } = writeBatch(events)
      assert.deepEqual(headers, ['content-type', 'application/cloudevents-batch+json; charset=utf-8'])
      const read = readBatch(body)
      assert(read.kind === 'events')
      assert.deepEqual(
        read.events.map(event => Buffer.from(event.body).toString()),
        events.map(event => Buffer.from(toStructured(event).body).toString()),
      )
    }),
  )
})

test('whatever a batch holds, it is read or refused, and never throws', () => {
  const texts = fc.array(
    jsonEnvelopes.map(envelope => Buffer.from(JSON.stringify(envelope)).toString()),
    { maxLength: 3 },
  )
  fc.assert(
    fc.property(texts, fc.nat(), fc.nat(255), (all, at, byte) => {
      const bytes = encoded(`[${all.join(',')}]`)
      bytes[at % bytes.length] = byte
      readBatch(bytes)
    }),
    { numRuns: 2000 },
  )
})

test('a batch of events in binary mode gives back the very same events', () => {
  fc.assert(
    fc.property(fc.array(binaryEvents, { maxLength: 5 }), events => {
      const { headers, body } = writeBinaryBatch(events)
      const message = readHttpEvent(headers, body)
      assert(message.kind === 'batch')
      const read = readBatch(body, message.format)
      assert(read.kind === 'events')
      assert.deepEqual(read.events.map(plainOf), events.map(plainOf))
    }),
  )
})

function plainOf({ mode, attributes, body }: CloudEvent) {
  return { mode, attributes: { ...attributes }, body: Buffer.from(body).toString('base64') }
}
