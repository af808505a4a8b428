import type { TriggerBacklog } from '../../contract/backlog.ts'
import type { TriggerId } from '../../contract/ids.ts'
import type { ScalingProfile } from '../profile.ts'
import type { Decision, Seen, Work } from './decide.ts'
import type { Demand, ScaleTarget } from './target.ts'
import { Trail } from './trail.ts'

/** What the readers know at one moment. */
export interface Readings {
  readonly backlog: ReadonlyMap<TriggerId, TriggerBacklog>
  /** The last reading of a queue elsewhere, by the demand's key; undefined before the first. */
  readonly queue: (key: string) => Reading | undefined
}

/** Unknown is not zero. */
export type Reading =
  | { readonly kind: 'known'; readonly value: number }
  | { readonly kind: 'unknown'; readonly reason: string }

/** A Broker that owes this many events, or a minute of its Triggers' work, takes no more adapters. */
const BUFFER_EVENTS = 1_000
const BUFFER_MS = 60_000

/**
 * What one target has been through: turns readings into what `decide` looks at, and remembers what was decided.
 * Knows no clock: each call is told the time, monotonic ms that never go back.
 */
export class History {
  readonly #profile: ScalingProfile
  readonly #trails = new Map<TriggerId, Trail>()
  readonly #recommended: { readonly atMs: number; readonly replicas: number }[] = []
  #panicUntilMs: number | undefined
  #activeMs: number

  /** `desired` is what runs already: it counts as the first recommendation, so that a restart drops nothing. */
  constructor(profile: ScalingProfile, desired: number, nowMs: number) {
    this.#profile = profile
    this.#activeMs = nowMs
    this.#recommended.push({ atMs: nowMs, replicas: desired })
  }

  see(target: ScaleTarget, desired: number, readings: Readings, nowMs: number): Seen {
    const followed = new Set(target.downstream)
    for (const demand of target.demands) if (demand.kind === 'trigger') followed.add(demand.trigger)
    for (const trigger of followed) this.#follow(trigger, readings, nowMs)
    for (const trigger of this.#trails.keys()) if (!followed.has(trigger)) this.#trails.delete(trigger)

    const work = target.demands.map(demand => this.#work(demand, readings, nowMs))
    if (work.some(isActive)) this.#activeMs = nowMs
    return {
      desired,
      busy: busyReplicas(target, readings),
      work,
      idleMs: nowMs - this.#activeMs,
      recentPeak: this.#peak(nowMs),
      panicUntilMs: this.#panicUntilMs,
      outlet: this.#outlet(target, readings, nowMs),
    }
  }

  decided(decision: Decision, nowMs: number): void {
    this.#panicUntilMs = decision.panicUntilMs
    // Asleep. The burst of a minute ago says nothing of what the next event needs.
    if (decision.replicas === 0) for (const trail of this.#trails.values()) trail.restart()
    const replicas = decision.recommended
    // Only what no later recommendation exceeds can ever be the peak.
    while ((this.#recommended.at(-1)?.replicas ?? Number.POSITIVE_INFINITY) <= replicas) this.#recommended.pop()
    this.#recommended.push({ atMs: nowMs, replicas })
  }

  #follow(trigger: TriggerId, readings: Readings, nowMs: number): void {
    const backlog = readings.backlog.get(trigger)
    if (backlog === undefined) return
    const trail = this.#trails.get(trigger) ?? new Trail(this.#profile)
    this.#trails.set(trigger, trail)
    trail.add(backlog, nowMs)
    if (trail.movedMs === nowMs && !isPaused(backlog)) this.#activeMs = nowMs
  }

  #work(demand: Demand, readings: Readings, nowMs: number): Work {
    if (demand.kind === 'broken') return { kind: 'unknown', name: demand.name, reason: demand.reason }
    const { name } = demand
    if (demand.kind === 'queue') {
      const reading = readings.queue(demand.key) ?? { kind: 'unknown', reason: 'not read yet' }
      if (reading.kind === 'unknown') return { kind: 'unknown', name, reason: reading.reason }
      return { kind: 'queue', name, demand: demand.wants, waiting: reading.value }
    }
    const backlog = readings.backlog.get(demand.trigger)
    const trail = this.#trails.get(demand.trigger)
    if (backlog === undefined || trail === undefined) {
      return { kind: 'unknown', name, reason: 'the broker does not report this Trigger' }
    }
    const { waiting, inFlight, nextDueInMs } = backlog
    const { serviceMs } = trail
    const flow = isPaused(backlog)
      ? { waiting: 0, inFlight, nextDueInMs: undefined, stableRate: 0, panicRate: 0, serviceMs }
      : {
          waiting,
          inFlight,
          nextDueInMs,
          stableRate: trail.rate('accepted', this.#profile.stableMs, nowMs),
          panicRate: trail.rate('accepted', this.#profile.panicMs, nowMs),
          serviceMs,
        }
    return { kind: 'trigger', name, demand: demand.wants, flow }
  }

  #peak(nowMs: number): number {
    const from = nowMs - this.#profile.scaleInMs
    while ((this.#recommended[0]?.atMs ?? Number.POSITIVE_INFINITY) < from) this.#recommended.shift()
    return this.#recommended[0]?.replicas ?? 0
  }

  #outlet(target: ScaleTarget, readings: Readings, nowMs: number): boolean {
    return target.downstream.every(trigger => {
      const owed = readings.backlog.get(trigger)
      const perSecond = this.#trails.get(trigger)?.rate('delivered', this.#profile.stableMs, nowMs) ?? 0
      return owed === undefined || owed.waiting <= Math.max(BUFFER_EVENTS, (perSecond * BUFFER_MS) / 1_000)
    })
  }
}

/** Whoever is paused needs nobody, whatever waits or comes; only what is in flight is seen to its end. */
function isPaused(backlog: TriggerBacklog): boolean {
  return backlog.stopped?.by === 'pause'
}

function isActive(work: Work): boolean {
  switch (work.kind) {
    case 'trigger':
      return work.flow.waiting > 0 || work.flow.inFlight > 0
    case 'queue':
      return work.waiting > work.demand.activation
    case 'unknown':
      return false
    default:
      return work satisfies never
  }
}

/** Replicas of this target that hold an event of any Trigger that delivers to it. */
function busyReplicas(target: ScaleTarget, readings: Readings): number {
  const busy = new Set<string>()
  for (const demand of target.demands) {
    if (demand.kind !== 'trigger' || !demand.delivers) continue
    const byReplica = readings.backlog.get(demand.trigger)?.inFlightByReplica ?? {}
    for (const [replica, count] of Object.entries(byReplica)) if (count > 0) busy.add(replica)
  }
  return busy.size
}
