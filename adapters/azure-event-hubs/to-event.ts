import type { HubEvent } from '../../clients/azure-event-hubs/hub.ts'
import type { AzureEventHubsSourceResource } from '../../crds/azure-event-hubs-source.ts'
import { canonicalText, readAmqp } from '../../event/amqp.ts'
import { hasForbiddenCharacter } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { withAttributes } from '../../event/http.ts'
import { type Fallback, readPayload } from '../payload.ts'

export interface EventsRead {
  /** One at least; in their order. */
  readonly events: readonly CloudEvent[]
  /** Why it is passed on as it came, and not as what it is said to be. Quotes nothing of it. */
  readonly unread: string | undefined
}

type Spec = Pick<AzureEventHubsSourceResource['spec'], 'payload' | 'extensions'>

/** Where an event was read. */
export interface Place {
  /** `sb://namespace/hub`. */
  readonly url: string
  readonly partition: string
}

/** What an event is called that is not a CloudEvent already. */
export const HUB_EVENT_TYPE = 'com.microsoft.azure.eventhub.message'

/**
 * The events of what a hub keeps as one: a CloudEvent in the binding of AMQP or in JSON keeps its own names, a list is split,
 * and anything else becomes data, named by its partition and sequence number, which are its own for ever. What claims to be
 * something and is not is passed on as data too: a hub has no place to put it aside, and those behind it must not wait for it.
 */
export function toEvents(event: HubEvent, place: Place, spec: Spec): EventsRead {
  const { events, unread } = read(event, place, spec.payload)
  const added = { ...envelopeOf(event), ...spec.extensions }
  return { events: events.map(one => withAttributes(one, { ...partitionKeyOf(event, one), ...added })), unread }
}

function read(event: HubEvent, place: Place, payload: Spec['payload']): EventsRead {
  const { contentType, properties, body } = event
  const fallback = fallbackOf(event, place)
  const raw = (): readonly CloudEvent[] => {
    const wrapped = readPayload(body, 'raw', fallback)
    return wrapped.kind === 'events' ? wrapped.events.map(one => withAttributes(one, propertiesOf(event))) : []
  }
  if (payload === 'raw') return { events: raw(), unread: undefined }
  const bound = readAmqp({ contentType, properties, body })
  if (bound.kind === 'event') return { events: [bound.event], unread: undefined }
  if (bound.kind !== 'none') return { events: raw(), unread: bound.reason }
  const found = readPayload(body, payload, fallback)
  if (found.kind === 'unreadable') return { events: raw(), unread: found.reason }
  const [only] = found.events
  // Only what has the name that we gave it is no CloudEvent of its own.
  if (only?.attributes.id === fallback.id && only.attributes.type === HUB_EVENT_TYPE)
    return { events: raw(), unread: undefined }
  return { events: found.events, unread: undefined }
}

function fallbackOf({ sequence, enqueuedMs, contentType }: HubEvent, { url, partition }: Place): Fallback {
  return {
    id: `partition:${partition}/sequencenumber:${sequence}`,
    source: url,
    type: HUB_EVENT_TYPE,
    timeMs: enqueuedMs,
    // What says it is a CloudEvent and is none would be refused by every Broker.
    contentType,
  }
}

/** What the service adds to every event. */
function envelopeOf({ sequence, enqueuedMs }: HubEvent): Record<string, string> {
  return { azsequencenumber: String(sequence), azenqueuedtime: new Date(enqueuedMs).toISOString() }
}

/** CloudEvents partitioning extension; one that the event brings is the producer's word. */
function partitionKeyOf({ partitionKey }: HubEvent, event: CloudEvent): Record<string, string> {
  if (!partitionKey || event.attributes.partitionkey !== undefined) return {}
  return fit({ partitionkey: partitionKey })
}

/** What the sender wrote beside a body that is no CloudEvent. */
function propertiesOf({ messageId, correlationId, properties }: HubEvent): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(properties)) {
    const key = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
    const text = canonicalText(value)
    if (key !== '' && text !== undefined) texts[`azprop${key}`] = text
  }
  if (messageId !== undefined) texts.azmessageid = messageId
  if (correlationId !== undefined) texts.azcorrelationid = correlationId
  return fit(texts)
}

/** Without what no attribute may hold (CloudEvents 1.0 §3.2), and what is empty. */
function fit(texts: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== '' && !hasForbiddenCharacter(text)))
}
