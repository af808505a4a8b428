import { setTimeout as pause } from 'node:timers/promises'
import type { DeliveryView, EventView } from '../contract/api.ts'
import { getList } from './api.ts'
import { deliveryWords } from './columns.ts'
import { plain } from './style.ts'
import { spanText } from './time.ts'

/** What became of one event. */
export interface Outcome {
  readonly id: string
  readonly kind: 'delivered' | 'failed' | 'unwanted' | 'open'
  readonly deliveries: readonly DeliveryView[]
}

const FIRST_LOOK_MS = 20
const LAST_LOOK_MS = 500
const MOST_EVENTS = 1000

/** Looks at events until every Trigger that wants one has it or has given up, for at most `timeoutMs`. @throws {Failure} */
export async function awaitDeliveries(
  origin: string,
  ids: readonly string[],
  source: string,
  timeoutMs: number,
): Promise<Outcome[]> {
  const endMs = performance.now() + timeoutMs
  const signal = AbortSignal.timeout(timeoutMs + 15_000)
  const query = new URLSearchParams({ limit: String(MOST_EVENTS), source })
  const [only] = ids
  if (ids.length === 1 && only !== undefined) query.set('id', only)
  for (let lookMs = FIRST_LOOK_MS; ; lookMs = Math.min(lookMs * 1.5, LAST_LOOK_MS)) {
    const events = await getList<EventView>(origin, `events?${query}`, signal)
    const byId = new Map(events.toReversed().map(event => [event.attributes.id, event]))
    const late = performance.now() >= endMs
    const outcomes = ids.map(id => outcomeOf(id, byId.get(id)))
    if (late || outcomes.every(one => one.kind !== 'open')) return outcomes
    await pause(Math.min(lookMs, Math.max(0, endMs - performance.now())))
  }
}

function outcomeOf(id: string, event: EventView | undefined): Outcome {
  const deliveries = event?.deliveries ?? []
  const kind = event === undefined ? 'open' : kindOf(deliveries)
  return { id, kind, deliveries }
}

function kindOf(deliveries: readonly DeliveryView[]): Outcome['kind'] {
  if (deliveries.length === 0) return 'unwanted'
  if (deliveries.some(one => one.state === 'waiting' || one.state === 'retrying')) return 'open'
  return deliveries.every(one => one.state === 'delivered') ? 'delivered' : 'failed'
}

/** For a person: what became of all of them, what is alike in one line. */
export function outcomeLines(outcomes: readonly Outcome[], timeoutMs: number): string[] {
  const groups = new Map<string, { count: number; tookMs: number[]; of: (took: string) => string }>()
  const add = (key: string, tookMs: number | null, of: (took: string) => string) => {
    const group = groups.get(key) ?? { count: 0, tookMs: [], of }
    group.count++
    if (tookMs !== null) group.tookMs.push(tookMs)
    groups.set(key, group)
  }
  for (const { deliveries, kind } of outcomes) {
    for (const one of deliveries) {
      const of = (took: string) => plain(`${one.trigger}  ${deliveryWords(one, took)}`)
      add(of(''), one.tookMs, of)
    }
    if (kind === 'unwanted') add('', null, () => 'no Trigger wanted it')
    if (kind === 'open')
      add('open', null, () => `${deliveries.length === 0 ? 'not seen' : 'still open'} after ${spanText(timeoutMs)}`)
  }
  return [...groups.values()].map(({ count, tookMs, of }) => {
    const times = [...new Set([Math.min(...tookMs), Math.max(...tookMs)].map(spanText))]
    const line = of(tookMs.length === 0 ? '' : times.join(' to '))
    return outcomes.length === 1 ? line : `${count} × ${line}`
  })
}
