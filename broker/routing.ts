import type { BrokerId, TriggerId } from '../contract/ids.ts'
import { type BrokerRoute, NO_ROUTES, type Routes } from '../contract/routes.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Intake } from './accept.ts'
import type { Archive } from './archive.ts'
import { openGate } from './auth/gate.ts'
import type { Verifier } from './auth/verifier.ts'
import { Budget } from './budget.ts'
import { catchUp } from './catch-up.ts'
import { type BrokerCounters, type BrokerTally, emptyBrokerTally, splitId } from './counters.ts'
import { Dedup, withDedup } from './dedup.ts'
import type { Delivery } from './delivery.ts'
import type { Endpoints } from './endpoints.ts'
import type { Door } from './ingress.ts'
import type { LaneSpec } from './job.ts'
import { buildMatch } from './match.ts'
import type { OpenStore, Stores } from './open-stores.ts'
import { Quotas } from './quotas.ts'

export interface RoutingDeps {
  readonly clock: Clock
  readonly log: Log
  readonly stores: Stores
  readonly delivery: Delivery
  readonly endpoints: Endpoints
  /** Knows senders, for Brokers with `access`. */
  readonly verifier: Verifier | undefined
  /** Bytes on their way into the stores. */
  readonly intakeMaxBytes: number
}

/** A Broker that is served. */
interface Served extends Door {
  readonly route: BrokerRoute
  readonly open: OpenStore
  readonly tally: BrokerTally
  readonly dedup: Dedup
}

/** Keeps stores, deliveries and doors in step with the routes, one document after the other. */
export class Routing {
  readonly #deps: RoutingDeps
  readonly #budget: Budget
  /** By path: `/namespace/name`. */
  #served = new Map<string, Served>()
  #routes: Routes = NO_ROUTES
  readonly #quotas: Quotas
  #turn: Promise<void> = Promise.resolve()
  #discarded: number | undefined
  #catching: Promise<void> = Promise.resolve()
  #round = 0
  #closed = false

  constructor(deps: RoutingDeps) {
    this.#deps = deps
    this.#budget = new Budget(deps.intakeMaxBytes)
    this.#quotas = new Quotas(deps.clock, trigger => {
      for (const { open } of this.#served.values()) {
        const counts = open.store.counts(trigger)
        if (counts !== undefined) return counts
      }
      return undefined
    })
  }

  /** As `Broker.apply`. Documents take effect in the order in which they came. */
  apply(routes: Routes): Promise<void> {
    const done = this.#turn.then(() => this.#apply(routes))
    this.#turn = done.catch(() => {})
    return done
  }

  door(path: string): Door | undefined {
    return this.#served.get(path)
  }

  archive(broker: BrokerId): Archive | undefined {
    return this.#served.get(`/${broker}`)?.open.store.archive
  }

  counters(): readonly BrokerCounters[] {
    return Array.from(this.#served.values(), ({ route, tally }) => ({ broker: route.id, ...tally }))
  }

  /** Events owed or parked in stores that end with the process. */
  discarding(): number {
    if (this.#discarded !== undefined) return this.#discarded
    let events = 0
    for (const { route, open } of this.#served.values()) {
      if (open.outlives) continue
      for (const { id } of route.triggers) {
        const counts = open.store.counts(id)
        if (counts !== undefined) events += counts.waiting + counts.retrying + counts.inFlight + counts.parked
      }
    }
    return events
  }

  /** Nothing is taken in any more. What would be discarded stays readable. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#turn
    await this.#catching
    this.#discarded = this.discarding()
    this.#served.clear()
  }

  async #apply(routes: Routes): Promise<void> {
    const { delivery, endpoints } = this.#deps
    if (sameBrokers(routes.brokers, this.#routes.brokers)) {
      const changed = endpoints.apply(routes.endpoints)
      delivery.replicasChanged(changed)
      this.#routes = routes
      return
    }
    this.#quotas.apply(routes.brokers)
    const served = new Map<string, Served>()
    for (const route of routes.brokers) served.set(pathOf(route), await this.#serve(route))
    const specs = [...served.values()].flatMap(specsOf)
    await this.#routeStores([...served.values()])
    // A store knows who was given an event once it knows who there is. The doors of new Brokers are opened after this.
    for (const { dedup, route, open } of served.values()) await dedup.apply(route, open.store.archive)
    this.#served = served
    endpoints.apply(routes.endpoints)
    delivery.apply(specs)
    this.#routes = routes
    this.#catchUp([...served.values()])
  }

  /** Beside everything else: a day of history must not hold up the next event. One Trigger after the other. */
  #catchUp(served: readonly Served[]): void {
    const round = ++this.#round
    const stop = () => this.#closed || round !== this.#round
    const all = served.flatMap(({ route, open }) =>
      route.triggers.filter(one => one.start !== 'now').map(trigger => ({ broker: route.id, trigger, open })),
    )
    this.#catching = this.#catching.then(async () => {
      for (const { broker, trigger, open } of all) {
        if (!stop()) await catchUp(broker, trigger, open.store.archive, this.#deps.log, stop)
      }
    })
  }

  async #serve(route: BrokerRoute): Promise<Served> {
    const old = this.#served.get(pathOf(route))
    const tally = old?.route.uid === route.uid ? old.tally : emptyBrokerTally()
    const open = await this.#deps.stores.for(route.store)
    const { clock, delivery, log } = this.#deps
    const dedup = old?.route.uid === route.uid ? old.dedup : new Dedup(clock)
    const intake: Intake = {
      broker: route.id,
      get twins() {
        return dedup.door
      },
      onDuplicate: () => tally.duplicates++,
      store: open.store,
      budget: this.#budget,
      onStored(broker, event, { seq, matched }) {
        tally.accepted++
        log.debug({ broker, seq, matched: matched?.length }, 'event accepted')
        if (matched === undefined) return
        if (matched.length === 0) tally.unmatched++
        dedup.stored(event, matched)
        open.recorder.accepted(broker, seq, event, matched, clock.nowMs())
        delivery.offered(matched)
      },
    }
    const { access } = route
    const gate = { verifier: this.#deps.verifier, budget: this.#budget, log }
    const authorise = access === undefined ? undefined : openGate(route.id, access, gate)
    const quota = this.#quotas.of(route)
    const onOverQuota = () => tally.overQuota++
    return { route, open, tally, dedup, intake, authorise, quota, onOverQuota, onRefused: () => tally.refused++ }
  }

  async #routeStores(served: readonly Served[]): Promise<void> {
    const { delivery, log } = this.#deps
    const noAnswer = (trigger: TriggerId, words: string) => {
      delivery.filterFailed(trigger)
      log.debug({ trigger, reason: words }, 'a condition on data has no answer for an event')
    }
    for (const { store } of await this.#deps.stores.all()) {
      const routes = served.filter(one => one.open.store === store).map(one => one.route)
      const triggers = routes.flatMap(({ id: broker, triggers }) =>
        triggers.map(({ id, uid, order, start }) => ({ id, uid, broker, order, catchesUp: start !== 'now' })),
      )
      const dedups = new Map(served.filter(one => asksForDedup(one.route)).map(one => [one.route.id, one.dedup]))
      const dropped = await store.route({ triggers, match: withDedup(buildMatch(routes, noAnswer), dedups) })
      for (const { trigger, events } of dropped) {
        if (events > 0) log.warn({ trigger, events }, 'Trigger gone: what it was owed is dropped')
      }
    }
  }
}

function asksForDedup({ triggers }: BrokerRoute): boolean {
  return triggers.some(({ dedupMs }) => dedupMs !== undefined)
}

function pathOf(route: BrokerRoute): string {
  return `/${route.id}`
}

function specsOf({ route, open, intake }: Served): LaneSpec[] {
  const { namespace } = splitId(route.id)
  const { store, recorder } = open
  return route.triggers.map(trigger => ({ route: trigger, broker: route.id, namespace, store, intake, recorder }))
}

/** By value: a controller may make a new document of the same parts, or of equal ones. */
function sameBrokers(a: readonly BrokerRoute[], b: readonly BrokerRoute[]): boolean {
  if (a.length !== b.length) return false
  return a.every((route, i) => route === b[i] || JSON.stringify(route) === JSON.stringify(b[i]))
}
