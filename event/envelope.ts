import assert from 'node:assert/strict'
import {
  attributesFault,
  type Fault,
  fault,
  hasForbiddenCharacter,
  isAttributeName,
  noAttributes,
  quotedName,
} from './attributes.ts'
import type { CloudEvent } from './event.ts'
import { bufferOf, type JsonMember, jsonString, scanObject } from './json.ts'
import { isJsonType } from './media-type.ts'

/** Reads the context attributes of a JSON envelope (CloudEvents JSON format §2, §3); the body stays as it is. */
export function readEnvelope(body: Uint8Array): { readonly kind: 'event'; readonly event: CloudEvent } | Fault {
  const read = readParts(body)
  if (read.kind === 'invalid') return read
  return { kind: 'event', event: { mode: 'structured', attributes: read.attributes, body } }
}

/** The attributes and the data of an envelope, the latter found and checked but not copied. */
export function readParts(
  body: Uint8Array,
): { readonly kind: 'parts'; readonly attributes: Record<string, string>; readonly data: EnvelopeData } | Fault {
  const scan = scanObject(body)
  if (scan.kind === 'broken') return fault('invalid-json', scan.reason)
  const attributes = noAttributes()
  for (const member of scan.members) {
    if (member.kind === 'null' || isDataMember(member.name)) continue
    if (!isAttributeName(member.name)) {
      return fault('invalid-attribute-name', `${quotedName(member.name)} is not made of a-z and 0-9`)
    }
    const value = attributeValue(body, member)
    if (value === undefined) {
      return fault(
        'invalid-attribute-value',
        `${quotedName(member.name)} is no plain string, boolean or 32-bit integer`,
      )
    }
    attributes[member.name] = value
  }
  const wrong = attributesFault(attributes)
  if (wrong !== undefined) return wrong
  const data = findData(body, scan.members, attributes)
  return data.kind === 'invalid' ? data : { kind: 'parts', attributes, data }
}

/** The data of an envelope, found and checked but not yet copied. */
export type EnvelopeData =
  | { readonly kind: 'none' }
  /** JSON, as it was written. */
  | { readonly kind: 'json'; readonly bytes: Uint8Array }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'base64'; readonly text: string }

/** @throws AssertionError where `event` is not structured, or did not come from `readEnvelope`. */
export function envelopeData(event: CloudEvent): EnvelopeData {
  assert.equal(event.mode, 'structured')
  const scan = scanObject(event.body)
  assert(scan.kind === 'object')
  const data = findData(event.body, scan.members, event.attributes)
  assert(data.kind !== 'invalid')
  return data
}

/** What becomes of an attribute: a new value, typed as the envelope shall show it, or undefined to remove it. */
export type Change = string | number | boolean | undefined

/** The envelope with some attributes changed, added or removed, and every other byte as it was. */
export function spliceEnvelope(body: Uint8Array, changes: Readonly<Record<string, Change>>): Uint8Array {
  const scan = scanObject(body)
  assert(scan.kind === 'object')
  const buffer = bufferOf(body)
  const pieces: Uint8Array[] = [buffer.subarray(0, scan.open)]
  const missing = new Map(Object.entries(changes))
  let members = 0
  let at = scan.open
  for (const member of scan.members) {
    const value = changes[member.name]
    const changed = missing.delete(member.name)
    if (!changed || value !== undefined) {
      const gap = buffer.subarray(at, member.nameStart)
      pieces.push(members++ === 0 ? withoutComma(gap) : gap)
      pieces.push(buffer.subarray(member.nameStart, changed ? member.start : member.end))
      if (changed) pieces.push(Buffer.from(JSON.stringify(value)))
    }
    at = member.end
  }
  for (const [name, value] of missing) {
    if (value !== undefined) pieces.push(Buffer.from(`${members++ === 0 ? '' : ','}"${name}":${JSON.stringify(value)}`))
  }
  pieces.push(buffer.subarray(at))
  return Buffer.concat(pieces)
}

/** What stands between two members, for the place before the first. */
function withoutComma(gap: Buffer): Buffer {
  const comma = gap.indexOf(',')
  return comma < 0 ? gap : Buffer.concat([gap.subarray(0, comma), gap.subarray(comma + 1)])
}

/** A whole envelope around `data`. */
export function makeEnvelope(attributes: Readonly<Record<string, string>>, data: EnvelopeData): Uint8Array {
  const head = JSON.stringify(attributes).slice(0, -1)
  switch (data.kind) {
    case 'none':
      return Buffer.from(`${head}}`)
    case 'json':
      return Buffer.concat([Buffer.from(`${head},"data":`), data.bytes, Buffer.from('}')])
    case 'text':
      return Buffer.from(`${head},"data":${JSON.stringify(data.text)}}`)
    case 'base64':
      // 0.3 has no data_base64: there the attribute datacontentencoding says what the string is.
      return Buffer.from(`${head},"${attributes.specversion === '0.3' ? 'data' : 'data_base64'}":"${data.text}"}`)
    default:
      return data satisfies never
  }
}

function findData(
  body: Uint8Array,
  members: readonly JsonMember[],
  attributes: Readonly<Record<string, string>>,
): EnvelopeData | Fault {
  const plain = members.find(member => member.name === 'data')
  // 0.3 does not know data_base64, but the JavaScript SDK writes it there.
  const binary = members.find(member => member.name === 'data_base64' && member.kind !== 'null')
  if (binary !== undefined) {
    if (plain !== undefined && plain.kind !== 'null')
      return fault('invalid-data', 'there are both data and data_base64')
    return base64Data(body, binary)
  }
  if (plain === undefined) return { kind: 'none' }
  // Where data is no string, the encoding is to be ignored (CloudEvents 0.3, datacontentencoding).
  if (isBase64Encoded(attributes) && plain.kind === 'string') return foldedData(body, plain)
  // Without a type, `data` is JSON (CloudEvents JSON format §3.1).
  if (attributes.datacontenttype === undefined || isJsonType(attributes.datacontenttype)) {
    return { kind: 'json', bytes: body.subarray(plain.start, plain.end) }
  }
  if (plain.kind === 'null') return { kind: 'none' }
  const text = plain.kind === 'string' ? jsonString(body, plain) : undefined
  if (text === undefined) return fault('invalid-data', 'data is no string although datacontenttype is not JSON')
  if (!text.isWellFormed()) return fault('invalid-data', 'data has half of a surrogate pair')
  return { kind: 'text', text }
}

/** 0.3 marks base64 in `data`, or in the body of a binary message, with an attribute. */
export function isBase64Encoded(attributes: Readonly<Record<string, string>>): boolean {
  return attributes.specversion === '0.3' && attributes.datacontentencoding?.toLowerCase() === 'base64'
}

function base64Data(body: Uint8Array, member: JsonMember): EnvelopeData | Fault {
  const text = member.kind === 'string' ? jsonString(body, member) : undefined
  return text !== undefined && isBase64(text)
    ? { kind: 'base64', text }
    : fault('invalid-data', `${member.name} is no base64 string`)
}

/** Base64 of 0.3, which mail invented (RFC 2045 §6.8): there may be white space in it. */
function foldedData(body: Uint8Array, member: JsonMember): EnvelopeData | Fault {
  const text = unfolded(jsonString(body, member))
  return text === undefined ? fault('invalid-data', 'data is no base64 string') : { kind: 'base64', text }
}

/** Base64 without the white space that lines of it were folded with; undefined where it is none. */
export function unfolded(folded: string): string | undefined {
  const text = isBase64(folded) ? folded : folded.replace(/[ \t\r\n]+/g, '')
  return isBase64(text) ? text : undefined
}

/** RFC 4648 §4, padded. */
function isBase64(text: string): boolean {
  if (text.length % 4 !== 0) return false
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return !/[^A-Za-z0-9+/]/.test(padding > 0 ? text.slice(0, -padding) : text)
}

function isDataMember(name: string): boolean {
  return name === 'data' || name === 'data_base64'
}

/** The canonical string of an attribute's JSON value (CloudEvents JSON format §2.2), or undefined where it has none. */
function attributeValue(body: Uint8Array, member: JsonMember): string | undefined {
  if (member.kind === 'string') {
    const text = jsonString(body, member)
    return hasForbiddenCharacter(text) ? undefined : text
  }
  if (member.kind !== 'number' && member.kind !== 'boolean') return undefined
  const text = bufferOf(body).toString('latin1', member.start, member.end)
  if (member.kind === 'boolean') return text
  const value = Number(text)
  return /^-?\d+$/.test(text) && value === (value | 0) ? String(value | 0) : undefined
}
