import type { DeliveryView, EventView } from '../contract/api.ts'

/** Stable while an event changes, and another one after a restart of Weir, which may count from 1 again. */
export function keyOfEvent(event: EventView): string {
  return `${event.namespace}/${event.broker}/${event.seq}/${event.acceptedMs}`
}

/** `changed` over `kept`, newest first, the oldest forgotten beyond `most`. An event that did not change stays the same object. */
export function mergeEvents(
  kept: readonly EventView[],
  changed: readonly EventView[],
  most: number,
): readonly EventView[] {
  const byKey = new Map(kept.map(event => [keyOfEvent(event), event]))
  for (const event of changed) byKey.set(keyOfEvent(event), event)
  // By sequence, not by time: the wall clock may have jumped in between.
  return [...byKey.values()].sort((a, b) => b.seq - a.seq).slice(0, most)
}

const worstFirst: readonly DeliveryView['state'][] = [
  'parked',
  'dead-lettered',
  'discarded',
  'retrying',
  'waiting',
  'delivered',
]

/** The same rows as `held`, each as it is known now: a list that stands still does not tell old states. */
export function withNews(held: readonly EventView[], events: readonly EventView[]): readonly EventView[] {
  if (held === events) return held
  const byKey = new Map(events.map(event => [keyOfEvent(event), event]))
  return held.map(event => byKey.get(keyOfEvent(event)) ?? event)
}

/** Worst first, then by name: where only a few of many deliveries fit, those that need a person are among them. */
export function worstDeliveries(deliveries: readonly DeliveryView[]): readonly DeliveryView[] {
  const rank = (delivery: DeliveryView) => worstFirst.indexOf(delivery.state)
  return [...deliveries].sort((a, b) => rank(a) - rank(b) || compareText(a.trigger, b.trigger))
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** A filter that a person typed, ready to be asked. */
export type EventFilter = (event: EventView) => boolean

/**
 * Words, all of which must be there, in any case and anywhere: `order`. `type:order` looks in one attribute,
 * `trigger:worker`, `state:parked` and `broker:default` at what became of it; `-` in front turns a word around.
 * Empty text lets everything through.
 */
export function parseEventFilter(text: string): EventFilter {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map(parseWord)
  return event => tests.every(test => test(event))
}

function parseWord(word: string): EventFilter {
  if (word.length > 1 && word.startsWith('-')) {
    const wanted = parseWord(word.slice(1))
    return event => !wanted(event)
  }
  const colon = word.indexOf(':')
  const field = colon > 0 ? fields.get(word.slice(0, colon)) : undefined
  const needle = field === undefined ? word : word.slice(colon + 1)
  const look = field ?? everything
  return event => look(event).some(text => text.toLowerCase().includes(needle))
}

type Look = (event: EventView) => readonly string[]

const attribute =
  (name: string): Look =>
  event => [event.attributes[name] ?? '']

const fields: ReadonlyMap<string, Look> = new Map<string, Look>([
  ['type', attribute('type')],
  ['source', attribute('source')],
  ['id', attribute('id')],
  ['subject', attribute('subject')],
  ['broker', event => [`${event.namespace}/${event.broker}`]],
  ['trigger', event => event.deliveries.map(delivery => delivery.trigger)],
  ['state', states],
])

function states(event: EventView): readonly string[] {
  return event.deliveries.length === 0 ? ['unmatched'] : event.deliveries.map(delivery => delivery.state)
}

function everything(event: EventView): readonly string[] {
  const told = event.deliveries.flatMap(({ trigger, last }) => (last === null ? [trigger] : [trigger, last]))
  return [...Object.values(event.attributes), ...states(event), ...told]
}
