/** One thing that the CloudEvents SDK for JavaScript, 10.0.0, does otherwise. */
export interface Difference {
  readonly what: string
  /** Why we do it our way. */
  readonly why: string
  readonly headers: readonly string[]
  readonly body: string
  /** Where it shows: an attribute by its name, or `data`. */
  readonly at: string
  /** What each of them sees there; `refused` where it takes no event. An expression where the SDK makes something up. */
  readonly theirsIs: string | number | boolean | RegExp | undefined
  readonly oursIs: string | undefined
}

const STRICT = 'what is broken is refused at the door, not handed to a subscriber that would trip over it'
const FIDELITY = 'a broker hands on what was sent'
const NO_CASE = 'media types and encodings have no case (RFC 9110 §8.3.1, RFC 2045 §6.1)'
const BINDING = 'the HTTP binding asks for it (§3.1.3.2)'

const REQUIRED = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' }
const TIME = '2026-01-01T00:00:00.123456789+01:00'
const JSON_TYPE = { 'content-type': 'application/json' }
const PNG_03 = '"datacontenttype":"image/png","datacontentencoding"'

/** A binary message; a header that is undefined is left out. */
function binary(more: Readonly<Record<string, string | undefined>>, body = '') {
  const headers = Object.entries({ ...REQUIRED, ...more }).flatMap(([name, value]) =>
    value === undefined ? [] : [name, value],
  )
  return { headers, body }
}

function envelope(members: string, version = '1.0', required = '"id":"1","source":"/s","type":"t"'): string {
  return `{"specversion":"${version}",${required}${members && `,${members}`}}`
}

function structured(body: string, contentType = 'application/cloudevents+json') {
  return { headers: ['content-type', contentType], body }
}

function batch(body: string, contentType = 'application/cloudevents-batch+json') {
  return { headers: ['content-type', contentType], body }
}

export const differences: readonly Difference[] = [
  // Binary mode.
  {
    ...{ what: 'it leaves percent-encoding', why: BINDING, ...binary({ 'ce-subject': 'a%20b' }) },
    ...{ at: 'subject', theirsIs: 'a%20b', oursIs: 'a b' },
  },
  {
    ...{ what: 'it leaves the quotes around a value', why: BINDING, ...binary({ 'ce-subject': '"a"' }) },
    ...{ at: 'subject', theirsIs: '"a"', oursIs: 'a' },
  },
  {
    ...{ what: 'it cuts a time to milliseconds, in UTC', why: FIDELITY, ...binary({ 'ce-time': TIME }) },
    ...{ at: 'time', theirsIs: '2025-12-31T23:00:00.123Z', oursIs: TIME },
  },
  {
    ...{ what: 'it makes up a time', why: FIDELITY, ...binary({}) },
    ...{ at: 'time', theirsIs: /^20\d\d-/, oursIs: undefined },
  },
  {
    ...{ what: 'it makes up a version', why: 'Knative knows a CloudEvent by ce-specversion' },
    ...{ ...binary({ 'ce-specversion': undefined }), at: 'specversion', theirsIs: '1.0', oursIs: 'refused' },
  },
  {
    ...{ what: 'it takes any version', why: STRICT, ...binary({ 'ce-specversion': '2.0' }) },
    ...{ at: 'specversion', theirsIs: '2.0', oursIs: 'refused' },
  },
  {
    ...{ what: 'it does without a source', why: STRICT, ...binary({ 'ce-source': undefined }) },
    ...{ at: 'id', theirsIs: '1', oursIs: 'refused' },
  },
  {
    ...{ what: 'it takes a time that is none', why: STRICT, ...binary({ 'ce-time': 'x' }) },
    ...{ at: 'id', theirsIs: '1', oursIs: 'refused' },
  },
  {
    ...{ what: 'it takes an empty subject for none', why: STRICT, ...binary({ 'ce-subject': '' }) },
    ...{ at: 'id', theirsIs: '1', oursIs: 'refused' },
  },
  {
    ...{ what: 'it takes names with a dash', why: STRICT, ...binary({ 'ce-foo-bar': '1' }) },
    ...{ at: 'foo-bar', theirsIs: '1', oursIs: 'refused' },
  },
  {
    ...{ what: 'it takes a relative dataschema', why: STRICT, ...binary({ 'ce-dataschema': '/x' }) },
    ...{ at: 'dataschema', theirsIs: '/x', oursIs: 'refused' },
  },
  {
    ...{ what: 'it rewrites numbers', why: FIDELITY, ...binary(JSON_TYPE, '[12345678901234567890,1.0]') },
    ...{ at: 'data', theirsIs: '[12345678901234567000,1]', oursIs: '[12345678901234567890,1.0]' },
  },
  {
    ...{ what: 'it refuses JSON data that is broken', why: 'the data is nobody’s business but the subscriber’s' },
    ...{ ...binary(JSON_TYPE, '{"a":'), at: 'data', theirsIs: 'refused', oursIs: '{"a":' },
  },

  // Structured mode.
  {
    ...{ what: 'it makes up an id', why: STRICT, ...structured(envelope('', '1.0', '"source":"/s","type":"t"')) },
    ...{ at: 'id', theirsIs: /^[0-9a-f-]{36}$/, oursIs: 'refused' },
  },
  ...['0', 'false', '""', 'null'].map(data => ({
    ...{ what: `it loses data that is ${data}`, why: FIDELITY, ...structured(envelope(`"data":${data}`)) },
    ...{ at: 'data', theirsIs: undefined, oursIs: data },
  })),
  {
    ...{ what: 'it reads a content type by its case', why: NO_CASE },
    ...structured(envelope(''), 'application/cloudevents+json; charset=UTF-8'),
    ...{ at: 'id', theirsIs: 'refused', oursIs: '1' },
  },
  {
    ...{
      what: 'it keeps a number a number',
      why: 'attributes are carried and compared as text (CloudEvents 1.0 §3.2)',
    },
    ...{ ...structured(envelope('"n":5')), at: 'n', theirsIs: 5, oursIs: '5' },
  },
  {
    ...{ what: 'it keeps a boolean a boolean', why: 'as with numbers', ...structured(envelope('"b":true')) },
    ...{ at: 'b', theirsIs: true, oursIs: 'true' },
  },
  {
    ...{ what: 'it takes fractions as attributes', why: STRICT, ...structured(envelope('"n":1.5')) },
    ...{ at: 'n', theirsIs: 1.5, oursIs: 'refused' },
  },
  {
    ...{ what: 'it takes the last of two members', why: STRICT, ...structured(envelope('"type":"u"')) },
    ...{ at: 'type', theirsIs: 'u', oursIs: 'refused' },
  },
  {
    ...{
      what: 'it takes base64 that is none for no bytes',
      why: STRICT,
      ...structured(envelope('"data_base64":"A?"')),
    },
    ...{ at: 'data', theirsIs: '', oursIs: 'refused' },
  },
  {
    ...{ what: 'it takes data twice', why: STRICT, ...structured(envelope('"data":1,"data_base64":"AA=="')) },
    ...{ at: 'data', theirsIs: '0', oursIs: 'refused' },
  },
  {
    ...{ what: 'it takes a schemaurl in 1.0 for a mistake', why: 'in 1.0 the name is free for an extension' },
    ...{ ...structured(envelope('"schemaurl":"/x"')), at: 'schemaurl', theirsIs: 'refused', oursIs: '/x' },
  },

  // 0.3.
  {
    ...{ what: 'it takes a dataschema in 0.3 for a mistake', why: 'in 0.3 the name is free for an extension' },
    ...structured(envelope('"dataschema":"/x"', '0.3')),
    ...{ at: 'dataschema', theirsIs: 'refused', oursIs: '/x' },
  },
  {
    ...{ what: 'it checks little of 0.3', why: STRICT, ...structured(envelope('', '0.3', '"id":"1","type":"t"')) },
    ...{ at: 'id', theirsIs: '1', oursIs: 'refused' },
  },
  {
    ...{ what: 'it reads an encoding by its case', why: NO_CASE },
    ...structured(envelope(`${PNG_03}:"BASE64","data":"AP8="`, '0.3')),
    ...{ at: 'data', theirsIs: '"AP8="', oursIs: '0 255' },
  },
  {
    ...{ what: 'it forgets that data was encoded', why: FIDELITY },
    ...structured(envelope(`${PNG_03}:"base64","data":"AP8="`, '0.3')),
    ...{ at: 'datacontentencoding', theirsIs: undefined, oursIs: 'base64' },
  },
  {
    ...{ what: 'it fails at an encoding of what is no string', why: '0.3 says: ignore it' },
    ...structured(envelope('"datacontentencoding":"base64","data":{"a":1}', '0.3')),
    ...{ at: 'data', theirsIs: 'refused', oursIs: '{"a":1}' },
  },
  {
    ...{ what: 'it takes an encoding that is none', why: STRICT },
    ...structured(envelope('"datacontentencoding":"a b","data":"x"', '0.3')),
    ...{ at: 'id', theirsIs: '1', oursIs: 'refused' },
  },
  {
    ...{ what: 'it leaves base64 in a binary message', why: 'the attribute says what the body is' },
    ...binary({ 'ce-specversion': '0.3', 'ce-datacontentencoding': 'base64', 'content-type': 'image/png' }, 'AP8='),
    ...{ at: 'data', theirsIs: '"AP8="', oursIs: '0 255' },
  },

  // Batches.
  {
    ...{ what: 'it reads a batch’s content type by its case', why: NO_CASE },
    ...batch(`[${envelope('')}]`, 'Application/CloudEvents-Batch+JSON'),
    ...{ at: 'id', theirsIs: 'refused', oursIs: '1' },
  },
  {
    ...{ what: 'it makes up an id in a batch', why: STRICT },
    ...batch(`[${envelope('', '1.0', '"source":"/s","type":"t"')}]`),
    ...{ at: 'id', theirsIs: /^[0-9a-f-]{36}$/, oursIs: 'refused' },
  },
  {
    ...{ what: 'it leaves base64 of 0.3 in a batch', why: FIDELITY },
    ...batch(`[${envelope(`${PNG_03}:"base64","data":"AP8="`, '0.3')}]`),
    ...{ at: 'data', theirsIs: '"AP8="', oursIs: '0 255' },
  },
]
