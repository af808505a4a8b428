import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type FromTopic, toEvent } from '../../../adapters/kafka/to-event.ts'
import type { KafkaRecord } from '../../../clients/kafka/group.ts'
import type { CloudEvent } from '../../../event/event.ts'
import { eventData, readHttpEvent, writeHttpEvent } from '../../../event/http.ts'
import { toRecord } from '../../../sinks/kafka/to-record.ts'

const at = { topic: 'orders', partition: 3 }
const timestampMs = Date.UTC(2026, 10, 25, 2, 58, 41, 7)

function record(given: {
  key?: Uint8Array | string
  value?: Uint8Array | string
  headers?: Record<string, string | Uint8Array>
}): KafkaRecord {
  const bytes = (text: Uint8Array | string | undefined) => (text === undefined ? undefined : Buffer.from(text))
  const headers = new Map(Object.entries(given.headers ?? {}).map(([name, text]) => [name, Buffer.from(text)]))
  return { offset: 17n, next: 18n, timestampMs, key: bytes(given.key), value: bytes(given.value), headers }
}

function eventOf(given: Parameters<typeof record>[0], changes: Partial<FromTopic> = {}): CloudEvent {
  const source = '/apis/v1/namespaces/shop/kafkasources/in'
  return toEvent(record(given), at, { source, keyType: 'string', extensions: {}, ...changes })
}

test('a record becomes an event that names its place', () => {
  const event = eventOf(
    {
      key: 'k-1',
      value: '{"n":1}',
      headers: { 'content-type': 'Application/JSON', 'X-Trace_Id': 'abc', '!!': 'no name' },
    },
    { extensions: { region: 'eu' } },
  )
  assert.equal(event.mode, 'binary')
  assert.deepEqual(
    { ...event.attributes },
    {
      specversion: '1.0',
      id: 'partition:3/offset:17',
      source: '/apis/v1/namespaces/shop/kafkasources/in#orders',
      type: 'dev.knative.kafka.event',
      subject: 'partition:3#17',
      time: '2026-11-25T02:58:41.007Z',
      datacontenttype: 'application/json',
      kafkaheaderxtraceid: 'abc',
      key: 'k-1',
      partitionkey: 'k-1',
      knativekafkapartition: '3',
      knativekafkaoffset: '17',
      region: 'eu',
    },
  )
  assert.equal(Buffer.from(event.body).toString(), '{"n":1}')
})

test('a record without anything is an event too', () => {
  const { attributes, body } = eventOf({})
  assert.equal(body.byteLength, 0)
  assert.ok(!('key' in attributes || 'partitionkey' in attributes || 'datacontenttype' in attributes))
  const bare = toEvent({ ...record({ key: '' }), timestampMs: undefined }, at, {
    source: '/s',
    keyType: 'int',
    extensions: {},
  })
  assert.ok(!('time' in bare.attributes || 'key' in bare.attributes))
})

test('a key is what the source says, and text where it cannot be', () => {
  const four = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value)
    return bytes
  }
  const float = Buffer.alloc(4)
  float.writeFloatBE(1.1)
  const double = Buffer.alloc(8)
  double.writeDoubleBE(-2.5e-3)
  const keyOf = (key: Uint8Array | string, keyType: FromTopic['keyType']) =>
    eventOf({ key }, { keyType }).attributes.key
  assert.equal(keyOf(four(-7), 'int'), '-7')
  assert.equal(keyOf('12345', 'int'), '12345')
  assert.equal(keyOf(float, 'float'), '1.1')
  assert.equal(keyOf(double, 'float'), '-0.0025')
  assert.equal(keyOf('abc', 'float'), 'abc')
  assert.equal(keyOf('abc', 'byte-array'), 'YWJj')
  assert.equal(keyOf(Buffer.from([0xff, 0xfe]), 'string'), '//4=')
  assert.equal(keyOf('a\nb', 'string'), 'a%0Ab')
})

test('a CloudEvent keeps its attributes and bytes, in binary mode', () => {
  const headers = {
    ce_specversion: '1.0',
    ce_id: 'a',
    ce_source: '/s',
    ce_type: 't',
    ce_more: 'ü',
    'content-type': 'text/plain',
  }
  const { attributes, body } = eventOf({ key: 'k', value: 'x', headers })
  assert.deepEqual(
    { ...attributes },
    {
      ...{ specversion: '1.0', id: 'a', source: '/s', type: 't', more: 'ü', datacontenttype: 'text/plain' },
      ...{ knativekafkapartition: '3', knativekafkaoffset: '17' },
    },
  )
  assert.equal(Buffer.from(body).toString(), 'x')
})

test('a CloudEvent keeps its attributes and data, in structured mode', () => {
  const value = '{"specversion":"1.0","id":"a","source":"/s","type":"t","data":{"big":12345678901234567890}}'
  const event = eventOf({ value, headers: { 'Content-Type': 'APPLICATION/CloudEvents+json; charset=utf-8' } })
  assert.equal(event.mode, 'structured')
  assert.deepEqual([event.attributes.id, event.attributes.knativekafkaoffset], ['a', '17'])
  assert.match(Buffer.from(event.body).toString(), /"data":\{"big":12345678901234567890\}/)
})

test('what claims to be a CloudEvent and is none is wrapped like any other', () => {
  const structured = eventOf({ value: '{"id":1}', headers: { 'content-type': 'application/cloudevents+json' } })
  assert.deepEqual(
    [structured.attributes.id, structured.attributes.datacontenttype],
    ['partition:3/offset:17', 'application/json'],
  )
  const binary = eventOf({ value: 'x', headers: { ce_specversion: '1.0', ce_id: 'a' } })
  assert.deepEqual([binary.attributes.id, binary.attributes.kafkaheaderceid], ['partition:3/offset:17', 'a'])
})

const texts = fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array({ maxLength: 40 }))
const names = fc.oneof(
  fc.string(),
  fc.constantFrom('content-type', 'ce_id', 'ce_specversion', 'ce_type', 'ce_source', '__proto__'),
)

test('whatever a record holds, its event can be sent, and its data arrives byte for byte', () => {
  const keyTypes = fc.constantFrom<FromTopic['keyType']>('string', 'int', 'float', 'byte-array')
  const headers = fc.array(fc.tuple(names, texts), { maxLength: 6 })
  fc.assert(
    fc.property(texts, texts, headers, keyTypes, (key, value, headers, keyType) => {
      const given = {
        ...record({ key, value }),
        headers: new Map(headers.map(([name, text]) => [name, Buffer.from(text)])),
      }
      const event = toEvent(given, at, { source: '/s', keyType, extensions: { a: 'b' } })
      const { headers: rawHeaders, body } = writeHttpEvent(event, undefined)
      const read = readHttpEvent(rawHeaders, body)
      assert.ok(read.kind === 'event', JSON.stringify(read))
      assert.equal(read.event.attributes.knativekafkaoffset, '17')
      if (event.mode === 'binary') assert.deepEqual(Buffer.from(read.event.body), Buffer.from(value))
    }),
  )
})

test('what a sink writes, a source reads', () => {
  const attributes = {
    specversion: '1.0',
    id: 'é 1',
    source: '/s',
    type: 't',
    partitionkey: 'p',
    datacontenttype: 'application/json',
  }
  const event: CloudEvent = { mode: 'binary', attributes, body: Buffer.from('{"a":1}') }
  for (const mode of ['binary', 'structured'] as const) {
    const { key, value, headers } = toRecord(event, mode)
    assert.equal(key, 'p')
    const back = eventOf({ headers, ...(key && { key }), ...(value && { value }) })
    assert.equal(back.mode, mode)
    const { knativekafkapartition, knativekafkaoffset, ...rest } = back.attributes
    assert.deepEqual(rest, attributes)
    assert.deepEqual([knativekafkapartition, knativekafkaoffset], ['3', '17'])
    assert.equal(Buffer.from(eventData(back).bytes).toString(), '{"a":1}')
  }
  assert.equal(toRecord({ ...event, body: new Uint8Array() }, 'binary').value, undefined)
})
