import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Payload, readPayload } from '../../adapters/payload.ts'
import { attributesFault } from '../../event/attributes.ts'
import { isJson } from '../../event/json.ts'

const fallback = { id: 'm-1', source: 'sb://shop/orders', type: 'com.example.raw', timeMs: 0 }
const cloudEvent = '{"specversion":"1.0","id":"e-1","source":"/s","type":"t","data":{"n":1.0}}'
const gridEvent =
  '{"id":"g-1","topic":"/subscriptions/1","subject":"a/b","eventType":"Blob.Created","eventTime":"2026-11-01T10:00:00.1234567Z",' +
  '"dataVersion":"2","metadataVersion":"1","data": {"big":12345678901234567890,"n":1.0}}'

function read(text: string, payload: Payload = 'auto') {
  const found = readPayload(Buffer.from(text), payload, fallback)
  assert.equal(found.kind, 'events', JSON.stringify(found))
  return found.kind === 'events' ? found.events : []
}

function reason(text: string, payload: Payload): string {
  const found = readPayload(Buffer.from(text), payload, fallback)
  assert.equal(found.kind, 'unreadable')
  return found.kind === 'unreadable' ? found.reason : ''
}

test('a CloudEvent keeps its names and every byte', () => {
  for (const payload of ['auto', 'cloudevents'] as const) {
    const [event, ...more] = read(` ${cloudEvent}\n`, payload)
    assert.deepEqual(more, [])
    assert.equal(event?.mode, 'structured')
    assert.equal(event?.attributes.id, 'e-1')
    assert.equal(Buffer.from(event?.body ?? []).toString(), ` ${cloudEvent}\n`)
  }
})

test('an event of Event Grid becomes a CloudEvent, its data as it was written', () => {
  for (const payload of ['auto', 'eventgrid'] as const) {
    const [event] = read(gridEvent, payload)
    assert.deepEqual(
      { ...event?.attributes },
      {
        specversion: '1.0',
        id: 'g-1',
        type: 'Blob.Created',
        source: '/subscriptions/1',
        subject: 'a/b',
        time: '2026-11-01T10:00:00.1234567Z',
        dataversion: '2',
        datacontenttype: 'application/json',
      },
    )
    assert.equal(Buffer.from(event?.body ?? []).toString(), '{"big":12345678901234567890,"n":1.0}')
  }
})

test('without a topic the event of Event Grid comes from where the message came from', () => {
  const [event] = read('{"id":"1","subject":"","eventType":"t","eventTime":"2026-11-01T10:00:00Z"}', 'eventgrid')
  assert.equal(event?.attributes.source, fallback.source)
  assert.equal(event?.attributes.subject, undefined)
  assert.equal(event?.body.byteLength, 0)
})

test('a list becomes as many events, in its order and with their own ids', () => {
  const events = read(`[${gridEvent}, ${cloudEvent} ,${gridEvent.replace('g-1', 'g-2')}]`)
  assert.deepEqual(
    events.map(event => event.attributes.id),
    ['g-1', 'e-1', 'g-2'],
  )
  assert.equal(Buffer.from(events[1]?.body ?? []).toString(), cloudEvent)
})

test('a list with one element that is no event is data as a whole', () => {
  for (const text of [`[${cloudEvent},1]`, '[]', '[1,2]', `[${cloudEvent},{"id":"x"}]`]) {
    const [event, ...more] = read(text)
    assert.deepEqual(more, [])
    assert.equal(event?.attributes.id, 'm-1')
    assert.equal(event?.attributes.datacontenttype, 'application/json')
    assert.equal(Buffer.from(event?.body ?? []).toString(), text)
  }
})

test('what is not what it is said to be is told, and not quoted', () => {
  assert.match(reason('secret', 'cloudevents'), /no JSON object/)
  assert.match(reason('{"id":"secret"}', 'cloudevents'), /no CloudEvent: specversion/)
  assert.match(reason(cloudEvent, 'eventgrid'), /no event of Event Grid/)
  assert.match(reason(gridEvent, 'cloudevents'), /no CloudEvent/)
  assert.match(reason(`[${gridEvent},{}]`, 'eventgrid'), /event 1 of the list/)
  assert.match(reason('[]', 'eventgrid'), /empty list/)
  assert.match(reason(gridEvent.replace('10:00:00.1234567Z', 'noon'), 'eventgrid'), /time/)
})

test('raw takes everything as data, under the names of the message', () => {
  const [event] = read(cloudEvent, 'raw')
  assert.deepEqual(
    { ...event?.attributes },
    {
      specversion: '1.0',
      id: 'm-1',
      source: 'sb://shop/orders',
      type: 'com.example.raw',
      time: '1970-01-01T00:00:00.000Z',
      datacontenttype: 'application/json',
    },
  )
})

test('the type of data is what the system says it is, and otherwise what it looks like', () => {
  const typeOf = (body: Buffer, contentType?: string) => {
    const found = readPayload(body, 'raw', { ...fallback, contentType })
    return found.kind === 'events' ? found.events[0]?.attributes.datacontenttype : undefined
  }
  assert.equal(typeOf(Buffer.from('{}'), 'text/xml'), 'text/xml')
  assert.equal(typeOf(Buffer.from('{}'), 'no type'), 'application/json')
  assert.equal(typeOf(Buffer.from('{}')), 'application/json')
  assert.equal(typeOf(Buffer.from('hé')), 'text/plain; charset=utf-8')
  assert.equal(typeOf(Buffer.from([0xff])), 'application/octet-stream')
  assert.equal(typeOf(Buffer.alloc(0)), undefined)
})

const json = fc.oneof(
  fc.json(),
  fc.json().map(text => `[${text}]`),
  fc.constantFrom(cloudEvent, gridEvent),
)
const damaged = fc
  .tuple(fc.constantFrom(cloudEvent, gridEvent, `[${gridEvent},${cloudEvent}]`), fc.nat(), fc.string())
  .map(([text, at, junk]) => text.slice(0, at % text.length) + junk + text.slice((at % text.length) + 1))
const bodies = fc.oneof(
  json.map(text => Buffer.from(text)),
  damaged.map(text => Buffer.from(text)),
  fc.uint8Array(),
)
const payloads = fc.constantFrom<Payload>('auto', 'cloudevents', 'eventgrid', 'raw')

test('whatever the body holds, there is at least one valid event, or a reason', () => {
  fc.assert(
    fc.property(bodies, payloads, (body, payload) => {
      const found = readPayload(body, payload, fallback)
      if (found.kind === 'unreadable')
        return assert.ok(found.reason.length > 0 && payload !== 'auto' && payload !== 'raw')
      assert.ok(found.events.length > 0)
      for (const event of found.events) {
        assert.equal(attributesFault(event.attributes), undefined)
        if (event.attributes.datacontenttype === 'application/json') assert.ok(isJson(event.body))
      }
    }),
    { numRuns: 500 },
  )
})

test('no part of a body is lost where it is taken as data', () => {
  fc.assert(
    fc.property(bodies, body => {
      const found = readPayload(body, 'raw', fallback)
      assert.deepEqual(found.kind === 'events' && found.events.map(event => Buffer.from(event.body)), [
        Buffer.from(body),
      ])
    }),
  )
})

test('a type of CloudEvents on what is none is not passed on: every receiver would refuse it', () => {
  for (const contentType of ['application/cloudevents+json', 'Application/CloudEvents; x=1']) {
    const found = readPayload(Buffer.from('{"id": 1}'), 'auto', { ...fallback, contentType })
    assert(found.kind === 'events')
    assert.equal(found.events[0]?.attributes.datacontenttype, 'application/json')
  }
})
