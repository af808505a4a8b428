import type {
  BrokerView,
  DeliveryView,
  EventView,
  ReplicasView,
  ScaleView,
  SinkView,
  SourceView,
  TriggerView,
} from '../contract/api.ts'
import type { Tone } from './style.ts'
import type { Column } from './table.ts'
import { ageText, spanText } from './time.ts'

interface Ready {
  readonly ready: boolean
  readonly reason: string
}

const ready: Column<Ready> = {
  title: 'READY',
  of: row => (row.ready ? 'True' : 'False'),
  tone: row => (row.ready ? 'good' : 'bad'),
}
const reason: Column<Ready> = { title: 'REASON', of: row => row.reason, whole: true }
const name: Column<{ readonly name: string }> = { title: 'NAME', of: row => row.name, tone: () => 'strong' }

export const brokerColumns: readonly Column<BrokerView>[] = [
  name,
  ready,
  { title: 'TRIGGERS', of: row => row.triggers },
  { title: 'ACCEPTED', of: row => row.accepted },
  { title: 'UNMATCHED', of: row => row.unmatched, tone: row => warnAbove(row.unmatched) },
  { title: 'URL', of: row => row.url },
  reason,
]

export const triggerColumns: readonly Column<TriggerView>[] = [
  name,
  { title: 'BROKER', of: row => row.broker },
  ready,
  { title: 'REPLICAS', of: row => replicasText(row.replicas) },
  { title: 'BACKLOG', of: row => row.backlog },
  { title: 'IN-FLIGHT', of: row => row.inFlight },
  { title: 'RETRYING', of: row => row.retrying, tone: row => warnAbove(row.retrying) },
  { title: 'PARKED', of: row => row.parked, tone: row => (row.parked > 0 ? 'bad' : undefined) },
  { title: 'DELIVERED', of: row => row.delivered },
  { title: 'RATE', of: row => rateText(row.rate) },
  { title: 'OLDEST', of: row => (row.oldestAgeMs === null ? '-' : ageText(row.oldestAgeMs)) },
  { title: 'SUBSCRIBER', of: row => row.subscriber || '-', wide: true },
  { title: 'DEAD-LETTERED', of: row => row.deadLettered, wide: true },
  { title: 'FAILED', of: row => row.failed, wide: true },
  { title: 'LAST-ERROR', of: row => row.lastError ?? '-', wide: true },
  { title: 'NOTICE', of: row => row.notice ?? '-', wide: true },
  { title: 'STOPPED', of: row => stoppedText(row), wide: true },
  reason,
]

export const sourceColumns: readonly Column<SourceView>[] = [
  name,
  { title: 'KIND', of: row => row.kind },
  ready,
  { title: 'LAG', of: row => row.lag ?? '?' },
  { title: 'HELD', of: row => row.held },
  { title: 'EMITTED', of: row => row.emitted },
  { title: 'RATE', of: row => rateText(row.rate) },
  { title: 'REPLICAS', of: row => replicasText(row.replicas) },
  { title: 'SINK', of: row => row.sink || '-' },
  { title: 'ADDRESS', of: row => row.address ?? '-', wide: true },
  reason,
]

export const sinkColumns: readonly Column<SinkView>[] = [
  name,
  { title: 'KIND', of: row => row.kind },
  ready,
  { title: 'SENT', of: row => row.sent },
  { title: 'URL', of: row => row.url || '-' },
  { title: 'TROUBLE', of: row => row.trouble ?? '-', whole: true },
  reason,
]

export const scaleColumns: readonly Column<ScaleView>[] = [
  { title: 'KIND', of: row => row.kind },
  name,
  { title: 'READY', of: row => row.replicas.ready },
  { title: 'DESIRED', of: row => row.replicas.desired },
  { title: 'MIN', of: row => row.replicas.min },
  { title: 'MAX', of: row => row.replicas.max },
  { title: 'BY', of: row => row.by },
  { title: 'WHY', of: row => row.explain || '-', whole: true },
]

/** `nowMs` is what ages count from. */
export function eventColumns(nowMs: number): readonly Column<EventView>[] {
  return [
    { title: 'AGE', of: row => ageText(nowMs - row.acceptedMs) },
    { title: 'BROKER', of: row => row.broker },
    { title: 'TYPE', of: row => row.attributes.type ?? '', tone: () => 'strong' },
    { title: 'SOURCE', of: row => row.attributes.source ?? '' },
    { title: 'ID', of: row => row.attributes.id ?? '' },
    { title: 'BYTES', of: row => row.bytes, wide: true },
    { title: 'DELIVERIES', of: row => deliveriesText(row), tone: row => deliveriesTone(row) },
  ]
}

const UNWANTED = 'no Trigger wanted it'

function deliveriesText(event: EventView): string {
  if (event.deliveries.length === 0) return UNWANTED
  return event.deliveries.map(one => `${one.trigger} ${deliveryText(one)}`).join(', ')
}

/** `delivered 200 12ms`, `retrying 503, attempt 2`, `waiting`. */
export function deliveryText(delivery: DeliveryView): string {
  return deliveryWords(delivery, delivery.tookMs === null ? '' : spanText(delivery.tookMs))
}

/** As `deliveryText`, with `took` for the time that a delivery took. */
export function deliveryWords(delivery: DeliveryView, took: string): string {
  const parts: string[] = [delivery.state]
  if (delivery.last !== null) parts.push(delivery.last)
  if (delivery.state === 'delivered' && took !== '') parts.push(took)
  const again = delivery.state === 'delivered' ? delivery.attempts > 1 : delivery.attempts > 0
  return parts.join(' ') + (again ? `, attempt ${delivery.attempts}` : '')
}

export const deliveryTone: Readonly<Record<DeliveryView['state'], Tone>> = {
  waiting: 'dim',
  delivered: 'good',
  retrying: 'warn',
  'dead-lettered': 'bad',
  parked: 'bad',
  discarded: 'warn',
}

/** `pause`, `circuit 12s`. */
export function stoppedText({ stopped, stoppedForMs }: TriggerView): string {
  if (stopped === null) return '-'
  return stoppedForMs === null ? stopped : `${stopped} ${spanText(stoppedForMs)}`
}

function deliveriesTone(event: EventView): Tone | undefined {
  const states = event.deliveries.map(one => one.state)
  if (states.length === 0) return 'dim'
  if (states.some(state => state === 'parked' || state === 'dead-lettered')) return 'bad'
  return states.includes('retrying') ? 'warn' : undefined
}

function replicasText(replicas: ReplicasView | null): string {
  return replicas === null ? '-' : `${replicas.ready}/${replicas.desired} of ${replicas.max}`
}

function rateText(perSecond: number): string {
  return perSecond === 0 ? '-' : `${perSecond < 10 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond)}/s`
}

function warnAbove(count: number): Tone | undefined {
  return count > 0 ? 'warn' : undefined
}
