import assert from 'node:assert/strict'
import { attributesFault, type Fault, fault, isAttributeName, noAttributes, quotedName } from './attributes.ts'
import { modeToSend, toBinary, toStructured } from './convert.ts'
import { type Change, isBase64Encoded, readEnvelope, spliceEnvelope, unfolded } from './envelope.ts'
import type { CloudEvent } from './event.ts'
import { decodeHeaderValue, encodeHeaderValue } from './header-value.ts'
import { bufferOf } from './json.ts'
import { type BatchFormat, contentModeOf } from './media-type.ts'
import { addPassed, checkedPassed, type Passed, passedName } from './passed.ts'

export type HttpRead =
  | { readonly kind: 'event'; readonly event: CloudEvent }
  /** The body has several, by its content type; see `readBatch`. */
  | { readonly kind: 'batch'; readonly format: BatchFormat; readonly passed: Passed | undefined }
  /** Nothing says that it is a CloudEvent: no `ce-specversion`, and no content type of CloudEvents. */
  | { readonly kind: 'none' }
  /** It claims to be a CloudEvent and is none. */
  | Fault

/**
 * Reads a CloudEvent from a request or a response (CloudEvents HTTP binding 1.0 and 0.3, binary and structured JSON).
 * The content type decides the mode; in structured mode `ce-` headers count for nothing. Never throws.
 * @param rawHeaders names and values in turn, as Node gives them: not joined, bytes as Latin-1.
 * @param body belongs to the event from now on.
 */
export function readHttpEvent(rawHeaders: readonly string[], body: Uint8Array): HttpRead {
  const attributes = noAttributes()
  let contentType: string | undefined
  let claimed = false
  let wrong: Fault | undefined
  let doubled: Fault | undefined
  let found: Record<string, string> | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const value = rawHeaders[i + 1] ?? ''
    if ((name.charCodeAt(0) | 0x20) !== LETTER_C) {
      const travels = passedName(name)
      if (travels === undefined) continue
      found ??= {}
      addPassed(found, travels, value)
      continue
    }
    if (name.charCodeAt(2) === DASH && (name.charCodeAt(1) | 0x20) === LETTER_E) {
      claimed ||= name.length === 14 && name.toLowerCase() === 'ce-specversion'
      const mistake = addHeader(attributes, name, value)
      if (mistake?.code === 'duplicate-header') doubled = mistake
      wrong ??= mistake
    } else if (name.length === 12 && name.toLowerCase() === 'content-type') {
      if (contentType !== undefined) {
        doubled = fault('duplicate-header', 'there is more than one content-type header')
        claimed ||= contentModeOf(contentType) !== 'binary'
      }
      contentType = value
    }
  }
  const mode = contentType === undefined ? 'binary' : contentModeOf(contentType)
  if (mode === 'binary') {
    if (!claimed) return NONE
    if (contentType) attributes.datacontenttype = contentType
    wrong ??= doubled ?? attributesFault(attributes)
    return wrong ?? { kind: 'event', event: withPassed({ mode, attributes, body }, passedOf(found)) }
  }
  if (doubled !== undefined) return doubled
  if (mode === 'batch') return { kind: 'batch', format: 'json', passed: passedOf(found) }
  if (mode === 'frames') return { kind: 'batch', format: 'frames', passed: passedOf(found) }
  if (mode === 'structured-other') return fault('unsupported-format', 'of the event formats only JSON is understood')
  const read = readEnvelope(body)
  return read.kind === 'event' ? { kind: 'event', event: withPassed(read.event, passedOf(found)) } : read
}

/** The same event, with the fields that travel with it. */
export function withPassed(event: CloudEvent, passed: Passed | undefined): CloudEvent {
  return passed === undefined ? event : { ...event, passed }
}

function passedOf(found: Record<string, string> | undefined): Passed | undefined {
  return found === undefined ? undefined : checkedPassed(found)
}

/**
 * The message for `event`: flat headers in lower case, and the body. In its own mode the body is the event's, byte for byte;
 * in the other one it is converted as the CloudEvents JSON format says. See `modeToSend` for the exception.
 */
export function writeHttpEvent(
  event: CloudEvent,
  format: 'binary' | 'structured' | undefined,
): { headers: string[]; body: Uint8Array } {
  if (modeToSend(event, format) === 'structured') {
    return { headers: ['content-type', ENVELOPE_TYPE], body: toStructured(event).body }
  }
  const { attributes, body } = toBinary(event)
  const headers: string[] = []
  for (const name in attributes) {
    const value = attributes[name] ?? ''
    if (name === 'datacontenttype')
      headers.push('content-type', PRINTABLE.test(value) ? value : encodeHeaderValue(value))
    else headers.push(`ce-${name}`, encodeHeaderValue(value))
  }
  return { headers, body }
}

/**
 * `event` with attributes set, or removed where a change is undefined. In a structured event every other byte of the
 * envelope stays as it was, and numbers and booleans are written as such.
 */
export function withAttributes(event: CloudEvent, changes: Readonly<Record<string, Change>>): CloudEvent {
  const attributes = Object.assign(noAttributes(), event.attributes)
  for (const [name, value] of Object.entries(changes)) {
    assert(isAttributeName(name), `not an attribute name: ${name}`)
    if (value === undefined) delete attributes[name]
    else attributes[name] = String(value)
  }
  const body = event.mode === 'structured' ? spliceEnvelope(event.body, changes) : event.body
  return { ...event, attributes, body }
}

/** The data and its type, whichever mode the event is in. No data is no bytes. */
export function eventData(event: CloudEvent): { readonly bytes: Uint8Array; readonly contentType: string | undefined } {
  const { attributes, body } = toBinary(event)
  const contentType = attributes.datacontenttype
  if (!isBase64Encoded(attributes)) return { bytes: body, contentType }
  const text = unfolded(bufferOf(body).toString('latin1'))
  return { bytes: text === undefined ? body : Buffer.from(text, 'base64'), contentType }
}

/** Adds what one `ce-` header says. Only Content-Type speaks for datacontenttype, so that nothing is said twice. */
function addHeader(attributes: Record<string, string>, header: string, text: string): Fault | undefined {
  const name = ATTRIBUTE_OF.get(header) ?? attributeOf(header)
  if (name === undefined) {
    const spelled = quotedName(header.slice(3))
    return fault('invalid-attribute-name', `${spelled} is not made of a-z and 0-9, or is reserved`)
  }
  if (name === 'datacontenttype') return undefined
  if (attributes[name] !== undefined) {
    return fault('duplicate-header', `${quotedName(name)} comes in more than one header`)
  }
  const value = decodeHeaderValue(text)
  // Something has to stand for it, or a second header of this name would not be seen as one.
  attributes[name] = value ?? ''
  if (value !== undefined) return undefined
  return fault('invalid-attribute-value', `${quotedName(name)} is not UTF-8, or has a character that is not allowed`)
}

function attributeOf(header: string): string | undefined {
  const name = header.slice(3).toLowerCase()
  return isAttributeName(name) ? name : undefined
}

/** The usual headers in their usual spelling: looking the name up costs a third of cutting and checking it. */
const ATTRIBUTE_OF = new Map(
  [
    ...['specversion', 'id', 'source', 'type', 'time', 'subject', 'dataschema'],
    ...['partitionkey', 'traceparent', 'tracestate', 'knativebrokerttl', 'knativearrivaltime'],
  ].map(name => [`ce-${name}`, name]),
)
const PRINTABLE = /^[ -~]*$/
const NONE: HttpRead = { kind: 'none' }
const ENVELOPE_TYPE = 'application/cloudevents+json; charset=utf-8'
const LETTER_C = 0x63
const LETTER_E = 0x65
const DASH = 0x2d
