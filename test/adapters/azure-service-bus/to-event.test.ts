import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toEvents } from '../../../adapters/azure-service-bus/to-event.ts'
import { type BusMessage, bytesOf } from '../../../clients/azure-service-bus/message.ts'
import { attributesFault, isAttributeName } from '../../../event/attributes.ts'

const url = 'sb://acme/orders'
const spec = { idFrom: 'sequenceNumber', payload: 'auto', extensions: {} } as const

function message(changes: Partial<BusMessage> = {}): BusMessage {
  return {
    sequence: '42',
    messageId: 'm-1',
    sessionId: undefined,
    correlationId: undefined,
    partitionKey: undefined,
    contentType: undefined,
    enqueuedMs: 0,
    deliveries: 1,
    lockedUntilMs: undefined,
    properties: {},
    body: Buffer.from('{"n":1.0}'),
    raw: { state: 'active', body: undefined, _rawAmqpMessage: { body: undefined } },
    ...changes,
  }
}

function only(changes: Partial<BusMessage>, wish: Partial<Parameters<typeof toEvents>[2]> = {}) {
  const read = toEvents(message(changes), url, { ...spec, ...wish })
  assert.ok(read.kind === 'events' && read.events.length === 1)
  return { attributes: { ...read.events[0]?.attributes }, body: Buffer.from(read.events[0]?.body ?? []).toString() }
}

test('data becomes an event under the sequence number, with what the message says beside it', () => {
  const properties = { 'Tenant-Id': 'x', n: 1.5, yes: true, line: 'a\nb', 漢: 'y', at: new Date(0) }
  const { attributes, body } = only({
    sessionId: 'ann',
    correlationId: 'c',
    partitionKey: 'ann',
    contentType: 'text/plain',
    properties,
  })
  assert.deepEqual(attributes, {
    specversion: '1.0',
    id: '42',
    source: url,
    type: 'com.microsoft.azure.servicebus.message',
    time: '1970-01-01T00:00:00.000Z',
    datacontenttype: 'text/plain',
    azsequencenumber: '42',
    azsessionid: 'ann',
    azmessageid: 'm-1',
    azcorrelationid: 'c',
    azenqueuedtime: '1970-01-01T00:00:00.000Z',
    partitionkey: 'ann',
    azproptenantid: 'x',
    azpropn: '1.5',
    azpropyes: 'true',
    azpropat: '1970-01-01T00:00:00.000Z',
  })
  assert.equal(body, '{"n":1.0}')
})

test('the message id is the id where that is wished and there is one', () => {
  assert.equal(only({}, { idFrom: 'messageId' }).attributes.id, 'm-1')
  assert.equal(only({ messageId: undefined }, { idFrom: 'messageId' }).attributes.id, '42')
})

test('a CloudEvent in properties or body keeps its own names', () => {
  const core = { specversion: '1.0', id: 'e', source: '/s', type: 't' }
  const properties = Object.fromEntries(Object.entries(core).map(([name, value]) => [`cloudEvents_${name}`, value]))
  const binary = only({ properties, sessionId: 'ann' }, { extensions: { team: 'shop' } })
  assert.deepEqual(binary.attributes, { ...core, azsequencenumber: '42', azsessionid: 'ann', team: 'shop' })
  for (const contentType of ['application/cloudevents+json', undefined]) {
    const inBody = only({ contentType, body: Buffer.from(JSON.stringify({ ...core, data: 1 })) })
    assert.deepEqual(JSON.parse(inBody.body), { ...core, data: 1, azsequencenumber: '42' })
  }
})

test('raw takes a CloudEvent for data', () => {
  const body = Buffer.from('{"specversion":"1.0","id":"e","source":"/s","type":"t"}')
  assert.equal(only({ body }, { payload: 'raw' }).attributes.id, '42')
})

test('what is not what the source says it is, is said', () => {
  assert.equal(toEvents(message(), url, { ...spec, payload: 'eventgrid' }).kind, 'unreadable')
})

test('every kind of AMQP body becomes bytes', () => {
  const texts = [undefined, 'é', Buffer.from('x'), [Buffer.from('a'), Buffer.from('b')], [1, 2n], { at: 1 }, false]
  assert.deepEqual(
    texts.map(one => Buffer.from(bytesOf(one)).toString()),
    ['', 'é', 'x', 'ab', '[1,"2"]', '{"at":1}', 'false'],
  )
})

const properties = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.anything()))

test('whatever a message holds, its events are valid, and the same at every delivery', () => {
  fc.assert(
    fc.property(
      properties,
      fc.uint8Array(),
      fc.option(fc.string(), { nil: undefined }),
      fc.string(),
      (given, body, text, id) => {
        const one = message({
          properties: given,
          body,
          contentType: text,
          correlationId: text,
          sessionId: id,
          messageId: id,
        })
        const read = toEvents(one, url, spec)
        assert.ok(read.kind === 'events')
        for (const event of read.events) {
          assert.equal(attributesFault(event.attributes), undefined)
          assert.ok(Object.keys(event.attributes).every(isAttributeName))
        }
        assert.deepEqual(toEvents({ ...one, deliveries: 7 }, url, spec), read)
      },
    ),
  )
})
