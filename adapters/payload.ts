import { isUtf8 } from 'node:buffer'
import { attributesFault, hasForbiddenCharacter, noAttributes } from '../event/attributes.ts'
import { BATCH_EVENTS_MAX } from '../event/batch.ts'
import { readEnvelope } from '../event/envelope.ts'
import type { CloudEvent } from '../event/event.ts'
import { isJson, type JsonMember, jsonString, scanArray, scanObject } from '../event/json.ts'
import { contentModeOf, isMediaType } from '../event/media-type.ts'

/**
 * What the body of a message is said to be. `auto` looks: a CloudEvent in JSON, an event in Event Grid's own schema, a list
 * of those, or else data.
 */
export type Payload = 'auto' | 'cloudevents' | 'eventgrid' | 'raw'

/** What an event is called that brings no names of its own. */
export interface Fallback {
  readonly id: string
  /** Also the source of an event that came through a topic of Event Grid which leaves `topic` out. */
  readonly source: string
  readonly type: string
  readonly subject?: string | undefined
  readonly timeMs?: number | undefined
  /** What the system says of the body. Where that is undefined or no media type the body itself is looked at. */
  readonly contentType?: string | undefined
}

export type PayloadRead =
  /** One at least. The message is done when all of them are. */
  | { readonly kind: 'events'; readonly events: readonly CloudEvent[] }
  /** The body is not what `payload` says it is. Quotes nothing of it. */
  | { readonly kind: 'unreadable'; readonly reason: string }

type Read = { readonly kind: 'event'; readonly event: CloudEvent } | { readonly kind: 'none'; readonly reason: string }
type ReadOne = (body: Uint8Array) => Read

/**
 * The events in the body of a message of any Azure system. CloudEvents keep every byte they came with; of Event Grid's
 * schema the data does. `auto` and `raw` always find at least one. Pure, never throws.
 */
export function readPayload(body: Uint8Array, payload: Payload, fallback: Fallback): PayloadRead {
  switch (payload) {
    case 'raw':
      return { kind: 'events', events: [wrap(body, fallback)] }
    case 'cloudevents':
      return oneOrMany(body, readCloudEvent)
    case 'eventgrid':
      return oneOrMany(body, one => readEventGrid(one, fallback.source))
    case 'auto': {
      const read = oneOrMany(body, one => {
        const cloudEvent = readCloudEvent(one)
        return cloudEvent.kind === 'event' ? cloudEvent : readEventGrid(one, fallback.source)
      })
      return read.kind === 'events' ? read : { kind: 'events', events: [wrap(body, fallback)] }
    }
    default:
      return payload satisfies never
  }
}

/** What a body is, from its looks; undefined for none. */
export function contentTypeOf(body: Uint8Array): string | undefined {
  if (body.byteLength === 0) return undefined
  if (isJson(body)) return 'application/json'
  return isUtf8(body) ? 'text/plain; charset=utf-8' : 'application/octet-stream'
}

function wrap(body: Uint8Array, { id, source, type, subject, timeMs, contentType }: Fallback): CloudEvent {
  const attributes = noAttributes()
  attributes.specversion = '1.0'
  attributes.id = id
  attributes.source = source
  attributes.type = type
  if (subject) attributes.subject = subject
  if (timeMs !== undefined) attributes.time = new Date(timeMs).toISOString()
  // A type of CloudEvents on data that is none would have every receiver read it as an event, and refuse it.
  const usable = contentType !== undefined && isMediaType(contentType) && contentModeOf(contentType) === 'binary'
  const known = usable ? contentType : contentTypeOf(body)
  if (known !== undefined) attributes.datacontenttype = known
  return { mode: 'binary', attributes, body }
}

function oneOrMany(body: Uint8Array, readOne: ReadOne): PayloadRead {
  const first = body.find(byte => byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)
  if (first === 0x7b) {
    const read = readOne(body)
    return read.kind === 'event' ? { kind: 'events', events: [read.event] } : unreadable(read.reason)
  }
  if (first !== 0x5b) return unreadable('the body is no JSON object and no list of them')
  const scan = scanArray(body, BATCH_EVENTS_MAX)
  if (scan.kind === 'broken') return unreadable(scan.reason)
  if (scan.elements.length === 0) return unreadable('the body is an empty list')
  const events: CloudEvent[] = []
  for (const [i, { start, end }] of scan.elements.entries()) {
    // A copy, so that one event that waits does not keep the whole list in memory.
    const read = readOne(new Uint8Array(body.subarray(start, end)))
    if (read.kind === 'none') return unreadable(`event ${i} of the list: ${read.reason}`)
    events.push(read.event)
  }
  return { kind: 'events', events }
}

function readCloudEvent(body: Uint8Array): Read {
  const read = readEnvelope(body)
  return read.kind === 'event' ? read : { kind: 'none', reason: `the body is no CloudEvent: ${read.reason}` }
}

/** Event Grid event schema: `id`, `subject`, `eventType` and `eventTime` must be there. */
function readEventGrid(body: Uint8Array, source: string): Read {
  const none = (what: string): Read => ({ kind: 'none', reason: `the body is no event of Event Grid: ${what}` })
  const scan = scanObject(body)
  if (scan.kind === 'broken') return none(scan.reason)
  const member = (name: string) => scan.members.find(one => one.name === name)
  const text = (name: string) => textOf(body, member(name))
  const [id, subject, type, time] = [text('id'), text('subject'), text('eventType'), text('eventTime')]
  if (id === undefined || subject === undefined || type === undefined || time === undefined) {
    return none('it lacks id, subject, eventType or eventTime')
  }
  const attributes = noAttributes()
  Object.assign(attributes, { specversion: '1.0', id, type, source: text('topic') || source, time })
  if (subject !== '') attributes.subject = subject
  const version = text('dataVersion')
  if (version) attributes.dataversion = version
  const data = member('data')
  if (data !== undefined) attributes.datacontenttype = 'application/json'
  const bad = Object.entries(attributes).find(([, value]) => hasForbiddenCharacter(value))
  if (bad !== undefined) return none(`${bad[0]} has a character that CloudEvents forbids`)
  const wrong = attributesFault(attributes)
  if (wrong !== undefined) return none(wrong.reason)
  const bytes = data === undefined ? new Uint8Array() : new Uint8Array(body.subarray(data.start, data.end))
  return { kind: 'event', event: { mode: 'binary', attributes, body: bytes } }
}

function textOf(body: Uint8Array, member: JsonMember | undefined): string | undefined {
  return member?.kind === 'string' ? jsonString(body, member) : undefined
}

function unreadable(reason: string): PayloadRead {
  return { kind: 'unreadable', reason }
}
