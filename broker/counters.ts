import type { BrokerId, TriggerId } from '../contract/ids.ts'
import type { Family, Metrics, Sample } from '../runtime/metrics.ts'

/** Counters of one Broker, since the process began. */
export interface BrokerCounters {
  readonly broker: BrokerId
  readonly accepted: number
  /** Accepted and wanted by no Trigger. */
  readonly unmatched: number
  /** Answered 4xx or 5xx at the door. */
  readonly refused: number
  /** Known by source and id, and so not stored again. */
  readonly duplicates: number
  /** Requests answered 429, because their namespace used up its quota. In `refused` too. */
  readonly overQuota: number
}

/** What is counted of one Broker since the process began. */
export interface BrokerTally {
  accepted: number
  unmatched: number
  refused: number
  duplicates: number
  overQuota: number
}

export function emptyBrokerTally(): BrokerTally {
  return { accepted: 0, unmatched: 0, refused: 0, duplicates: 0, overQuota: 0 }
}

/**
 * Attempts by what they ended in. `retried` and `failed` are failures: the one is tried again, the other is not. `deferred`:
 * the handler asked for the event later, which is none.
 */
export type Outcome = 'delivered' | 'retried' | 'failed' | 'deferred' | 'abandoned'

/** What is counted of one Trigger since the process began. */
export interface TriggerTally {
  /** Events that it wanted. */
  matched: number
  delivered: number
  deadLettered: number
  /** Attempts of either stage that failed. */
  failed: number
  busyMs: number
  /** Replies that were not taken because their event had been through too many Brokers. */
  repliesDropped: number
  /** Events whose time was over before they were delivered. */
  expired: number
  /** Events that its condition on data had no answer for. */
  filterErrors: number
  /** How often its circuit opened. */
  circuitOpened: number
  readonly attempts: Record<Outcome, number>
  lastError: string | undefined
  notice: string | undefined
}

export function emptyTriggerTally(): TriggerTally {
  return {
    matched: 0,
    delivered: 0,
    deadLettered: 0,
    failed: 0,
    busyMs: 0,
    repliesDropped: 0,
    expired: 0,
    filterErrors: 0,
    circuitOpened: 0,
    attempts: { delivered: 0, retried: 0, failed: 0, deferred: 0, abandoned: 0 },
    lastError: undefined,
    notice: undefined,
  }
}

/** One Trigger as the metrics page shows it. */
export interface TriggerReading {
  readonly trigger: TriggerId
  readonly tally: TriggerTally
  readonly waiting: number
  readonly inFlight: number
  readonly retrying: number
  readonly parked: number
  readonly stopped: boolean
}

/** Registers the broker's families. Names and labels are Prometheus' own rules; labels come from YAML names only. */
export function registerMetrics(
  metrics: Metrics,
  brokers: () => readonly BrokerCounters[],
  triggers: () => readonly TriggerReading[],
): void {
  const broker = (name: string, help: string, read: (counters: BrokerCounters) => number) =>
    metrics.add(family(name, help, 'counter', brokers, one => [{ labels: brokerLabels(one.broker), value: read(one) }]))
  broker('weir_events_accepted_total', 'Events that are durable: answered 202, or replies.', one => one.accepted)
  broker('weir_events_refused_total', 'Requests answered with 4xx or 5xx.', one => one.refused)
  broker('weir_events_duplicate_total', 'Events that were known by source and id.', one => one.duplicates)
  broker('weir_requests_over_quota_total', 'Requests answered 429.', one => one.overQuota)
  broker('weir_events_unmatched_total', 'Accepted events that no Trigger wanted.', one => one.unmatched)

  const trigger = (name: string, help: string, type: Family['type'], read: (one: TriggerReading) => number) =>
    metrics.add(family(name, help, type, triggers, one => [{ labels: triggerLabels(one.trigger), value: read(one) }]))
  trigger('weir_events_delivered_total', 'Events their subscriber took.', 'counter', one => one.tally.delivered)
  trigger('weir_events_dead_lettered_total', 'Events the sink took.', 'counter', one => one.tally.deadLettered)
  trigger('weir_replies_dropped_total', 'Replies out of hops.', 'counter', one => one.tally.repliesDropped)
  trigger('weir_filter_errors_total', 'Events without an answer.', 'counter', one => one.tally.filterErrors)
  trigger('weir_events_expired_total', 'Events that expired first.', 'counter', one => one.tally.expired)
  trigger('weir_circuit_opened_total', 'Pauses after failures in a row.', 'counter', one => one.tally.circuitOpened)
  trigger('weir_trigger_stopped', '1 while nothing is attempted: paused, or its circuit is open.', 'gauge', one =>
    one.stopped ? 1 : 0,
  )
  trigger('weir_trigger_backlog', 'Events that are due and wait.', 'gauge', one => one.waiting)
  trigger('weir_trigger_in_flight', 'Events at the subscriber.', 'gauge', one => one.inFlight)
  trigger('weir_trigger_retrying', 'Events that wait for their next attempt.', 'gauge', one => one.retrying)
  trigger('weir_trigger_parked', 'Events that wait for a person.', 'gauge', one => one.parked)
  metrics.add(
    family('weir_delivery_attempts_total', 'Requests made to subscribers and sinks.', 'counter', triggers, attempts),
  )
}

function attempts({ trigger, tally }: TriggerReading): Sample[] {
  return Object.entries(tally.attempts).map(([outcome, value]) => ({
    labels: { ...triggerLabels(trigger), outcome },
    value,
  }))
}

function family<One>(
  name: string,
  help: string,
  type: Family['type'],
  all: () => readonly One[],
  samples: (one: One) => readonly Sample[],
): Family {
  return { name, help, type, read: () => all().flatMap(samples) }
}

function brokerLabels(id: BrokerId): Record<string, string> {
  const { namespace, name } = splitId(id)
  return { namespace, broker: name }
}

function triggerLabels(id: TriggerId): Record<string, string> {
  const { namespace, name } = splitId(id)
  return { namespace, trigger: name }
}

/** A name has no slash in it, so the first one is the border (contract/ids.ts). */
export function splitId(id: BrokerId | TriggerId): { readonly namespace: string; readonly name: string } {
  const slash = id.indexOf('/')
  return { namespace: id.slice(0, slash), name: id.slice(slash + 1) }
}
