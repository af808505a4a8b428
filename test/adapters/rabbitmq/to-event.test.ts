import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RABBITMQ_EVENT_TYPE, randomId, toEvent } from '../../../adapters/rabbitmq/to-event.ts'
import type { RabbitMessage } from '../../../clients/rabbitmq/message.ts'
import { eventData, readHttpEvent, writeHttpEvent } from '../../../event/http.ts'

const SOURCE = '/apis/v1/namespaces/shop/rabbitmqsources/orders#q'
const from = { source: SOURCE, newId: () => 'new', extensions: {} }

function messageOf(changes: Partial<RabbitMessage> = {}): RabbitMessage {
  const nothing = { contentType: undefined, messageId: undefined, timestampMs: undefined, headers: {} }
  return { ...nothing, body: Buffer.from('{"n":1}'), ...changes }
}

function eventOf(changes: Partial<RabbitMessage>, redelivered = false) {
  return toEvent({ message: messageOf(changes), redelivered }, from)
}

test('a plain message is wrapped as Knative wraps it', () => {
  const given = {
    contentType: 'application/json',
    messageId: 'm-1',
    timestampMs: 1_767_225_600_000,
    headers: { 'x-a': 'b' },
  }
  const event = eventOf(given)
  assert.equal(event.mode, 'binary')
  assert.deepEqual(
    { ...event.attributes },
    {
      specversion: '1.0',
      id: 'm-1',
      source: SOURCE,
      type: RABBITMQ_EVENT_TYPE,
      subject: 'm-1',
      time: '2026-01-01T00:00:00.000Z',
      datacontenttype: 'application/json',
    },
  )
})

test('without a message id every delivery gets one of its own, and says so where it is not the first', () => {
  assert.equal(eventOf({}).attributes.id, 'new')
  assert.equal(eventOf({}).attributes.redelivered, undefined)
  assert.equal(eventOf({}, true).attributes.redelivered, 'true')
  assert.equal(eventOf({ messageId: 'm' }, true).attributes.redelivered, undefined)
})

test('random ids are UUIDs of version 4', () => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })), dice => {
      const id = randomId(() => Number(dice.next().value))
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    }),
  )
})

const ATTRIBUTES = { specversion: '1.0', id: 'e', source: '/s', type: 't', team: 'größer' }
for (const prefix of ['cloudEvents:', 'cloudEvents_', 'ce-', 'ce_', '']) {
  test(`headers with the prefix ${JSON.stringify(prefix)} make an event in binary mode, and it keeps its id and source`, () => {
    const named = Object.entries(ATTRIBUTES).map(([name, value]) => [prefix + name, value])
    const headers = { 'x-death': 'y', traceparent: '00-…', ...Object.fromEntries(named) }
    const { attributes, mode } = eventOf({ headers, contentType: 'text/plain', messageId: 'm-1' })
    assert.deepEqual([mode, { ...attributes }], ['binary', { ...ATTRIBUTES, datacontenttype: 'text/plain' }])
  })
}

test('an event without a source gets that of the queue, and plain headers without one are no event', () => {
  const { source: _, ...headers } = ATTRIBUTES
  const prefixed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [`ce-${name}`, value]))
  assert.equal(eventOf({ headers: prefixed }).attributes.source, SOURCE)
  assert.equal(eventOf({ headers: prefixed }).attributes.type, 't')
  assert.equal(eventOf({ headers }).attributes.type, RABBITMQ_EVENT_TYPE)
})

test('a content type of CloudEvents makes an event in structured mode, every byte kept', () => {
  const body = Buffer.from('{"specversion" : "1.0","id":"e","source":"/s","type":"t","data":{"n":1.0}}')
  const event = eventOf({ contentType: 'application/cloudevents+json; charset=utf-8', body })
  assert.equal(event.mode, 'structured')
  assert.equal(event.attributes.id, 'e')
  assert.equal(Buffer.from(eventData(event).bytes).toString(), '{"n":1.0}')
})

test('what claims to be a CloudEvent and is none is wrapped, and claims it no longer', () => {
  for (const [text, type] of [
    ['{"id":"e"}', 'application/json'],
    ['not json', 'application/octet-stream'],
  ]) {
    const event = eventOf({ contentType: 'application/cloudevents+json', body: Buffer.from(text ?? '') })
    assert.deepEqual([event.attributes.type, event.attributes.datacontenttype], [RABBITMQ_EVENT_TYPE, type])
  }
})

test('extensions of the source are added to every event', () => {
  const extended = { ...from, extensions: { region: 'eu' } }
  const event = toEvent({ message: messageOf(), redelivered: false }, extended)
  assert.equal(event.attributes.region, 'eu')
})

test('every message becomes an event that a Broker can read, with its bytes whole', () => {
  const text = fc.string({ unit: 'binary' }).map(one => one.toWellFormed())
  const names = fc.oneof(
    text,
    fc.constantFrom('ce-id', 'ce-specversion', 'ce-type', 'ce_source', 'id', 'specversion', 'type', 'source'),
  )
  const message = fc.record({
    body: fc.uint8Array(),
    contentType: fc.option(
      fc.oneof(text.filter(Boolean), fc.constantFrom('application/cloudevents+json', 'text/plain')),
      { nil: undefined },
    ),
    messageId: fc.option(text.filter(Boolean), { nil: undefined }),
    timestampMs: fc.option(fc.integer({ min: 1, max: 4_102_444_800_000 }), { nil: undefined }),
    headers: fc.dictionary(names, text),
  })
  fc.assert(
    fc.property(message, fc.boolean(), (message, redelivered) => {
      const event = toEvent({ message, redelivered }, from)
      const { headers, body } = writeHttpEvent(event, undefined)
      assert.equal(readHttpEvent(headers, body).kind, 'event')
      if (event.mode === 'binary') assert.deepEqual(Buffer.from(body), Buffer.from(message.body))
    }),
    { numRuns: 1_000 },
  )
})
