import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { timingOf, unreadableTime } from '../../broker/timing.ts'
import { parseCesql } from '../../contract/cesql/parse.ts'
import { compileFilters } from '../../contract/filter.ts'
import { readDataFilter } from '../../contract/filter-data.ts'
import { triggerId } from '../../contract/ids.ts'
import { parseManifest } from '../../crds/manifest.ts'
import { readBatch } from '../../event/batch.ts'
import { readEnvelope } from '../../event/envelope.ts'
import { writeFrames } from '../../event/frames.ts'
import { readHttpEvent } from '../../event/http.ts'
import { contentModeOf, isJsonType, isMediaType, isUtf8TextType } from '../../event/media-type.ts'
import { trigger } from '../support/running-broker.ts'

/** Thousands of what is nearly right, for each reader of what others write: none throws, and none takes long. */
const RUNS = 3000
const LONGEST_MS = 1000

const ENVELOPE =
  '{"specversion":"1.0","id":"é\\u00e9","source":"/s","type":"t","time":"2026-01-01T00:00:00Z","n":-1,"b":true,"data":{"a":[1,{"c":null}]}}'
const BINARY = '{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AQID","datacontenttype":"a/b"}'
const CONDITIONS = [
  'data.total > 100 && data.items.exists(i, i.sku.startsWith("A"))',
  'has(data.a) ? data.a.b[0] == 1.5 : event.type in ["x", "y"]',
  '!(data.n % 2 == 0) || size(data.s) < 10 && data.s.contains("ab")',
]
const QUERIES = [
  "type LIKE 'com.%' AND (source = '/s' OR EXISTS subject)",
  "LENGTH(id) * 2 >= -3 XOR NOT (type IN ('a', 'b\\'c'))",
  "SUBSTRING(CONCAT(id, 'x'), 1, 2) != UPPER(source)",
]
const MANIFEST = `apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: orders, namespace: shop, annotations: {weir.dev/concurrency: "3", weir.dev/backoff-max: PT1M}}
spec:
  broker: main
  filters: [{exact: {type: a}}, {cesql: "id = '1'"}, &x {not: {prefix: {source: /}}}, *x]
  delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT1S, deadLetterSink: {uri: "http://a/"}}
  subscriber:
    ref: {apiVersion: v1, kind: Service, name: s}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData:
  a: |-
    b
`
const TYPES = ['application/cloudevents+json; charset=utf-8', 'application/json;a="b\\"c"', 'text/plain', 'a/b+json']
const TIMES = [
  '2026-01-01T00:00:00.123456Z',
  '2026-12-31T23:59:60+14:00',
  'P1DT2H3.5S',
  'PT0S',
  '-P1D',
  '+275760-09-13T00:00:00Z',
]

/** One change: a place, how much of it goes, and what comes there instead, how often. */
const change = fc.record({
  at: fc.noBias(fc.integer({ min: 0, max: 999 })).map(thousandths => thousandths / 1000),
  less: fc.oneof(fc.constant(0), fc.constant(1), fc.integer({ min: 0, max: 12 })),
  piece: fc.oneof(
    fc.constantFrom(
      '"',
      "'",
      '{',
      '}',
      '[',
      ']',
      '(',
      ')',
      ',',
      ':',
      '\\',
      '\\u',
      '\0',
      '\ud800',
      '\n',
      ' ',
      '-',
      '*',
      '&',
      '%',
      '9',
    ),
    fc.constantFrom(
      '1e999',
      'null',
      '__proto__',
      'constructor',
      '!!js',
      '<<: *x',
      '\u2028',
      '\ufeff',
      '0x',
      'NOT ',
      ' && ',
      '??',
    ),
    fc.string({ maxLength: 8, unit: 'binary' }),
  ),
  times: fc.oneof(
    { weight: 9, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.integer({ min: 2, max: 3000 }) },
  ),
})

/** What often leaves the text sound, so that what is behind the parser meets mutants, too. */
const gentleChange = fc.record({
  at: fc.noBias(fc.integer({ min: 0, max: 999 })).map(thousandths => thousandths / 1000),
  less: fc.constantFrom(0, 1),
  piece: fc.constantFrom('a', '1', 'Z', '\u00e9', '\u{1f600}'),
  times: fc.constant(1),
})
const changes = fc.oneof(
  fc.array(change, { minLength: 1, maxLength: 3 }),
  fc.array(gentleChange, { minLength: 1, maxLength: 2 }),
)

/** Texts that are nearly one of these. */
function mutants(...corpus: readonly string[]): fc.Arbitrary<string> {
  return fc.tuple(fc.constantFrom(...corpus), changes).map(([seed, all]) =>
    all.reduce((text, { at, less, piece, times }) => {
      const place = Math.floor(at * text.length)
      return text.slice(0, place) + piece.repeat(times) + text.slice(place + less)
    }, seed),
  )
}

/** Runs `read` on thousands of inputs. Fails with the input that made it throw or was slow. */
function survives<T>(inputs: fc.Arbitrary<T>, read: (input: T) => void): void {
  fc.assert(
    fc.property(inputs, input => {
      const beganMs = process.cpuUsage()
      read(input)
      // The thread's own time: that others were busy is nobody's mistake.
      const { user, system } = process.cpuUsage(beganMs)
      assert.ok((user + system) / 1000 < LONGEST_MS, `it took ${(user + system) / 1000} ms`)
    }),
    { numRuns: RUNS },
  )
}

const bytes = (text: string): Uint8Array => Buffer.from(text)
const event = {
  attributes: { specversion: '1.0', id: '1', source: '/s', type: 't' },
  mode: 'binary' as const,
  body: bytes('{}'),
}
/** A character for a byte. Much of it is data, where one byte may stand for another. */
const FRAMES = Buffer.from(writeFrames([event, { ...event, body: bytes('é\0'.repeat(200)) }])).toString('latin1')

test('mutants of an envelope are events or invalid', () => {
  survives(mutants(ENVELOPE, BINARY), text => {
    assert.ok(['event', 'invalid'].includes(readEnvelope(bytes(text)).kind))
  })
})

test('mutants of a batch are events or invalid', () => {
  survives(mutants(`[${ENVELOPE},${BINARY}]`, '[]', `[${BINARY}]`), text => {
    assert.ok(['events', 'invalid'].includes(readBatch(bytes(text)).kind))
  })
})

test('mutants of frames are events or invalid', () => {
  survives(mutants(FRAMES), text => {
    assert.ok(['events', 'invalid'].includes(readBatch(Buffer.from(text, 'latin1'), 'frames').kind))
  })
})

test('mutants of headers, with any body, are read or refused', () => {
  const values = mutants('1.0', '/s', 'a%20b%C3%A9%F0%9F%98%80', '"quoted \\" text"', '2026-01-01T00:00:00Z', ...TYPES)
  const names = mutants('ce-id', 'ce-specversion', 'ce-time', 'content-type', 'traceparent', 'ce-__proto__')
  const sound = ['ce-specversion', '1.0', 'ce-id', '1', 'ce-source', '/s', 'ce-type', 't']
  const input = fc.tuple(
    fc.array(fc.tuple(names, values), { maxLength: 4 }),
    fc.boolean(),
    mutants(ENVELOPE, `[${BINARY}]`),
  )
  survives(input, ([headers, isWhole, body]) => {
    readHttpEvent([...(isWhole ? sound : []), ...headers.flat()], bytes(body))
  })
})

test('mutants of a media type are told apart without trouble', () => {
  survives(mutants(...TYPES), text => {
    for (const ask of [contentModeOf, isMediaType, isJsonType, isUtf8TextType]) ask(text)
  })
})

test('mutants of a CESQL query are queries or mistakes, and a query judges any event', () => {
  survives(mutants(...QUERIES), text => {
    parseCesql(text)
    assert.equal(typeof compileFilters([{ cesql: text }])(event), 'boolean')
  })
})

test('mutants of a condition on data are conditions or mistakes, and judge mutants of data', () => {
  const data = mutants('{"total":101,"items":[{"sku":"A1"}],"a":{"b":[1.5]},"n":3,"s":"aaab"}')
  survives(fc.tuple(mutants(...CONDITIONS), data), ([text, body]) => {
    const read = readDataFilter(text)
    const attributes = { ...event.attributes, datacontenttype: 'application/json' }
    if (read.kind === 'condition') read.judge({ ...event, attributes, body: bytes(body) })
  })
})

test('conditions judge whatever the data are', () => {
  const filters = CONDITIONS.map(data => compileFilters([{ data }]))
  survives(fc.json({ maxDepth: 6 }), text => {
    for (const passes of filters) passes({ ...event, body: bytes(text) })
  })
})

test('mutants of a manifest are resources and mistakes', () => {
  survives(mutants(MANIFEST), text => {
    const { resources, mistakes } = parseManifest(text, 'a.yaml')
    assert.ok(Array.isArray(resources) && Array.isArray(mistakes))
  })
})

test('mutants of times hold nothing back beyond what a date can say', () => {
  const route = trigger('orders', 'http://127.0.0.1:9', { deliverAfter: 'honour', expiry: 'dead-letter' })
  survives(fc.tuple(mutants(...TIMES), mutants(...TIMES)), ([deliverafter, expirytime]) => {
    const attributes = { ...event.attributes, deliverafter, expirytime }
    const lease = { trigger: triggerId('shop', 'orders'), seq: 1, event: { ...event, attributes }, hops: 255 }
    const whole = {
      ...lease,
      acceptedMs: 1_767_225_600_000,
      stage: 'subscriber' as const,
      attempt: 0,
      failure: undefined,
    }
    const timing = timingOf(whole, route, 1_767_225_600_000)
    if (timing.kind === 'later') assert.ok(Number.isSafeInteger(timing.dueMs))
    unreadableTime(whole, route)
  })
})

test('the check sees a reader that throws, and one that hangs', () => {
  const cause = (error: unknown) => (error instanceof Error ? error.cause : undefined)
  assert.throws(
    () => survives(mutants(BINARY), text => JSON.parse(text)),
    error => cause(error) instanceof SyntaxError,
  )
  const hangs = () => {
    const beganMs = process.cpuUsage()
    for (
      let used = { user: 0, system: 0 };
      used.user + used.system <= LONGEST_MS * 1000;
      used = process.cpuUsage(beganMs)
    );
  }
  assert.throws(
    () => survives(fc.constant(0), hangs),
    error => /it took/.test(String(cause(error))),
  )
})

test('what the mutants are made of is sound', () => {
  for (const text of [ENVELOPE, BINARY]) assert.equal(readEnvelope(bytes(text)).kind, 'event')
  assert.equal(readBatch(Buffer.from(FRAMES, 'latin1'), 'frames').kind, 'events')
  for (const text of TYPES) assert.equal(isMediaType(text), true, text)
  for (const text of QUERIES) assert.equal(parseCesql(text).kind, 'expression', text)
  for (const text of CONDITIONS) assert.equal(readDataFilter(text).kind, 'condition', text)
  assert.deepEqual(parseManifest(MANIFEST, 'a.yaml').mistakes, [])
})

test('mutants are of both kinds: many are still taken, and many are not', t => {
  const taken = (what: string, texts: fc.Arbitrary<string>, isTaken: (text: string) => boolean) => {
    const share = fc.sample(texts, { numRuns: 1000, seed: 1 }).filter(isTaken).length / 1000
    t.diagnostic(`${what}: ${share} are taken`)
    assert.ok(share > 0.02 && share < 0.98, `${what}: ${share} are taken`)
  }
  taken('envelope', mutants(ENVELOPE, BINARY), text => readEnvelope(bytes(text)).kind === 'event')
  taken('batch', mutants(`[${BINARY}]`), text => readBatch(bytes(text)).kind === 'events')
  taken('frames', mutants(FRAMES), text => readBatch(Buffer.from(text, 'latin1'), 'frames').kind === 'events')
  taken('media type', mutants(...TYPES), isMediaType)
  taken('CESQL', mutants(...QUERIES), text => parseCesql(text).kind === 'expression')
  taken('condition', mutants(...CONDITIONS), text => readDataFilter(text).kind === 'condition')
  taken('manifest', mutants(MANIFEST), text => parseManifest(text, 'a.yaml').mistakes.length === 0)
})
