import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toEvents } from '../../../adapters/azure-storage-queue/to-event.ts'
import { eventData, readHttpEvent, writeHttpEvent } from '../../../event/http.ts'

type Encoding = Parameters<typeof toEvents>[2]['encoding']

const url = 'https://acme.queue.core.windows.net/orders'
const insertedMs = Date.UTC(2026, 10, 25, 2, 58, 41)
const base64 = (text: string | Uint8Array) => Buffer.from(text).toString('base64')

function messageOf(text: string, dequeueCount = 1) {
  return { id: '09ac86f6-0c07-495d-8c99-e7f1a94a5ef3', receipt: 'r', text, dequeueCount, insertedMs }
}

function eventOf(text: string, encoding: Encoding = 'auto', extensions: Record<string, string> = {}) {
  const read = toEvents(messageOf(text), url, { encoding, payload: 'auto', extensions })
  assert(read.kind === 'events' && read.events.length === 1)
  const [event] = read.events
  assert(event !== undefined)
  return event
}

/** Type and data, short. */
function dataOf(text: string, encoding?: Encoding): [string | undefined, string] {
  const { attributes, body } = eventOf(text, encoding)
  return [attributes.datacontenttype, Buffer.from(body).toString('latin1')]
}

const PLAIN = 'text/plain; charset=utf-8'
const utf8 = (text: string) => Buffer.from(text).toString('latin1')

test('a message becomes an event that names the message and its queue', () => {
  const event = eventOf(base64('hellomeetup1'), 'auto', { team: 'shop' })
  assert.deepEqual(
    { ...event.attributes },
    {
      specversion: '1.0',
      id: '09ac86f6-0c07-495d-8c99-e7f1a94a5ef3',
      source: url,
      type: 'com.microsoft.azure.queuestorage',
      time: '2026-11-25T02:58:41.000Z',
      datacontenttype: PLAIN,
      azdequeuecount: '1',
      team: 'shop',
    },
  )
  assert.equal(Buffer.from(event.body).toString(), 'hellomeetup1')
})

test('id and source are the same at every delivery', () => {
  const ids = [1, 2, 9].map(count => {
    const read = toEvents(messageOf('x', count), url, { encoding: 'auto', payload: 'auto', extensions: {} })
    return read.kind === 'events' ? read.events.map(one => [one.attributes.id, one.attributes.source]) : []
  })
  assert.equal(new Set(ids.map(String)).size, 1)
})

test('the content type says what the data is', () => {
  const table: [string, Encoding, [string | undefined, string]][] = [
    ['{"a":1}', 'text', ['application/json', '{"a":1}']],
    [base64('{"a":1}'), 'base64', ['application/json', '{"a":1}']],
    [base64('{"a":1}'), 'text', [PLAIN, base64('{"a":1}')]],
    ['42', 'text', ['application/json', '42']],
    ['{"a":', 'text', [PLAIN, '{"a":']],
    ['größer', 'text', [PLAIN, utf8('größer')]],
    [base64('größer'), 'base64', [PLAIN, utf8('größer')]],
    [base64(Buffer.from([0xff, 0x00])), 'base64', ['application/octet-stream', '\xff\x00']],
    ['', 'text', [undefined, '']],
    ['', 'base64', [undefined, '']],
    ['', 'auto', [undefined, '']],
  ]
  for (const [text, encoding, expected] of table)
    assert.deepEqual(dataOf(text, encoding), expected, `${encoding} ${text}`)
})

test('where the encoding is to be guessed, base64 that gives text is decoded and plain words are left alone', () => {
  assert.deepEqual(dataOf(base64('größer')), [PLAIN, utf8('größer')])
  assert.deepEqual(dataOf(base64('line\r\nline')), [PLAIN, 'line\r\nline'])
  for (const word of ['test', 'shop2024', 'hello world', 'aGVsbG8', 'd41d8cd98f00b204e9800998ecf8427e', 'größer'])
    assert.deepEqual(dataOf(word), [PLAIN, utf8(word)])
})

test('base64 in lines is base64', () => {
  const text = `${base64('a'.repeat(57))}\r\n${base64('b'.repeat(20))}`.replace(/=/g, '')
  assert.deepEqual(dataOf(`${text}=`, 'base64'), [PLAIN, 'a'.repeat(57) + 'b'.repeat(20)])
})

test('text that is not the base64 it is said to be is unreadable', () => {
  for (const text of ['hello world', 'aGVsbG8', 'aGVsbG8=x', 'aGVsbG9=', '=', 'größer', 'aGVs bG8=', '-_-_']) {
    const read = toEvents(messageOf(text), url, { encoding: 'base64', payload: 'auto', extensions: {} })
    assert.deepEqual(read, { kind: 'unreadable', reason: 'the text is not base64, as the source says it is' }, text)
  }
})

const granted = `{"specversion" : "1.0","id":"e-1","source":"/subscriptions/1","type":"Blob.Created","big":1,"data":{"n":12345678901234567890, "x": 1.0}}`

test('a message that is a CloudEvent keeps its id, its source and every byte of its data', () => {
  for (const text of [granted, base64(granted), ` \n${granted}`]) {
    const event = eventOf(text, 'auto', { team: 'shop' })
    assert.equal(event.mode, 'structured')
    assert.equal(event.attributes.id, 'e-1')
    assert.equal(event.attributes.source, '/subscriptions/1')
    assert.equal(event.attributes.azdequeuecount, '1')
    assert.equal(event.attributes.team, 'shop')
    assert.equal(Buffer.from(eventData(event).bytes).toString(), '{"n":12345678901234567890, "x": 1.0}')
  }
})

test('what only looks like a CloudEvent is data', () => {
  const broken = [
    '{"specversion":"1.0","id":"1","source":"/s"}',
    '{"specversion":"2.0","id":"1","source":"/s","type":"t"}',
    '{"specversion":"1.0","id":"","source":"/s","type":"t"}',
    '{"id":"1","eventType":"Blob.Created","subject":"s","data":{}}',
    '[{"specversion":"1.0","id":"1","source":"/s","type":"t"},{}]',
  ]
  for (const text of broken) {
    const { attributes, body, mode } = eventOf(text)
    assert.deepEqual([mode, attributes.type], ['binary', 'com.microsoft.azure.queuestorage'])
    assert.deepEqual([attributes.datacontenttype, Buffer.from(body).toString()], ['application/json', text])
  }
})

const gridEvent = (id: string) =>
  `{"id":"${id}","topic":"/topics/1","subject":"s","eventType":"Blob.Created","eventTime":"2026-01-01T00:00:00Z","data":{"n":1.0}}`

test("an event in Event Grid's schema, and a list of them, keep their names, and each says how often it came", () => {
  const one = eventOf(base64(gridEvent('g-1')))
  assert.deepEqual(
    [one.attributes.id, one.attributes.source, one.attributes.type],
    ['g-1', '/topics/1', 'Blob.Created'],
  )
  const list = base64(`[${gridEvent('g-1')},${gridEvent('g-2')}]`)
  const read = toEvents(messageOf(list, 3), url, {
    encoding: 'auto',
    payload: 'eventgrid',
    extensions: { team: 'shop' },
  })
  assert.deepEqual(
    read.kind === 'events' &&
      read.events.map(({ attributes: { id, azdequeuecount, team } }) => [id, azdequeuecount, team]),
    [
      ['g-1', '3', 'shop'],
      ['g-2', '3', 'shop'],
    ],
  )
})

test('what is not as `payload` says is unreadable, and raw is never looked into', () => {
  const read = (payload: 'cloudevents' | 'eventgrid' | 'raw') =>
    toEvents(messageOf(granted), url, { encoding: 'text', payload, extensions: {} })
  assert.equal(read('cloudevents').kind, 'events')
  assert.equal(read('eventgrid').kind, 'unreadable')
  const raw = read('raw')
  assert.equal(raw.kind === 'events' && raw.events[0]?.attributes.type, 'com.microsoft.azure.queuestorage')
})

test('every message becomes an event that a Broker can read, with its bytes whole', () => {
  const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.json(), fc.uint8Array().map(base64))
  const encodings = fc.constantFrom<Encoding>('auto', 'text', 'base64')
  fc.assert(
    fc.property(anyText, encodings, (given, encoding) => {
      const text = given.toWellFormed()
      const read = toEvents(messageOf(text), url, { encoding, payload: 'auto', extensions: {} })
      if (read.kind === 'unreadable') return assert.equal(encoding, 'base64')
      const [event] = read.events
      assert.ok(event !== undefined && read.events.length === 1)
      const { headers, body } = writeHttpEvent(event, undefined)
      const back = readHttpEvent(headers, body)
      assert.equal(back.kind, 'event')
      if (encoding === 'text') assert.equal(Buffer.from(body).toString(), text)
      if (encoding === 'base64') assert.equal(base64(body), text.replace(/[\r\n]/g, ''))
    }),
  )
})
