import type { ScalingProfile } from '../profile.ts'
import { explain } from './explain.ts'

/** What a target may have. Counts of replicas. */
export interface Limits {
  readonly min: number
  readonly max: number
  /** Idle this long before the last replicas go. */
  readonly cooldownMs: number
  readonly profile: ScalingProfile
}

/** What is known of a target at one moment. Times are durations, so that no clock is needed to read it. */
export interface Seen {
  /** Replicas asked for. They count as capacity from the moment they are asked for. */
  readonly desired: number
  /** Replicas with at least one event in flight. */
  readonly busy: number
  readonly work: readonly Work[]
  /** Since anything waited, was in flight, came or went. */
  readonly idleMs: number
  /** The highest recommendation within the scale-in window, not counting this moment's. */
  readonly recentPeak: number
  /** When the panic ends that an earlier decision began; monotonic ms. */
  readonly panicUntilMs: number | undefined
  /** False: taking events from upstream faster would only move the backlog (an adapter whose Broker is behind). */
  readonly outlet: boolean
}

/** One thing that a target works on. A reading that failed is `unknown`, which is never zero. */
export type Work =
  | { readonly kind: 'trigger'; readonly name: string; readonly demand: DemandOfWork; readonly flow: Flow }
  | { readonly kind: 'queue'; readonly name: string; readonly demand: DemandOfWork; readonly waiting: number }
  | { readonly kind: 'unknown'; readonly name: string; readonly reason: string }

export interface DemandOfWork {
  /** Waiting events per replica, as declared; kept as KEDA keeps it. */
  readonly target: number | undefined
  /** At zero, only more than this many waiting wake the target. */
  readonly activation: number
  /** Requests open at once per replica. */
  readonly concurrency: number
}

/** A Trigger's numbers, as the broker that delivers for it knows them. */
export interface Flow {
  readonly waiting: number
  readonly inFlight: number
  /** Ms until the first retry is due; undefined when none is. */
  readonly nextDueInMs: number | undefined
  /** Arrivals in events per second, over the stable and over the panic window. */
  readonly stableRate: number
  readonly panicRate: number
  /** Of one event, without waiting; undefined before enough were delivered. */
  readonly serviceMs: number | undefined
}

export interface Decision {
  readonly replicas: number
  /** What is wanted at this moment, before a window holds it up: it enters the scale-in window. */
  readonly recommended: number
  readonly panicUntilMs: number | undefined
  readonly terms: Terms
  /** The same in words. */
  readonly explain: string
}

/** Every number that led to a decision. */
export interface Terms {
  readonly waiting: number
  readonly inFlight: number
  /** ⌈waiting / target⌉, the largest over what declares one. 0 when nothing does. */
  readonly declared: number
  /** ⌈waiting / default target⌉ of what has neither a target nor a service time. */
  readonly assumed: number
  /** The core rule over the stable and the panic window. */
  readonly stable: number
  readonly panic: number
  readonly stableRate: number
  readonly serviceMs: number | undefined
  readonly unknown: readonly string[]
  /** What had the last word. */
  readonly rule: Rule
}

export type Rule =
  | 'asleep'
  | 'idle'
  | 'cooling'
  | 'needed'
  | 'panic'
  | 'window'
  | 'busy'
  | 'unknown'
  | 'outlet'
  | 'min'
  | 'max'

/**
 * Idle replicas go first. Under a load that is spread evenly none is idle for long, so busy ones are let go too: no more
 * than this many at a time, and each only when it has drained, which the world sees to.
 */
const DRAINING_AT_ONCE = 1

/**
 * How many replicas a target should have. Pure. `nowMs` is monotonic.
 *
 * A declared target asks for ⌈B/target⌉, as KEDA does. The core rule, ⌈(λ + B/T)·S/(c·ρ)⌉ (Little's law with a drain goal
 * T and a utilisation ρ), adds to that and never takes away. At zero the answer goes straight to the number needed; down it
 * goes to the highest number wanted within the scale-in window. Zero is only reached with nothing waiting, nothing in
 * flight and no retry due soon, after the cooldown; then it is reached at once, because nothing is interrupted by it.
 */
export function decide(seen: Seen, limits: Limits, nowMs: number): Decision {
  const load = measure(seen.work, limits.profile)
  const inPanic = load.panic >= 2 * Math.max(1, seen.desired)
  const panicUntilMs = inPanic ? nowMs + limits.profile.scaleInMs : still(seen.panicUntilMs, nowMs)
  const recommended = recommend(seen, load, limits, panicUntilMs !== undefined)
  const chosen = choose(seen, load, limits, recommended, panicUntilMs !== undefined)
  const terms: Terms = { ...load, rule: chosen.rule }
  return {
    replicas: chosen.replicas,
    recommended: recommended.replicas,
    panicUntilMs,
    terms,
    explain: explain(chosen.replicas, terms, limits, seen),
  }
}

interface Choice {
  readonly replicas: number
  readonly rule: Rule
}

type Load = Omit<Terms, 'rule'> & {
  /** Something waits that is worth waking up for. */
  readonly wakes: boolean
  /** Something is there that replicas could still be needed for. */
  readonly owed: boolean
}

function measure(work: readonly Work[], profile: ScalingProfile): Load {
  const sum = { waiting: 0, inFlight: 0, declared: 0, assumed: 0, stable: 0, panic: 0, stableRate: 0 }
  const service: { ms: number | undefined } = { ms: undefined }
  const unknown: string[] = []
  let wakes = false
  let owed = false
  for (const one of work) {
    if (one.kind === 'unknown') {
      unknown.push(`${one.name}: ${one.reason}`)
      continue
    }
    const waiting = one.kind === 'trigger' ? one.flow.waiting : one.waiting
    const { target, activation, concurrency } = one.demand
    sum.waiting += waiting
    wakes ||= waiting > activation
    if (target !== undefined) sum.declared = Math.max(sum.declared, Math.ceil(waiting / target))
    if (one.kind === 'queue') {
      // Seen from outside, a queue may hold what no worker takes: at or under its threshold it keeps nobody awake (KEDA).
      owed ||= waiting > activation
      if (target === undefined) sum.assumed += waiting / profile.defaultTarget
      continue
    }
    const { inFlight, nextDueInMs, serviceMs, stableRate, panicRate } = one.flow
    sum.inFlight += inFlight
    sum.stableRate += stableRate
    owed ||= waiting > 0 || inFlight > 0 || (nextDueInMs !== undefined && nextDueInMs <= profile.retrySoonMs)
    if (serviceMs !== undefined) {
      service.ms = Math.max(service.ms ?? 0, serviceMs)
      const secondsPerReplica = serviceMs / 1_000 / (concurrency * profile.utilisation)
      const drainRate = waiting / (profile.drainGoalMs / 1_000)
      sum.stable += (stableRate + drainRate) * secondsPerReplica
      sum.panic += (panicRate + drainRate) * secondsPerReplica
    } else if (target === undefined) {
      sum.assumed += waiting / profile.defaultTarget
    }
  }
  return {
    ...sum,
    assumed: Math.ceil(sum.assumed),
    stable: ceilLoad(sum.stable),
    panic: ceilLoad(sum.panic),
    serviceMs: service.ms,
    unknown,
    wakes,
    owed,
  }
}

/** Sums of fractions: a rounding error must not ask for one more replica. */
function ceilLoad(load: number): number {
  return Math.ceil(load - 1e-9)
}

/** What this moment asks for, within the bounds and without looking back. */
function recommend(seen: Seen, load: Load, limits: Limits, panic: boolean): Choice {
  const asleep = seen.desired === 0 && seen.busy === 0
  if (asleep && !load.wakes) return within(limits, { replicas: 0, rule: 'asleep' })
  if (!load.owed && seen.busy === 0 && seen.idleMs >= limits.cooldownMs) {
    return within(limits, { replicas: 0, rule: 'idle' })
  }
  const calm = Math.max(1, load.declared, load.assumed, load.stable)
  if (panic && load.panic > calm) return within(limits, { replicas: load.panic, rule: 'panic' })
  return within(limits, { replicas: calm, rule: load.owed || load.stable > 1 ? 'needed' : 'cooling' })
}

/** The recommendation, held up by everything that must not be cut short. The bounds have the last word. */
function choose(seen: Seen, load: Load, limits: Limits, recommended: Choice, panic: boolean): Choice {
  const held = hold(seen, load, limits, recommended, panic)
  const floor = seen.busy - DRAINING_AT_ONCE
  return within(limits, floor > held.replicas ? { replicas: floor, rule: 'busy' } : held)
}

function hold(seen: Seen, load: Load, limits: Limits, recommended: Choice, panic: boolean): Choice {
  const { desired } = seen
  if (!seen.outlet && recommended.replicas > Math.max(1, desired))
    return { replicas: Math.max(1, desired), rule: 'outlet' }
  if (recommended.replicas >= desired) return recommended
  if (load.unknown.length > 0) return { replicas: desired, rule: 'unknown' }
  // Nothing has been there for the whole cooldown: no window has anything to protect.
  if (recommended.rule === 'idle') return recommended
  if (panic) return { replicas: desired, rule: 'panic' }
  const peak = Math.min(desired, seen.recentPeak, limits.max)
  return peak > recommended.replicas ? { replicas: peak, rule: 'window' } : recommended
}

/** The user's bounds. Above `max` even a busy replica is over: the world lets it finish before it goes. */
function within(limits: Limits, choice: Choice): Choice {
  if (choice.replicas > limits.max) return { replicas: limits.max, rule: 'max' }
  if (choice.replicas < limits.min) return { replicas: limits.min, rule: 'min' }
  return choice
}

function still(untilMs: number | undefined, nowMs: number): number | undefined {
  return untilMs !== undefined && untilMs > nowMs ? untilMs : undefined
}
