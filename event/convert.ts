import { isUtf8 } from 'node:buffer'
import { type Fault, noAttributes } from './attributes.ts'
import { type EnvelopeData, envelopeData, isBase64Encoded, makeEnvelope, readParts, unfolded } from './envelope.ts'
import type { CloudEvent } from './event.ts'
import { bufferOf, isJson } from './json.ts'
import { isJsonType, isUtf8TextType } from './media-type.ts'

/**
 * The same event in binary mode. JSON data is cut out of the envelope as it was written, so that numbers survive; a
 * string of another type becomes its UTF-8 bytes. A type that the envelope left implied is spelled out.
 */
export function toBinary(event: CloudEvent): CloudEvent {
  if (event.mode === 'binary') return event
  const data = envelopeData(event)
  const attributes = binaryAttributes(Object.assign(noAttributes(), event.attributes), data)
  return { ...event, mode: 'binary', attributes, body: dataBytes(data) }
}

/** Reads an envelope as an event in binary mode, which keeps nothing of `body` in memory. As `toBinary` of `readEnvelope`. */
export function readBinary(body: Uint8Array): { readonly kind: 'event'; readonly event: CloudEvent } | Fault {
  const read = readParts(body)
  if (read.kind === 'invalid') return read
  const { data } = read
  const attributes = binaryAttributes(read.attributes, data)
  const bytes = data.kind === 'json' ? data.bytes.slice() : dataBytes(data)
  return { kind: 'event', event: { mode: 'binary', attributes, body: bytes } }
}

function binaryAttributes(attributes: Record<string, string>, data: EnvelopeData): Record<string, string> {
  if (isBase64Encoded(attributes)) delete attributes.datacontentencoding
  if (data.kind === 'json') attributes.datacontenttype ??= 'application/json'
  return attributes
}

/**
 * The same event in structured mode. The data stays JSON where its type and its bytes both say so, text where its type says
 * so and the bytes are UTF-8, and becomes base64 otherwise, also where it has no type: in an envelope that would mean JSON.
 * An empty body is no data.
 */
export function toStructured(event: CloudEvent): CloudEvent {
  if (event.mode === 'structured') return event
  const data = describeData(event)
  let attributes = event.attributes
  if (data.kind === 'base64' && attributes.specversion === '0.3') {
    attributes = Object.assign(noAttributes(), attributes, { datacontentencoding: 'base64' })
  }
  return { ...event, mode: 'structured', attributes, body: makeEnvelope(attributes, data) }
}

/**
 * As `toStructured`, of an event of CloudEvents 1.0, and so that `toBinary` gives back the very same event: of JSON data that
 * has white space around it an envelope would keep only the value.
 */
export function toExactStructured(event: CloudEvent): CloudEvent {
  if (event.mode === 'structured') return event
  const { attributes, body } = event
  const data = describeData(event)
  const exact: EnvelopeData =
    data.kind === 'json' && (isSpace(body[0]) || isSpace(body[body.byteLength - 1]))
      ? { kind: 'base64', text: bufferOf(body).toString('base64') }
      : data
  return { ...event, mode: 'structured', body: makeEnvelope(attributes, exact) }
}

/** JSON's white space (RFC 8259 §2). */
function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d
}

function describeData({ attributes, body }: CloudEvent): EnvelopeData {
  if (body.byteLength === 0) return { kind: 'none' }
  const type = attributes.datacontenttype
  if (isBase64Encoded(attributes)) {
    const text = unfolded(bufferOf(body).toString('latin1'))
    if (text !== undefined) return { kind: 'base64', text }
  } else if (type !== undefined && isJsonType(type)) {
    if (isJson(body)) return { kind: 'json', bytes: body }
  } else if (type !== undefined && isUtf8TextType(type)) {
    if (isUtf8(body)) return { kind: 'text', text: bufferOf(body).toString('utf8') }
  }
  return { kind: 'base64', text: bufferOf(body).toString('base64') }
}

function dataBytes(data: EnvelopeData): Uint8Array {
  switch (data.kind) {
    case 'none':
      return Buffer.alloc(0)
    case 'json':
      return data.bytes
    case 'text':
      return Buffer.from(data.text, 'utf8')
    case 'base64':
      return Buffer.from(data.text, 'base64')
    default:
      return data satisfies never
  }
}
