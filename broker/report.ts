import type { TriggerBacklog } from '../contract/backlog.ts'
import type { Clock } from '../runtime/clock.ts'
import type { TriggerReading, TriggerTally } from './counters.ts'
import type { Endpoints } from './endpoints.ts'
import type { LaneSpec } from './job.ts'
import type { StoreCounts } from './store.ts'

/** What a lane says of itself: counters and the store's counts, no scan. */
export interface Report {
  readonly spec: LaneSpec
  readonly tally: TriggerTally
  readonly stopped: TriggerBacklog['stopped']
}

/** For the autoscaler and for people. */
export function backlogOf({ spec, tally, stopped }: Report, endpoints: Endpoints, clock: Clock): TriggerBacklog {
  const { route, store } = spec
  const counts = store.counts(route.id) ?? NOTHING
  const nowMs = clock.nowMs()
  const { waiting, blocked, retrying, parked, inFlight, oldestMs, nextDueMs } = counts
  const { delivered, deadLettered, failed, busyMs, lastError, notice } = tally
  return {
    trigger: route.id,
    waiting,
    blocked,
    retrying,
    parked,
    inFlight,
    inFlightByReplica: route.subscriber.kind === 'workload' ? endpoints.inFlight(route.subscriber.workload) : {},
    oldestAgeMs: oldestMs === undefined ? undefined : Math.max(0, nowMs - oldestMs),
    nextDueInMs: nextDueMs === undefined ? undefined : Math.max(0, nextDueMs - nowMs),
    accepted: tally.matched,
    delivered,
    deadLettered,
    failed,
    busyMs,
    lastError,
    notice,
    stopped,
  }
}

/** For the metrics page. */
export function readingOf({ spec: { route, store }, tally, stopped }: Report): TriggerReading {
  const { waiting, retrying, parked, inFlight } = store.counts(route.id) ?? NOTHING
  return { trigger: route.id, tally, waiting, inFlight, retrying, parked, stopped: stopped !== undefined }
}

const NOTHING: StoreCounts = {
  waiting: 0,
  blocked: 0,
  retrying: 0,
  inFlight: 0,
  parked: 0,
  oldestMs: undefined,
  nextDueMs: undefined,
}
