import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HTTP, CloudEvent as SdkEvent } from 'cloudevents'
import fc from 'fast-check'
import { readBatch, writeBatch } from '../../event/batch.ts'
import type { CloudEvent } from '../../event/event.ts'
import { eventData, readHttpEvent, writeHttpEvent } from '../../event/http.ts'
import { encoded } from '../support/arbitraries.ts'
import { differences } from './sdk-differences.ts'

/*
 * The SDK of the CloudEvents project, 10.0.0, as a second opinion. The properties stay inside what both do alike; wherever it
 * differs from us is a row of `sdk-differences.ts`, which says why and pins both sides, so that a change of either is noticed.
 */

const names = fc
  .string({ unit: fc.constantFrom(...'abcxyz019'), minLength: 1, maxLength: 20 })
  .filter(name => !['data', 'id', 'type', 'source', 'time', 'subject', 'dataschema', 'specversion'].includes(name))
/** Of the characters that a header carries as they are: the SDK does not percent-code. No blank values: it drops them. */
const plain = fc.string({ unit: fc.constantFrom(..."abcXYZ019-._~:/?#[]@!$&'()*+,;="), minLength: 1, maxLength: 30 })
const path = plain.map(text => text.replace(/[[\]#%?]/g, ''))
/** What JSON.parse and JSON.stringify leave alone. */
const values = fc.oneof(
  fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.boolean()), { noNullPrototype: true }),
  fc.array(fc.integer()),
)
const events = fc
  .record({
    named: fc.record({ id: plain, source: path.map(text => `/${text}`), type: plain }),
    subject: fc.option(plain, { nil: undefined }),
    // In the milliseconds and the spelling that it normalises times to.
    time: fc
      .date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })
      .map(date => date.toISOString()),
    extensions: fc.dictionary(names, plain, { maxKeys: 4, noNullPrototype: true }),
    data: values,
    specversion: fc.constantFrom('1.0' as const, '0.3' as const),
    schema: fc.option(
      path.map(text => `https://x/${text}`),
      { nil: undefined },
    ),
  })
  .map(({ named, subject, time, extensions, data, specversion, schema }) => ({
    attributes: {
      ...{ specversion, ...named, time, ...(subject && { subject }), ...extensions },
      ...(schema && { [specversion === '1.0' ? 'dataschema' : 'schemaurl']: schema }),
      datacontenttype: 'application/json',
    },
    data,
  }))
type Told = typeof events extends fc.Arbitrary<infer T> ? T : never
const batches = fc.array(events, { maxLength: 5 })

const joined = (headers: readonly string[]) =>
  Object.fromEntries(headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1] ?? '']] : [])))
const flat = (headers: object) => Object.entries(headers).flatMap(([name, value]) => [name, String(value)])
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const asEvent = ({ attributes, data }: Told): CloudEvent => ({
  mode: 'binary',
  attributes,
  body: encoded(JSON.stringify(data)),
})
const asTold = (event: CloudEvent) => ({
  attributes: { ...event.attributes },
  data: JSON.parse(text(eventData(event).bytes)),
})

test('what we write, the SDK reads as the same event', () => {
  fc.assert(
    fc.property(events, fc.constantFrom('binary' as const, 'structured' as const), (told, format) => {
      const { headers, body } = writeHttpEvent(asEvent(told), format)
      const read = HTTP.toEvent({ headers: joined(headers), body: text(body) })
      const { data, ...attributes } = JSON.parse(JSON.stringify(read))
      assert.deepEqual({ attributes, data }, told)
    }),
    { numRuns: 300 },
  )
})

test('what the SDK writes, we read as the same event', () => {
  fc.assert(
    fc.property(events, fc.boolean(), (told, binary) => {
      const event = new SdkEvent({ ...told.attributes, data: told.data })
      const message = binary ? HTTP.binary(event) : HTTP.structured(event)
      const read = readHttpEvent(flat(message.headers), encoded(String(message.body)))
      assert(read.kind === 'event', JSON.stringify(read))
      assert.deepEqual(asTold(read.event), told)
    }),
    { numRuns: 300 },
  )
})

test('the batches that we write, the SDK reads as the same events', () => {
  fc.assert(
    fc.property(batches, batch => {
      const { headers, body } = writeBatch(batch.map(asEvent))
      const read = JSON.parse(JSON.stringify(HTTP.toEvent({ headers: joined(headers), body: text(body) })))
      assert.deepEqual(
        read,
        batch.map(({ attributes, data }) => ({ ...attributes, data })),
      )
    }),
    { numRuns: 200 },
  )
})

test('the envelopes that the SDK writes, put in a batch, we read as the same events', () => {
  fc.assert(
    fc.property(batches, batch => {
      const envelopes = batch.map(({ attributes, data }) => new SdkEvent({ ...attributes, data }).toString())
      const read = readBatch(encoded(`[${envelopes.join(', ')}]`))
      assert(read.kind === 'events')
      assert.deepEqual(read.events.map(asTold), batch)
    }),
    { numRuns: 200 },
  )
})

const REFUSED = 'refused'

function theirs(headers: readonly string[], body: string, at: string): unknown {
  try {
    const read = HTTP.toEvent({ headers: joined(headers), body })
    const [event] = Array.isArray(read) ? read : [read]
    const seen = event?.[at]
    if (at === 'data') return seen instanceof Uint32Array ? [...seen].join(' ') : JSON.stringify(seen)
    return seen
  } catch {
    return REFUSED
  }
}

function ours(headers: readonly string[], body: string, at: string): string | undefined {
  const read = readHttpEvent(headers, encoded(body))
  const all = read.kind === 'batch' ? readBatch(encoded(body)) : read
  const event = all.kind === 'events' ? all.events[0] : all.kind === 'event' ? all.event : undefined
  if (event === undefined) return REFUSED
  if (at !== 'data') return event.attributes[at]
  const { bytes, contentType } = eventData(event)
  return contentType === 'image/png' ? [...bytes].join(' ') : text(bytes)
}

for (const { what, headers, body, at, theirsIs, oursIs } of differences) {
  test(`the SDK differs: ${what}`, () => {
    const seen = theirs(headers, body, at)
    if (theirsIs instanceof RegExp) assert.match(String(seen), theirsIs)
    else assert.equal(seen, theirsIs)
    assert.equal(ours(headers, body, at), oursIs)
    assert.notEqual(theirsIs, oursIs, 'a row without a difference')
  })
}
