import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toEvents } from '../../../adapters/azure-event-hubs/to-event.ts'
import type { HubEvent } from '../../../clients/azure-event-hubs/hub.ts'
import { readHttpEvent, writeHttpEvent } from '../../../event/http.ts'

const place = { url: 'sb://acme.servicebus.windows.net/orders', partition: '3' }
const enqueuedMs = Date.UTC(2026, 10, 25, 2, 58, 41)

function hubEvent(body: string | Uint8Array, more: Partial<HubEvent> = {}): HubEvent {
  return {
    sequence: 42,
    offset: '4200',
    enqueuedMs,
    partitionKey: undefined,
    messageId: undefined,
    correlationId: undefined,
    contentType: undefined,
    properties: {},
    body: Buffer.from(body),
    ...more,
  }
}

type Payload = 'auto' | 'cloudevents' | 'eventgrid' | 'raw'
const read = (event: HubEvent, payload: Payload = 'auto', extensions: Record<string, string> = {}) =>
  toEvents(event, place, { payload, extensions })

test('data becomes an event named by its place, with what stood beside it', () => {
  const more = {
    partitionKey: 'k',
    messageId: 'm-1',
    correlationId: 'c-1',
    properties: { 'Order-Kind': 'big', n: 7, skipped: null, bad: 'a\nb' },
  }
  const { events, unread } = read(hubEvent('{"n":1.0}', more), 'auto', { team: 'shop' })
  assert.equal(unread, undefined)
  assert.deepEqual(
    events.map(one => ({ ...one.attributes })),
    [
      {
        specversion: '1.0',
        id: 'partition:3/sequencenumber:42',
        source: place.url,
        type: 'com.microsoft.azure.eventhub.message',
        time: '2026-11-25T02:58:41.000Z',
        datacontenttype: 'application/json',
        azsequencenumber: '42',
        azenqueuedtime: '2026-11-25T02:58:41.000Z',
        azmessageid: 'm-1',
        azcorrelationid: 'c-1',
        azproporderkind: 'big',
        azpropn: '7',
        partitionkey: 'k',
        team: 'shop',
      },
    ],
  )
})

test('a CloudEvent in either mode keeps its own names, and its own partition key', () => {
  const properties = {
    'cloudEvents:id': 'e-1',
    cloudEvents_source: '/s',
    cloudEvents_type: 't',
    cloudEvents_specversion: '1.0',
  }
  const own = { ...properties, cloudEvents_partitionkey: 'mine' }
  const [binary] = read(hubEvent('x', { properties: own, contentType: 'text/plain', partitionKey: 'k' })).events
  assert.deepEqual(
    [binary?.attributes.id, binary?.attributes.source, binary?.attributes.partitionkey],
    ['e-1', '/s', 'mine'],
  )
  const json = '{"specversion":"1.0","id":"e-2","source":"/s","type":"t","data":1.0}'
  for (const contentType of ['application/cloudevents+json', undefined]) {
    const [structured] = read(hubEvent(json, { contentType })).events
    assert.equal(structured?.attributes.id, 'e-2')
    assert.match(String(Buffer.from(structured?.body ?? [])), /"data":1\.0/)
  }
})

const gridEvent = (id: string) =>
  `{"id":"${id}","topic":"/t","subject":"s","eventType":"Made","eventTime":"2026-01-01T00:00:00Z","data":{}}`

test('a list, as Event Grid writes them into a hub, becomes its events in their order', () => {
  const { events } = read(hubEvent(`[${gridEvent('g-1')},${gridEvent('g-2')}]`))
  assert.deepEqual(
    events.map(one => [one.attributes.id, one.attributes.azsequencenumber]),
    [
      ['g-1', '42'],
      ['g-2', '42'],
    ],
  )
})

test('what is not what it is said to be is passed on as data, with the reason', () => {
  const unread: readonly [HubEvent, Payload][] = [
    [hubEvent('no json'), 'cloudevents'],
    [hubEvent('{"specversion":"1.0"}'), 'eventgrid'],
    [hubEvent('x', { properties: { cloudEvents_specversion: '1.0' } }), 'auto'],
    [hubEvent('{', { contentType: 'application/cloudevents+json' }), 'auto'],
  ]
  for (const [event, payload] of unread) {
    const found = read(event, payload)
    assert.ok(found.unread !== undefined && found.unread !== '')
    assert.deepEqual(
      found.events.map(one => one.attributes.id),
      ['partition:3/sequencenumber:42'],
    )
    assert.deepEqual(Buffer.from(found.events[0]?.body ?? []), event.body)
  }
})

test('raw is never looked into', () => {
  const [event] = read(hubEvent(gridEvent('g-1')), 'raw').events
  assert.equal(event?.attributes.id, 'partition:3/sequencenumber:42')
})

test('whatever lies in a hub becomes events that a Broker can read', () => {
  const values = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean(), fc.date(), fc.constant(null))
  const hubEvents = fc.record({
    body: fc.oneof(
      fc.uint8Array(),
      fc.json().map(text => Buffer.from(text)),
    ),
    properties: fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('cloudEvents_id', 'cloudEvents:specversion')),
      values,
    ),
    contentType: fc.option(fc.oneof(fc.string(), fc.constant('application/cloudevents+json')), { nil: undefined }),
    partitionKey: fc.option(fc.string({ unit: 'binary' }), { nil: undefined }),
    messageId: fc.option(fc.string({ unit: 'binary' }), { nil: undefined }),
    payload: fc.constantFrom<Payload>('auto', 'cloudevents', 'eventgrid', 'raw'),
  })
  fc.assert(
    fc.property(hubEvents, ({ payload, body, ...more }) => {
      const { events } = read(hubEvent(body, more), payload)
      assert.ok(events.length > 0)
      for (const event of events) {
        const { headers, body: sent } = writeHttpEvent(event, undefined)
        const back = readHttpEvent(headers, sent)
        assert.equal(back.kind, 'event', JSON.stringify(back))
      }
    }),
  )
})
