import type { WebhookSourceResource } from '../../crds/webhook-source.ts'
import { attributesFault, hasForbiddenCharacter, noAttributes } from '../../event/attributes.ts'
import { BATCH_EVENTS_MAX, readBatch } from '../../event/batch.ts'
import type { CloudEvent } from '../../event/event.ts'
import { readHttpEvent, withAttributes } from '../../event/http.ts'
import { scanArray, scanObject } from '../../event/json.ts'
import { isMediaType } from '../../event/media-type.ts'
import { contentTypeOf, readPayload } from '../payload.ts'
import { fillFirst, parseJson, type Said, saidBy } from './request.ts'

export interface Posted {
  readonly rawHeaders: readonly string[]
  readonly query: string
  readonly body: Uint8Array
}

export type EventsRead =
  /** None where a list was empty. */
  | { readonly kind: 'events'; readonly events: readonly CloudEvent[] }
  /** The body is not what the source says it is. In words; quotes nothing of it. */
  | { readonly kind: 'unreadable'; readonly reason: string }

/**
 * The events of one request. Where the sender names a delivery, its repetition gives the same ids; `randomId` is for those
 * that do not. A request that is a CloudEvent, or a batch, keeps every byte, unless its sender is known to send none.
 */
export function toEvents(posted: Posted, { spec }: WebhookSourceResource, randomId: () => string): EventsRead {
  const read = readEvents(posted, spec, randomId)
  if (read.kind === 'unreadable' || Object.keys(spec.extensions).length === 0) return read
  return { kind: 'events', events: read.events.map(event => withAttributes(event, spec.extensions)) }
}

type Spec = WebhookSourceResource['spec']

function readEvents(posted: Posted, spec: Spec, randomId: () => string): EventsRead {
  if (spec.preset === undefined || spec.preset === 'eventgrid') {
    const read = readCloudEvents(posted)
    if (read !== undefined) return read
  }
  if (spec.preset === 'eventgrid')
    return readPayload(posted.body, 'eventgrid', { id: '', source: 'urn:eventgrid', type: '' })
  const { rawHeaders, query, body } = posted
  if (spec.split === undefined) {
    const said = saidBy(rawHeaders, query, parseJson(body))
    return { kind: 'events', events: [wrap(body, contentTypeIn(said) ?? contentTypeOf(body), said, spec, randomId)] }
  }
  const parts = partsOf(body, spec.split)
  if (parts.kind === 'unreadable') return parts
  const events = parts.parts.map(part =>
    wrap(part, 'application/json', saidBy(rawHeaders, query, parseJson(part)), spec, randomId),
  )
  return { kind: 'events', events: withDistinctIds(events) }
}

/** Undefined: it is none. */
function readCloudEvents({ rawHeaders, body }: Posted): EventsRead | undefined {
  const read = readHttpEvent(rawHeaders, body)
  switch (read.kind) {
    case 'none':
      return undefined
    case 'event':
      return { kind: 'events', events: [read.event] }
    case 'invalid':
      return { kind: 'unreadable', reason: `it is no CloudEvent: ${read.reason}` }
    case 'batch': {
      const batch = readBatch(body, read.format)
      if (batch.kind === 'invalid')
        return { kind: 'unreadable', reason: `it is no batch of CloudEvents: ${batch.reason}` }
      return batch
    }
    default:
      return read satisfies never
  }
}

/** The elements of the list `name`, each as it was written. */
function partsOf(
  body: Uint8Array,
  name: string,
): { readonly kind: 'parts'; readonly parts: readonly Uint8Array[] } | Extract<EventsRead, { kind: 'unreadable' }> {
  const scan = scanObject(body)
  if (scan.kind === 'broken') return { kind: 'unreadable', reason: scan.reason }
  const member = scan.members.find(one => one.name === name)
  if (member?.kind !== 'array') return { kind: 'unreadable', reason: `the body has no list ${JSON.stringify(name)}` }
  const list = body.subarray(member.start, member.end)
  const elements = scanArray(list, BATCH_EVENTS_MAX)
  if (elements.kind === 'broken') return { kind: 'unreadable', reason: elements.reason }
  return { kind: 'parts', parts: elements.elements.map(({ start, end }) => new Uint8Array(list.subarray(start, end))) }
}

function wrap(
  body: Uint8Array,
  contentType: string | undefined,
  said: Said,
  { event }: Spec,
  randomId: () => string,
): CloudEvent {
  const plain = (text: string) => !hasForbiddenCharacter(text)
  const attributes = noAttributes()
  attributes.specversion = '1.0'
  attributes.id = fillFirst(event.id, said, plain) ?? randomId()
  // The last template of either has no place to fill, so that there always is one.
  attributes.source = fillFirst(event.source, said, plain) ?? ''
  attributes.type = fillFirst(event.type, said, plain) ?? ''
  const subject = fillFirst(event.subject, said, plain)
  if (subject !== undefined) attributes.subject = subject
  const time = fillFirst(event.time, said, isTime)
  if (time !== undefined) attributes.time = time
  if (contentType !== undefined) attributes.datacontenttype = contentType
  return { mode: 'binary', attributes, body }
}

function isTime(text: string): boolean {
  return attributesFault({ specversion: '1.0', id: 'x', source: 'x', type: 'x', time: text }) === undefined
}

function contentTypeIn(said: Said): string | undefined {
  const [contentType] = said.header('content-type')
  return contentType !== undefined && isMediaType(contentType) ? contentType : undefined
}

/** A delivery that is named once for all of its elements names none of them: each gets its place as well. */
function withDistinctIds(events: readonly CloudEvent[]): CloudEvent[] {
  const seen = new Set<string>()
  return events.map((event, i) => {
    const { id = '', source = '' } = event.attributes
    let distinct = id
    while (seen.has(`${source} ${distinct}`)) distinct += `/${i}`
    seen.add(`${source} ${distinct}`)
    return distinct === id ? event : withAttributes(event, { id: distinct })
  })
}
