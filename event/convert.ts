import { isUtf8 } from 'node:buffer'
import { noAttributes } from './attributes.ts'
import { type EnvelopeData, envelopeData, isBase64Encoded, makeEnvelope, unfolded } from './envelope.ts'
import type { CloudEvent } from './event.ts'
import { bufferOf, isJson } from './json.ts'
import { contentModeOf, isJsonType, isUtf8TextType } from './media-type.ts'

/**
 * The mode to send `event` in: the one asked for, or its own. Where its data is itself a CloudEvent, by its type, it is always
 * structured: in binary mode its receiver would read the data in place of it, past every filter and gate that judged it.
 */
export function modeToSend(event: CloudEvent, asked: CloudEvent['mode'] | undefined): CloudEvent['mode'] {
  if (contentModeOf(event.attributes.datacontenttype ?? '') !== 'binary') return 'structured'
  return asked ?? event.mode
}

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
