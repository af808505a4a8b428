import { isUtf8 } from 'node:buffer'
import type { ArchivedEvent, DeliveryPage, StoredDelivery, StoredEvent } from '../broker/archive.ts'
import type {
  AttemptView,
  DeliveryDetailView,
  EventDetailView,
  OwedEventView,
  StoredEventView,
  UnmatchedView,
} from '../contract/api.ts'
import { explainFilters } from '../contract/explain-filter.ts'
import type { BrokerId, TriggerId } from '../contract/ids.ts'
import type { TriggerRoute } from '../contract/routes.ts'
import { toStructured } from '../event/convert.ts'
import { eventData } from '../event/http.ts'

/** What a page, or a terminal, is shown of an event's data. */
const DATA_MAX = 16 << 10

export function storedEvent(event: ArchivedEvent, whole: boolean): StoredEventView {
  return {
    seq: event.seq,
    acceptedMs: event.acceptedMs,
    attributes: event.event.attributes,
    bytes: event.event.body.byteLength,
    damaged: event.damaged,
    event: whole && !event.damaged ? JSON.parse(envelopeLine(event)) : null,
  }
}

/** A structured CloudEvent on a line of its own. */
export function envelopeLine({ event }: ArchivedEvent): string {
  const text = Buffer.from(toStructured(event).body).toString('utf8')
  // Line breaks in an envelope stand between its parts only.
  return `${text.replaceAll(/[\r\n]+/g, ' ')}\n`
}

export function eventDetail(event: StoredEvent, broker: BrokerId, triggers: readonly TriggerRoute[]): EventDetailView {
  const [namespace = '', name = ''] = broker.split('/')
  const given = new Set(event.deliveries.map(one => one.trigger))
  return {
    ...storedEvent(event, false),
    namespace,
    broker: name,
    data: event.damaged ? { text: '', encoding: 'text', truncated: false } : dataView(event),
    deliveries: event.deliveries.map(deliveryDetail),
    unmatched: triggers.filter(one => !given.has(one.id)).map(one => unmatched(one, event)),
  }
}

function unmatched({ id, filters }: TriggerRoute, { event, damaged }: StoredEvent): UnmatchedView {
  if (damaged) return { trigger: nameOf(id), matchesNow: false, clause: '', words: 'the event is damaged' }
  const { matches, clause, words } = explainFilters(filters, event)
  return { trigger: nameOf(id), matchesNow: matches, clause, words }
}

function dataView({ event }: StoredEvent): EventDetailView['data'] {
  const { bytes } = eventData(event)
  const truncated = bytes.byteLength > DATA_MAX
  const shown = Buffer.from(bytes.subarray(0, DATA_MAX))
  if (isUtf8(bytes)) {
    // `stream` leaves out a character that the cut split.
    return { text: new TextDecoder().decode(shown, { stream: true }), encoding: 'text', truncated }
  }
  return { text: shown.toString('base64'), encoding: 'base64', truncated }
}

export function owedEvent(delivery: DeliveryPage['deliveries'][number]): OwedEventView {
  return { ...storedEvent(delivery.event, false), delivery: deliveryDetail(delivery) }
}

export function deliveryDetail({ trigger, state, dueMs, failure, attempts }: StoredDelivery): DeliveryDetailView {
  const sorted = [...attempts].sort((a, b) => a.atMs - b.atMs || stageOrder(a.stage) - stageOrder(b.stage))
  return {
    trigger: nameOf(trigger),
    state,
    nextDueMs: dueMs ?? null,
    failure: failure ?? null,
    attempts: sorted.map(
      ({ stage, attempt, atMs, tookMs, status, words, fate }): AttemptView => ({
        stage,
        number: attempt + 1,
        atMs,
        tookMs,
        status: status ?? null,
        words,
        followed: fate,
      }),
    ),
  }
}

function stageOrder(stage: AttemptView['stage']): number {
  return stage === 'subscriber' ? 0 : 1
}

/** A Trigger is of its Broker's namespace. */
function nameOf(id: TriggerId): string {
  return id.slice(id.indexOf('/') + 1)
}
