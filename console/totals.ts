import type { ReplicasView, SourceView, StateView, TriggerView } from '../contract/api.ts'
import { count } from './format.ts'
import type { Picture } from './live.ts'

/** The whole of Weir in one line, from left to right as events flow. */
export interface Totals {
  /** Null where there is no source at all. */
  readonly lag: { readonly known: number; readonly unknown: number } | null
  readonly held: number
  readonly accepted: number
  readonly unmatched: number
  readonly backlog: number
  readonly inFlight: number
  readonly retrying: number
  readonly replicasReady: number
  readonly replicasDesired: number
  readonly delivered: number
  readonly rate: number
  readonly parked: number
  readonly deadLettered: number
}

export function totalsOf({ brokers, triggers, sources }: StateView): Totals {
  const replicas = subscribersOf(triggers)
  return {
    lag: lagOf(sources),
    held: sum(sources, source => source.held),
    accepted: sum(brokers, broker => broker.accepted),
    unmatched: sum(brokers, broker => broker.unmatched),
    backlog: sum(triggers, trigger => trigger.backlog),
    inFlight: sum(triggers, trigger => trigger.inFlight),
    retrying: sum(triggers, trigger => trigger.retrying),
    replicasReady: sum(replicas, ({ ready }) => ready),
    replicasDesired: sum(replicas, ({ desired }) => desired),
    delivered: sum(triggers, trigger => trigger.delivered),
    rate: sum(triggers, trigger => trigger.rate),
    parked: sum(triggers, trigger => trigger.parked),
    deadLettered: sum(triggers, trigger => trigger.deadLettered),
  }
}

function lagOf(sources: readonly SourceView[]): Totals['lag'] {
  if (sources.length === 0) return null
  return {
    known: sum(sources, source => source.lag ?? 0),
    unknown: sources.filter(source => source.lag === null).length,
  }
}

/** Each subscriber once: two Triggers may well lead to one. */
function subscribersOf(triggers: readonly TriggerView[]): readonly ReplicasView[] {
  const found = new Map<string, ReplicasView>()
  for (const { subscriber, replicas } of triggers) if (replicas !== null) found.set(subscriber, replicas)
  return [...found.values()]
}

function sum<T>(of: readonly T[], value: (one: T) => number): number {
  return of.reduce((total, one) => total + value(one), 0)
}

/** For the browser's tab: what a person wants to know from afar. */
export function titleOf({ connection, state }: Picture): string {
  if (connection.kind === 'lost') return 'Weir stopped?'
  if (state === undefined) return 'Weir'
  const { backlog, parked } = totalsOf(state)
  if (backlog > 0) return `${count(backlog)} waiting · Weir`
  return parked > 0 ? `${count(parked)} parked · Weir` : 'Weir'
}
