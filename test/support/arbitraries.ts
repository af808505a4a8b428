import fc from 'fast-check'
import type { Filter } from '../../contract/filter.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'

/** Any text that an attribute may carry (CloudEvents 1.0 §3.2): all of Unicode but controls and noncharacters. */
export const attributeValues = fc
  .oneof(
    { weight: 4, arbitrary: fc.string({ unit: 'binary' }) },
    { weight: 2, arbitrary: fc.string({ unit: fc.constantFrom('%', '"', '\\', ' ', '2', '5', 'é', '😀', 'a') }) },
    { weight: 1, arbitrary: fc.constantFrom('5', 'true', '1.0', '', '%25', '"a"', '%e2%82%ac', '-0', 'null') },
  )
  .map(text => text.replace(/[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}]/gu, '~'))

export const attributeNames = fc
  .oneof(
    fc.string({ unit: fc.constantFrom(...'abcxyz019'), minLength: 1, maxLength: 24 }),
    fc.constantFrom('constructor', 'tostring', 'partitionkey', 'traceparent', 'knativebrokerttl', '1'),
  )
  .filter(name => !NAMED.has(name))

const NAMED = new Set([
  'data',
  'specversion',
  'datacontenttype',
  'time',
  'subject',
  'dataschema',
  'id',
  'source',
  'type',
])

/** RFC 3339, of any precision and offset. */
export const timestamps = fc
  .tuple(
    fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }),
    fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 12 }),
    fc.constantFrom('Z', 'z', '+00:00', '-08:30', '+14:00'),
  )
  .map(([date, fraction, offset]) => `${date.toISOString().slice(0, 19)}${fraction && `.${fraction}`}${offset}`)

const required = attributeValues.map(text => text || 'x')
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined })

/** Attributes of a legal event, `datacontenttype` apart. */
export const attributeMaps: fc.Arbitrary<Record<string, string>> = fc
  .record({
    specversion: fc.constantFrom('1.0', '1.0', '1.0', '0.3'),
    id: required,
    source: required,
    type: required,
    time: optional(timestamps),
    subject: optional(required),
    extensions: fc.dictionary(attributeNames, attributeValues, { maxKeys: 5 }),
  })
  .map(({ extensions, ...named }) => withoutUndefined({ ...named, ...extensions }))

/** JSON as somebody wrote it: numbers that a parser would change, white space, escapes, names that come twice. */
export const jsonTexts = fc.oneof(
  { weight: 4, arbitrary: fc.json({ maxDepth: 5 }) },
  { weight: 2, arbitrary: fc.json({ maxDepth: 3 }).map(text => JSON.stringify(JSON.parse(text), undefined, '\t')) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '12345678901234567890',
      '{"price":1.0,"big":1e400,"small":-0}',
      '{ "a" : 1 ,\r\n "a" : 2 }',
      '[1.10,2E+3,\t0.1e-7]',
      '"\\u0041\\/\\ud83d\\ude00 \\ud800"',
      '"€ 😀"',
      'null',
      'false',
      '""',
      '0',
      '{}',
    ),
  },
)

const jsonTypes = fc.constantFrom(
  'application/json',
  'Application/JSON; charset=UTF-8',
  'application/vnd.shop+json',
  'text/json',
)
const textTypes = fc.constantFrom('text/plain', 'text/plain; charset=utf-8', 'TEXT/html;charset="UTF-8"')
const otherTypes = fc.constantFrom(
  'application/octet-stream',
  'application/xml',
  'text/plain; charset=utf-16',
  'image/png',
)
const bytes = fc.uint8Array({ maxLength: 64 })

/** A type and a body that go together, or do not, as they come over HTTP. */
const payloads: fc.Arbitrary<readonly [string | undefined, Uint8Array]> = fc.oneof(
  fc.tuple(jsonTypes, jsonTexts.map(encoded)),
  fc.tuple(textTypes, fc.string({ unit: 'binary' }).map(encoded)),
  fc.tuple(fc.oneof(jsonTypes, textTypes, otherTypes), bytes),
  fc.tuple(fc.constant(undefined), bytes),
)

export const binaryEvents: fc.Arbitrary<CloudEvent> = fc
  .tuple(attributeMaps, payloads)
  .map(([attributes, [datacontenttype, body]]) => ({
    mode: 'binary',
    attributes: bare(withoutUndefined({ ...attributes, datacontenttype })),
    body,
  }))

/** An envelope, with what it stands for beside it. */
export interface Envelope {
  readonly text: string
  readonly attributes: Readonly<Record<string, string>>
  /** The text of the member `data`, undefined where there is none. */
  readonly data: string | undefined
}

const gaps = fc.constantFrom('', '', ' ', '\n\t', '\r\n  ')
/** Envelopes with JSON data, as different writers write them: order, white space, escaped names, typed extensions. */
export const jsonEnvelopes: fc.Arbitrary<Envelope> = fc
  .record({
    attributes: attributeMaps,
    datacontenttype: fc.option(jsonTypes, { nil: undefined }),
    data: fc.option(jsonTexts, { nil: undefined }),
    numbers: fc.dictionary(attributeNames, fc.oneof(fc.integer(), fc.boolean()), { maxKeys: 2 }),
    nulls: fc.array(attributeNames, { maxLength: 2 }),
    escaped: fc.boolean(),
    gap: gaps,
    seed: fc.integer(),
  })
  .map(({ attributes, datacontenttype, data, numbers, nulls, escaped, gap, seed }) => {
    const strings = withoutUndefined({ ...attributes, datacontenttype })
    const members = new Map<string, string>()
    for (const [name, value] of Object.entries(strings)) members.set(name, JSON.stringify(value))
    for (const [name, value] of Object.entries(numbers)) members.set(name, String(value))
    for (const name of nulls) if (!members.has(name)) members.set(name, 'null')
    const seen = bare({ ...strings, ...Object.fromEntries(Object.entries(numbers).map(([k, v]) => [k, String(v)])) })
    if (data !== undefined) members.set('data', data)
    const entries = [...members].toSorted(([a], [b]) => scatter(a, seed) - scatter(b, seed))
    const parts = entries.map(([name, value]) => `${gap}${quoted(name, escaped)}${gap}:${gap}${value}${gap}`)
    return { text: `${gap}{${parts.join(',')}}${gap}`, attributes: seen, data }
  })

/** A null-prototype copy, as events have it. */
export function bare(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.assign(noAttributes(), record)
}

export function encoded(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function quoted(name: string, escaped: boolean): string {
  const first = name.charCodeAt(0).toString(16).padStart(4, '0')
  return escaped ? `"\\u${first}${name.slice(1)}"` : `"${name}"`
}

function scatter(name: string, seed: number): number {
  let hash = seed | 0
  for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  return hash
}

function withoutUndefined(record: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(record).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return Object.fromEntries(entries)
}

const fewNames = fc.constantFrom('type', 'source', 'subject', 'ext')
const fewValues = fc.constantFrom('a', 'b', 'ab', 'ba', 'aba')
const wanted = fc.dictionary(fewNames, fc.oneof({ weight: 9, arbitrary: fewValues }, fc.constant('')), {
  maxKeys: 2,
  noNullPrototype: true,
})

/** Events of few attributes and few values, so that filters of the same few often match. */
export const smallEvents: fc.Arbitrary<CloudEvent> = fc
  .record({ type: fewValues, source: fewValues }, { requiredKeys: ['type', 'source'] })
  .chain(named =>
    fc.dictionary(fc.constantFrom('subject', 'ext'), fewValues).map(rest => ({
      mode: 'binary' as const,
      attributes: bare({ specversion: '1.0', id: '1', ...named, ...rest }),
      body: new Uint8Array(),
    })),
  )

const filters = fc.letrec<{ filter: Filter }>(tie => ({
  filter: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ exact: wanted }),
    fc.record({ attributes: wanted }),
    fc.record({ prefix: wanted }),
    fc.record({ suffix: wanted }),
    fc.record({ all: fc.array(tie('filter'), { maxLength: 3 }) }),
    fc.record({ any: fc.array(tie('filter'), { maxLength: 3 }) }),
    fc.record({ not: tie('filter') }),
  ),
})).filter

export const filterLists: fc.Arbitrary<readonly Filter[]> = fc.array(filters, { maxLength: 3 })
