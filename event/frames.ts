import { isUtf8 } from 'node:buffer'
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
import { bufferOf } from './json.ts'
import { contentModeOf } from './media-type.ts'

/** What a batch holds: all of its events, or why it is refused whole. */
export type BatchRead = { readonly kind: 'events'; readonly events: readonly CloudEvent[] } | Fault

const LENGTHS_BYTES = 8

/**
 * The body of a message of `FRAMES_TYPE`: events in binary mode of whose data nobody looks at anything on the way, so that what
 * arrives is what was sent, bit for bit. Per event two unsigned 32-bit numbers, most significant byte first: the bytes of its head
 * and of its data. Then the head, a JSON object of its attributes as texts, in UTF-8, and the data. Header fields that travel with
 * an event are not in it.
 */
export function writeFrames(events: readonly CloudEvent[]): Uint8Array {
  const heads = events.map(({ attributes }) => JSON.stringify(attributes))
  let most = 0
  for (const [i, { body }] of events.entries()) most += LENGTHS_BYTES + (heads[i] ?? '').length * 3 + body.byteLength
  const bytes = Buffer.allocUnsafeSlow(most)
  let at = 0
  for (const [i, { body }] of events.entries()) {
    const start = at + LENGTHS_BYTES
    const headBytes = bytes.write(heads[i] ?? '', start, 'utf8')
    bytes.writeUInt32BE(headBytes, at)
    bytes.writeUInt32BE(body.byteLength, at + 4)
    bytes.set(body, start + headBytes)
    at = start + headBytes + body.byteLength
  }
  return bytes.subarray(0, at)
}

/**
 * Reads what `writeFrames` wrote, or anybody else did: all of the events, held to what binary mode asks of them, or the first
 * mistake with the place of its event, counted from 0. Never throws.
 */
export function readFrames(body: Uint8Array, mostEvents: number): BatchRead {
  const bytes = bufferOf(body)
  const events: CloudEvent[] = []
  let at = 0
  while (at < bytes.byteLength) {
    if (events.length === mostEvents) return fault('invalid-data', `the batch has more than ${mostEvents} events`)
    const read = readFrame(bytes, at)
    if (read.kind === 'invalid') return fault(read.code, `event ${events.length} of the batch: ${read.reason}`)
    events.push(read.event)
    at = read.end
  }
  return { kind: 'events', events }
}

function readFrame(
  bytes: Buffer,
  at: number,
): { readonly kind: 'frame'; readonly event: CloudEvent; readonly end: number } | Fault {
  const start = at + LENGTHS_BYTES
  if (start > bytes.byteLength) return CUT_OFF
  const dataStart = start + bytes.readUInt32BE(at)
  const end = dataStart + bytes.readUInt32BE(at + 4)
  if (end > bytes.byteLength) return CUT_OFF
  const head = readHead(bytes.subarray(start, dataStart))
  if (head.kind === 'invalid') return head
  // A copy, so that one event that waits does not keep the whole message in memory.
  const body = new Uint8Array(bytes.subarray(dataStart, end))
  return { kind: 'frame', event: { mode: 'binary', attributes: head.attributes, body }, end }
}

function readHead(head: Buffer): { readonly kind: 'head'; readonly attributes: Record<string, string> } | Fault {
  const text = isUtf8(head) ? head.toString('utf8') : ''
  const object = parsed(text)
  if (object === undefined) return fault('invalid-json', 'its head is no JSON object in UTF-8')
  const isPlain = PLAIN.test(text)
  const attributes = noAttributes()
  for (const name in object) {
    const value = object[name]
    if (!isAttributeName(name)) return fault('invalid-attribute-name', `${quotedName(name)} is not made of a-z and 0-9`)
    if (typeof value !== 'string' || (!isPlain && hasForbiddenCharacter(value)))
      return fault('invalid-attribute-value', `${quotedName(name)} is no plain string`)
    attributes[name] = value
  }
  // As binary mode has it: whoever gets the event would read its data in place of it, past every filter and every gate.
  if (contentModeOf(attributes.datacontenttype ?? '') !== 'binary')
    return fault('invalid-attribute-value', 'datacontenttype says that the data is a CloudEvent')
  return attributesFault(attributes) ?? { kind: 'head', attributes }
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

/** JSON in which no string can have a character that is forbidden: printable ASCII, and nothing is escaped. */
const PLAIN = /^[ -[\]-~]*$/
const CUT_OFF = fault('invalid-data', 'it is cut off')
