import type { BusMessage } from '../../clients/azure-service-bus/message.ts'
import type { AzureServiceBusSourceResource } from '../../crds/azure-service-bus-source.ts'
import { canonicalText, readAmqp } from '../../event/amqp.ts'
import { hasForbiddenCharacter } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { withAttributes } from '../../event/http.ts'
import { type PayloadRead, readPayload } from '../payload.ts'

type Spec = Pick<AzureServiceBusSourceResource['spec'], 'idFrom' | 'payload' | 'extensions'>

/** What an event is called that is not a CloudEvent already. */
export const BUS_MESSAGE_TYPE = 'com.microsoft.azure.servicebus.message'

/**
 * The events of a message: a CloudEvent in its properties or its body (CloudEvents AMQP binding §3), what Event Grid put
 * there, or the body as data. The id and source of data are the same at every delivery, and of no other message: the
 * sequence number, and the address of the entity. What CloudEvents bring of their own stays.
 */
export function toEvents(message: BusMessage, url: string, spec: Spec): PayloadRead {
  const { contentType, properties, body } = message
  const amqp = spec.payload === 'raw' ? undefined : readAmqp({ contentType, properties, body })
  const place = { azsequencenumber: message.sequence, ...said({ azsessionid: message.sessionId }) }
  if (amqp?.kind === 'event') {
    return { kind: 'events', events: [withAttributes(amqp.event, { ...place, ...spec.extensions })] }
  }
  const id = spec.idFrom === 'messageId' && message.messageId !== undefined ? message.messageId : message.sequence
  const fallback = { id, source: url, type: BUS_MESSAGE_TYPE, timeMs: message.enqueuedMs, contentType }
  const read = readPayload(body, spec.payload, fallback)
  if (read.kind !== 'events') return read
  const about = { ...place, ...envelopeOf(message) }
  const events = read.events.map(event => {
    const isData = event.attributes.type === BUS_MESSAGE_TYPE && event.attributes.source === url
    return withAttributes(event, { ...(isData ? about : place), ...spec.extensions })
  })
  return { kind: 'events', events }
}

/** What the message says beside its body, as attributes. */
function envelopeOf(message: BusMessage): Readonly<Record<string, string>> {
  const about: Record<string, string> = {}
  for (const [name, value] of Object.entries(message.properties)) {
    const attribute = `azprop${name.toLowerCase().replace(/[^a-z0-9]/g, '')}`
    const text = typeof value === 'number' ? String(value) : canonicalText(value)
    if (text !== undefined && attribute !== 'azprop' && !Object.hasOwn(about, attribute)) about[attribute] = text
  }
  const enqueued = message.enqueuedMs === undefined ? undefined : new Date(message.enqueuedMs).toISOString()
  return said({
    ...about,
    azmessageid: message.messageId,
    azcorrelationid: message.correlationId,
    azenqueuedtime: enqueued,
    partitionkey: message.partitionKey,
  })
}

/** Without what is not there, is empty, or no attribute may hold. */
function said(attributes: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {}
  for (const [name, text] of Object.entries(attributes)) {
    if (text !== undefined && text !== '' && !hasForbiddenCharacter(text)) kept[name] = text
  }
  return kept
}

/** For the log and the reports: which event, or which ones. */
export function idsOf(events: readonly CloudEvent[]): string {
  return events.map(event => event.attributes.id ?? '').join(', ')
}
