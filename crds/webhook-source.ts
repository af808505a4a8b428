import { readMetadata, topOf } from './metadata.ts'
import { type Fields, present, type Shape, short, type Value } from './reader.ts'
import type { Metadata, ResourceOf } from './resource.ts'
import {
  readFromSecret,
  readSourceFields,
  type SecretKeyRef,
  SOURCE_FIELDS,
  SOURCE_HINTS,
  type SourceFields,
} from './source-fields.ts'
import { parseTemplate, type Template } from './template.ts'
import { type EventTexts, PRESETS, type Preset, presetFields, type SignatureTexts } from './webhook-presets.ts'

/** WebhookSource, sources.weir.dev/v1alpha1: what anybody sends over HTTP becomes an event. */
export interface WebhookSourceResource extends ResourceOf<'WebhookSource', 'sources.weir.dev/v1alpha1'> {
  readonly spec: SourceFields & {
    readonly preset?: Preset
    /** Of each attribute: the first template that a request fills counts. */
    readonly event: Readonly<Record<keyof EventTexts, readonly Template[]>>
    /** A member of the body's JSON that is a list: each of its elements becomes an event. */
    readonly split?: string
    readonly signature?: Signature
    readonly token?: Token
  }
}

/** An HMAC over what was sent. */
export interface Signature {
  /** In lower case. */
  readonly header: string
  readonly algorithm: SignatureTexts['algorithm']
  readonly encoding: SignatureTexts['encoding']
  /** What stands before each signature in the header. */
  readonly prefix: string
  /** What is signed; `{body}` is every byte of it. */
  readonly signed: Template
  readonly secret: { readonly secretKeyRef: SecretKeyRef }
  readonly secretEncoding: 'text' | 'base64'
  /** Seconds since the epoch, in a header. What is older or younger than the tolerance is refused. */
  readonly timestamp?: { readonly header: string; readonly prefix: string; readonly toleranceMs: number }
}

/** A text that only the sender knows, in a header or in the query. */
export interface Token {
  readonly from: 'header' | 'query'
  readonly name: string
  readonly prefix: string
  readonly secret: { readonly secretKeyRef: SecretKeyRef }
}

const FIELDS = ['preset', 'event', 'split', 'signature', 'token', ...SOURCE_FIELDS] as const
const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    type: 'indent it under `event`',
    source: 'indent it under `event`',
    id: 'indent it under `event`',
    subject: 'indent it under `event`',
    secret: 'indent it under `signature` or `token`',
    secretKeyRef: 'write `signature: {secret: {secretKeyRef: …}}`',
    path: 'it is always /webhooks/<namespace>/<name>',
    ...SOURCE_HINTS,
  },
}
const ATTRIBUTES = ['id', 'source', 'type', 'subject', 'time'] as const
const EVENT: Shape<(typeof ATTRIBUTES)[number]> = {
  known: ATTRIBUTES,
  hints: { extensions: 'they stand under `spec.ceOverrides`' },
}
const SIGNATURE: Shape<
  'header' | 'algorithm' | 'encoding' | 'prefix' | 'signed' | 'secret' | 'secretEncoding' | 'timestamp'
> = {
  known: ['header', 'algorithm', 'encoding', 'prefix', 'signed', 'secret', 'secretEncoding', 'timestamp'],
  hints: { secretKeyRef: 'indent it under `secret`', tolerance: 'indent it under `timestamp`' },
}
const TIMESTAMP: Shape<'header' | 'prefix' | 'tolerance'> = { known: ['header', 'prefix', 'tolerance'] }
const TOKEN: Shape<'header' | 'query' | 'prefix' | 'secret'> = {
  known: ['header', 'query', 'prefix', 'secret'],
  hints: { secretKeyRef: 'indent it under `secret`' },
}
const DAY_MS = 86_400_000

/** Where its requests come in: a path of the door. */
export function webhookPath({ namespace, name }: Pick<Metadata, 'namespace' | 'name'>): string {
  return `/webhooks/${namespace}/${name}`
}

/** Reads a WebhookSource; what is wrong with it is told to the sheet of `value`. */
export function parseWebhookSource(value: Value): WebhookSourceResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'WebhookSource')
  const spec = top.requiredSection('spec', SPEC)
  const presetValue = spec.get('preset')
  const preset = presetValue?.oneOf(PRESETS)
  const split = spec.get('split')?.word() ?? presetFields(preset).split
  const signature = readSignature(spec, preset)
  if (preset === 'github' && signature === undefined)
    presetValue?.notice('without `signature` whoever can reach the address can send what GitHub never sent')
  return {
    apiVersion: 'sources.weir.dev/v1alpha1',
    kind: 'WebhookSource',
    metadata,
    where: value.where,
    spec: {
      ...present({ preset, split, signature, token: readToken(spec) }),
      event: readEvent(spec, preset, `/apis/v1/namespaces/${metadata.namespace}/webhooksources/${metadata.name}`),
      ...readSourceFields(spec, metadata.namespace),
    },
  }
}

type Spec = Fields<(typeof FIELDS)[number]>

/** What an event is called that is given no type. */
export const WEBHOOK_TYPE = 'dev.weir.sources.webhook'

function readEvent(spec: Spec, preset: Preset | undefined, source: string): WebhookSourceResource['spec']['event'] {
  const fields = spec.section('event', EVENT)
  const known = presetFields(preset).event
  const last: Partial<EventTexts> = { type: [WEBHOOK_TYPE], source: [source] }
  const read = (name: keyof EventTexts) => {
    const value = fields.get(name)
    if (preset === 'eventgrid' && value !== undefined)
      value.mistake(`\`${value.path}\` does nothing with Event Grid, whose events have names of their own`)
    const given = value === undefined ? known[name].map(templateOf) : readTemplates(value)
    return [...given, ...(last[name] ?? []).map(templateOf)]
  }
  return { id: read('id'), source: read('source'), type: read('type'), subject: read('subject'), time: read('time') }
}

/** One text, or a list of them. */
function readTemplates(value: Value): Template[] {
  const values = value.isList() ? value.list() : [value]
  return values.flatMap(one => {
    const text = one.word()
    const template = text === undefined ? undefined : readTemplate(one, text)
    return template === undefined ? [] : [template]
  })
}

function readTemplate(value: Value, text: string, timestamps = false): Template | undefined {
  const read = parseTemplate(text)
  if (read.kind === 'wrong') return value.mistake(`\`${value.path}\` is wrong: ${read.reason}`)
  if (!timestamps && read.template.some(part => part.from === 'timestamp'))
    return value.mistake(`\`${value.path}\` is wrong: \`{timestamp}\` stands only in \`spec.signature.signed\``)
  return read.template
}

/** Of a text of ours. */
function templateOf(text: string): Template {
  const read = parseTemplate(text)
  return read.kind === 'template' ? read.template : [{ from: 'text', text }]
}

function readSignature(spec: Spec, preset: Preset | undefined): Signature | undefined {
  if (spec.get('signature') === undefined) return undefined
  const fields = spec.section('signature', SIGNATURE)
  const known = presetFields(preset).signature
  const secret = fields.required('secret')
  const given = known.header === undefined ? fields.required('header') : fields.get('header')
  const signed = fields.get('signed')
  const timestamp = readTimestamp(fields)
  const text = signed?.word() ?? known.signed
  const template = (signed && readTemplate(signed, text, true)) ?? templateOf(known.signed)
  if (!template.some(part => part.from === 'body' && part.path.length === 0))
    signed?.mistake(`\`${signed.path}\` must hold \`{body}\`, or anybody could change it`)
  if (timestamp !== undefined && !template.some(part => part.from === 'timestamp'))
    fields.miss('`spec.signature.timestamp` needs `signed` with `{timestamp}` in it, or anybody could change it')
  if (timestamp === undefined && template.some(part => part.from === 'timestamp'))
    fields.miss('`{timestamp}` in `spec.signature.signed` needs `timestamp: {header: …}` beside it')
  return {
    header: headerName(given) ?? known.header ?? '',
    algorithm: fields.get('algorithm')?.oneOf(['sha1', 'sha256', 'sha512']) ?? known.algorithm,
    encoding: fields.get('encoding')?.oneOf(['hex', 'base64']) ?? known.encoding,
    prefix: fields.get('prefix')?.text() ?? known.prefix,
    signed: template,
    secret: secret ? readFromSecret(secret) : NO_SECRET,
    secretEncoding: fields.get('secretEncoding')?.oneOf(['text', 'base64']) ?? 'text',
    ...present({ timestamp }),
  }
}

const NO_SECRET = { secretKeyRef: { name: '', key: '' } }

function readTimestamp(fields: Fields<'timestamp'>): Signature['timestamp'] {
  if (fields.get('timestamp') === undefined) return undefined
  const inner = fields.section('timestamp', TIMESTAMP)
  return {
    header: headerName(inner.required('header')) ?? '',
    prefix: inner.get('prefix')?.text() ?? '',
    toleranceMs: inner.get('tolerance')?.durationMs(1000, DAY_MS) ?? 300_000,
  }
}

function readToken(spec: Spec): Token | undefined {
  const value = spec.get('token')
  if (value === undefined) return undefined
  const fields = value.fields(TOKEN)
  const header = fields.get('header')
  const query = fields.get('query')
  if (header !== undefined && query !== undefined)
    query.mistake('expected exactly one of `spec.token.header` and `spec.token.query`, got both')
  if (header === undefined && query === undefined) fields.miss('`spec.token` needs `header` or `query`')
  const secret = fields.required('secret')
  return {
    from: query === undefined ? 'header' : 'query',
    name: (query === undefined ? headerName(header) : query.word()) ?? '',
    prefix: fields.get('prefix')?.text() ?? '',
    secret: secret ? readFromSecret(secret) : NO_SECRET,
  }
}

function headerName(value: Value | undefined): string | undefined {
  const name = value?.word()
  if (value === undefined || name === undefined) return undefined
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return name.toLowerCase()
  return value.mistake(`\`${value.path}\` must be the name of a header, not "${short(name)}"`)
}
