import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readAmqp, writeAmqp } from '../../event/amqp.ts'
import type { CloudEvent } from '../../event/event.ts'

const body = Buffer.from('{"n":1.0}')
const core = { specversion: '1.0', id: '1', source: '/s', type: 't' }

function prefixed(prefix: string, attributes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [prefix + name, value]))
}

function attributesOf(properties: Readonly<Record<string, unknown>>, contentType?: string): Record<string, string> {
  const read = readAmqp({ contentType, properties, body })
  assert.equal(read.kind, 'event')
  return { ...(read.kind === 'event' ? read.event.attributes : {}) }
}

for (const prefix of ['cloudEvents_', 'cloudEvents:']) {
  test(`a binary message with the prefix ${prefix} is read, its data untouched and its content type the data's`, () => {
    const properties = { ...prefixed(prefix, { ...core, shop: 'x' }), other: 'y' }
    const read = readAmqp({ contentType: 'application/json', properties, body })
    assert.ok(read.kind === 'event' && read.event.mode === 'binary')
    assert.deepEqual({ ...read.event.attributes }, { ...core, shop: 'x', datacontenttype: 'application/json' })
    assert.equal(read.event.body, body)
  })
}

test('values of native AMQP types become their canonical text', () => {
  const native = {
    time: new Date(0),
    yes: true,
    no: false,
    n: -7,
    big: 12345678901234567890n,
    bytes: Buffer.from('hi'),
  }
  const found = attributesOf(prefixed('cloudEvents_', { ...core, ...native }))
  const text = { time: '1970-01-01T00:00:00.000Z', yes: 'true', no: 'false', n: '-7' }
  assert.deepEqual(found, { ...core, ...text, big: '12345678901234567890', bytes: 'aGk=' })
})

test('a property without a value is an attribute that is not there', () => {
  assert.deepEqual(attributesOf(prefixed('cloudEvents_', { ...core, subject: null, shop: undefined })), core)
})

test('where an attribute is there under both prefixes, the underscore has the word', () => {
  const both = { ...prefixed('cloudEvents_', core), ...prefixed('cloudEvents:', { ...core, id: '2' }) }
  assert.equal(attributesOf(both).id, '1')
})

test('what has no canonical text is refused, and so are names that are no attribute', () => {
  for (const wrong of [
    { n: 1.5 },
    { n: Number.NaN },
    { at: new Date(Number.NaN) },
    { map: {} },
    { UPPER: 'x' },
    { '': 'x' },
  ]) {
    const read = readAmqp({ contentType: undefined, properties: prefixed('cloudEvents_', { ...core, ...wrong }), body })
    assert.equal(read.kind, 'invalid', JSON.stringify(wrong))
  }
})

test('a message that speaks of no CloudEvent is none', () => {
  assert.deepEqual(readAmqp({ contentType: 'application/json', properties: { id: '1' }, body }), { kind: 'none' })
})

test('in structured mode the body alone speaks', () => {
  const envelope = Buffer.from('{"specversion":"1.0","id":"e","source":"/s","type":"t","data":1.0}')
  const contentType = 'Application/CloudEvents+JSON; charset=utf-8'
  const read = readAmqp({ contentType, properties: prefixed('cloudEvents_', core), body: envelope })
  assert.ok(read.kind === 'event' && read.event.mode === 'structured')
  assert.equal(read.event.attributes.id, 'e')
  assert.equal(read.event.body, envelope)
})

const word = fc.string({
  unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789'),
  minLength: 1,
  maxLength: 20,
})
const value = fc.string({ unit: fc.constantFrom('a', 'Z', ' ', '%', 'é', '漢', '"', '=', '\\'), maxLength: 20 })
const reserved = ['data', 'specversion', 'id', 'source', 'type', 'time', 'subject', 'dataschema', 'datacontenttype']
const extensions = fc.dictionary(
  word.filter(name => !reserved.includes(name)),
  value,
  { maxKeys: 5 },
)

test('what is written in binary mode is read back as it was', () => {
  fc.assert(
    fc.property(extensions, fc.uint8Array(), (more, bytes) => {
      const event: CloudEvent = { mode: 'binary', attributes: { ...more, ...core }, body: bytes }
      const read = readAmqp(writeAmqp(event))
      assert.ok(read.kind === 'event')
      assert.deepEqual({ ...read.event.attributes }, { ...more, ...core })
      assert.deepEqual(Buffer.from(read.event.body), Buffer.from(bytes))
    }),
  )
})

test('whatever the properties hold, reading them ends in an event, a fault or nothing', () => {
  const names = fc.oneof(
    word,
    word.map(name => `cloudEvents_${name}`),
    fc.constantFrom('cloudEvents___proto__', '__proto__'),
  )
  fc.assert(
    fc.property(
      fc.option(fc.string(), { nil: undefined }),
      fc.dictionary(names, fc.anything()),
      (contentType, properties) => {
        assert.match(readAmqp({ contentType, properties, body }).kind, /^(event|invalid|none)$/)
      },
    ),
  )
})

test('an event whose data is an event is written structured in any mode, so that it is read as itself', () => {
  const attributes = { ...core, datacontenttype: 'application/cloudevents+json' }
  const event: CloudEvent = { mode: 'binary', attributes, body: Buffer.from('{"specversion":"1.0","id":"other"}') }
  for (const format of [undefined, 'binary', 'structured'] as const) {
    const read = readAmqp(writeAmqp(event, format))
    assert.deepEqual(read.kind === 'event' && { ...read.event.attributes }, attributes)
  }
})
