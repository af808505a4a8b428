import type { TriggerId } from '../contract/ids.ts'
import type { BrokerRoute, Quota } from '../contract/routes.ts'
import type { Clock } from '../runtime/clock.ts'
import { splitId } from './counters.ts'
import { TokenBucket } from './limits.ts'
import type { StoreCounts } from './store.ts'

/** Why events are not taken now. */
export interface OverQuota {
  readonly namespace: string
  readonly what: 'events-per-second' | 'bytes-per-second' | 'backlog'
  readonly limit: number
  /** When they would be, ms from now; for a backlog a guess, because it shrinks as fast as subscribers are. */
  readonly waitMs: number
}

/** What the Triggers of a namespace are owed now, and how many Triggers those are. */
export interface Owed {
  readonly events: number
  readonly triggers: number
}

/** While the backlog is full it is counted this often, however many ask. */
const RECOUNT_MS = 50
const BACKLOG_WAIT_MS = 5000

/**
 * What one namespace uses of its quota, all of its Brokers together. Counted at the door only: replies inside the broker
 * would burn the attempts of the events they answer, so they are never refused, and only what they add to the backlog counts.
 * Rates allow a second's worth at once; what is larger, a batch or a body, waits until nothing is used, and those after it
 * wait the longer. The backlog is what the stores count: what is on its way into them comes on top.
 */
export class NamespaceQuota {
  readonly #namespace: string
  readonly #clock: Clock
  readonly #owed: () => Owed
  #quota: Quota
  #events: TokenBucket | undefined
  #bytes: TokenBucket | undefined
  /** Events that may come before the backlog has to be counted again: so few that they cannot fill it. */
  #uncounted = 0
  #fullMs = Number.NEGATIVE_INFINITY

  constructor(namespace: string, quota: Quota, clock: Clock, owed: () => Owed) {
    this.#namespace = namespace
    this.#clock = clock
    this.#owed = owed
    this.#quota = quota
    this.update(quota)
  }

  update(quota: Quota): void {
    const nowMs = this.#clock.monotonicMs()
    this.#quota = quota
    this.#events = bucket(this.#events, quota.eventsPerSecond, nowMs)
    this.#bytes = bucket(this.#bytes, quota.bytesPerSecond, nowMs)
    this.#uncounted = 0
    this.#fullMs = Number.NEGATIVE_INFINITY
  }

  /** Counts events in that come from outside, all of them or none; or says why not. */
  take(events: number, bytes: number): OverQuota | undefined {
    const nowMs = this.#clock.monotonicMs()
    const eventsMs = this.#events?.waitMs(events, nowMs) ?? 0
    const bytesMs = this.#bytes?.waitMs(bytes, nowMs) ?? 0
    if (eventsMs > 0 && eventsMs >= bytesMs) return this.#over('events-per-second', eventsMs)
    if (bytesMs > 0) return this.#over('bytes-per-second', bytesMs)
    if (this.#quota.backlog !== undefined && this.#isFull(this.#quota.backlog, events, nowMs))
      return this.#over('backlog', BACKLOG_WAIT_MS)
    this.#events?.take(events, nowMs)
    this.#bytes?.take(bytes, nowMs)
    return undefined
  }

  #isFull(backlog: number, events: number, nowMs: number): boolean {
    if (nowMs - this.#fullMs < RECOUNT_MS) return true
    if (this.#uncounted < events) {
      const owed = this.#owed()
      if (owed.events >= backlog) {
        this.#fullMs = nowMs
        return true
      }
      // Each may be owed to every Trigger, and what came last may not be counted yet: half of the room is left for that.
      this.#uncounted = Math.floor((backlog - owed.events) / (2 * Math.max(1, owed.triggers)))
    }
    this.#uncounted = Math.max(0, this.#uncounted - events)
    return false
  }

  #over(what: OverQuota['what'], waitMs: number): OverQuota {
    const { backlog = 0, bytesPerSecond = 0, eventsPerSecond = 0 } = this.#quota
    const limit = { backlog, 'bytes-per-second': bytesPerSecond, 'events-per-second': eventsPerSecond }[what]
    return { namespace: this.#namespace, what, limit, waitMs }
  }
}

function bucket(old: TokenBucket | undefined, perSecond: number | undefined, nowMs: number): TokenBucket | undefined {
  if (perSecond === undefined) return undefined
  return old?.perSecond === perSecond ? old : new TokenBucket(perSecond, nowMs)
}

/** The quotas of the namespaces of the routes. */
export class Quotas {
  readonly #clock: Clock
  readonly #counts: (trigger: TriggerId) => StoreCounts | undefined
  readonly #byNamespace = new Map<string, NamespaceQuota>()
  #triggers = new Map<string, TriggerId[]>()

  constructor(clock: Clock, counts: (trigger: TriggerId) => StoreCounts | undefined) {
    this.#clock = clock
    this.#counts = counts
  }

  apply(routes: readonly BrokerRoute[]): void {
    this.#triggers = Map.groupBy(
      routes.flatMap(route => route.triggers.map(({ id }) => id)),
      id => splitId(id).namespace,
    )
    const named = new Set<string>()
    for (const { id, quota } of routes) {
      if (quota === undefined) continue
      const { namespace } = splitId(id)
      named.add(namespace)
      const known = this.#byNamespace.get(namespace)
      if (known !== undefined) known.update(quota)
      else
        this.#byNamespace.set(namespace, new NamespaceQuota(namespace, quota, this.#clock, () => this.#owed(namespace)))
    }
    for (const namespace of this.#byNamespace.keys()) if (!named.has(namespace)) this.#byNamespace.delete(namespace)
  }

  of(route: BrokerRoute): NamespaceQuota | undefined {
    return route.quota === undefined ? undefined : this.#byNamespace.get(splitId(route.id).namespace)
  }

  #owed(namespace: string): Owed {
    const triggers = this.#triggers.get(namespace) ?? []
    let events = 0
    for (const id of triggers) {
      const { waiting = 0, blocked = 0, retrying = 0, inFlight = 0 } = this.#counts(id) ?? {}
      events += waiting + blocked + retrying + inFlight
    }
    return { events, triggers: triggers.length }
  }
}
