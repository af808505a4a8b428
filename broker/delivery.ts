import type { TriggerBacklog } from '../contract/backlog.ts'
import type { TriggerId, WorkloadId } from '../contract/ids.ts'
import type { CloudEvent } from '../event/event.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { type Accepted, accept } from './accept.ts'
import type { Attempt, Deliver } from './attempt.ts'
import type { Budget } from './budget.ts'
import type { TriggerReading } from './counters.ts'
import { deadLetterEvent } from './dead-letter.ts'
import type { Endpoints } from './endpoints.ts'
import type { Job, LaneSpec } from './job.ts'
import { Lane, type LaneDeps } from './lane.ts'
import { isDeferral, recordOf, tellOutcome } from './outcome.ts'
import { afterAttempt, type Settlement } from './retry.ts'
import type { Failure, Lease, StoredSettlement } from './store.ts'
import { expiryOf, notBeyond, type Timing } from './timing.ts'

const BUSY_TOLD_MAX = 10

export interface DeliveryDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly deliver: Deliver
  readonly endpoints: Endpoints
  /** Bytes of events in flight, all Triggers together. */
  readonly budget: Budget
  /** A promise of this program to itself is broken: it must end. */
  readonly onBroken: (error: Error) => void
}

/** The deliveries of every Trigger: a lane each, and what they share. */
export class Delivery {
  readonly #deps: DeliveryDeps
  readonly #laneDeps: LaneDeps
  readonly #lanes = new Map<TriggerId, Lane>()
  readonly #byWorkload = new Map<WorkloadId, Lane[]>()
  readonly #heldListeners = new Set<(trigger: TriggerId) => void>()
  readonly #abandon = new AbortController()
  #open = 0
  #onIdle: (() => void) | undefined

  constructor(deps: DeliveryDeps) {
    this.#deps = deps
    this.#laneDeps = {
      ...deps,
      attempt: job => this.#attempt(job),
      conclude: (job, attempt) => this.#conclude(job, attempt),
      expire: (lane, lease, timing) => this.#expire(lane, lease, timing),
      onHeld: trigger => {
        for (const listener of this.#heldListeners) listener(trigger)
      },
      onCircuit: (lane, change) => this.#tellCircuit(lane, change),
      onRoom: (lane, workload) => this.#roomAfter(lane, workload),
    }
  }

  /**
   * Begins, changes and ends lanes so that there is one for each of `specs`, which the stores know already. What is in
   * flight stays so, also for a Trigger that is gone: its store takes the settlement and forgets it.
   */
  apply(specs: readonly LaneSpec[]): void {
    const before = new Map(this.#lanes)
    this.#lanes.clear()
    this.#byWorkload.clear()
    for (const spec of specs) {
      const { id, subscriber } = spec.route
      const old = before.get(id)
      const lane = old !== undefined && isSameQueue(old.spec, spec) ? old : new Lane(spec, this.#laneDeps)
      if (lane === old) before.delete(id)
      this.#lanes.set(id, lane)
      lane.update(spec)
      if (subscriber.kind === 'workload') this.#lanesOf(subscriber.workload).push(lane)
    }
    for (const lane of before.values()) lane.stop()
    for (const lane of this.#lanes.values()) lane.wake()
  }

  /** The store has something due for `trigger`. */
  wake(trigger: TriggerId): void {
    this.#lanes.get(trigger)?.wake()
  }

  /** An event was stored for `triggers`: those that are held say so again. */
  offered(triggers: readonly TriggerId[]): void {
    for (const id of triggers) {
      const lane = this.#lanes.get(id)
      if (lane === undefined) continue
      lane.tally.matched++
      if (lane.listens) lane.wake()
    }
  }

  /** The condition of `trigger` on data had no answer for an event. */
  filterFailed(trigger: TriggerId): void {
    const lane = this.#lanes.get(trigger)
    if (lane !== undefined) lane.tally.filterErrors++
  }

  /** The replicas of `workloads` changed. */
  replicasChanged(workloads: Iterable<WorkloadId>): void {
    for (const workload of workloads) for (const lane of this.#byWorkload.get(workload) ?? []) lane.pump()
  }

  /** As `BacklogSource.onHeld`; also told of what is held already. */
  onHeld(listener: (trigger: TriggerId) => void): () => void {
    this.#heldListeners.add(listener)
    queueMicrotask(() => {
      if (!this.#heldListeners.has(listener)) return
      for (const [id, lane] of this.#lanes) if (lane.held && lane.backlog().waiting > 0) listener(id)
    })
    return () => this.#heldListeners.delete(listener)
  }

  backlog(): readonly TriggerBacklog[] {
    return Array.from(this.#lanes.values(), lane => lane.backlog())
  }

  readings(): readonly TriggerReading[] {
    return Array.from(this.#lanes.values(), lane => lane.reading())
  }

  /**
   * Takes no more events; resolves when nothing is in flight. What still is after `withinMs` is abandoned and goes back to
   * its store, its attempt not counted.
   */
  async drain(withinMs: number): Promise<void> {
    for (const lane of this.#lanes.values()) lane.stop()
    if (this.#open === 0) return
    const { clock, log } = this.#deps
    log.info({ open: this.#open, triggers: this.#busy(), withinMs }, 'waiting for requests in flight')
    const idle = new Promise<void>(resolve => {
      this.#onIdle = resolve
    })
    const stop = clock.after(withinMs, () => {
      log.warn({ open: this.#open, triggers: this.#busy() }, 'requests in flight given up: their events stay owed')
      this.#abandon.abort()
    })
    await idle
    stop()
  }

  /** Triggers that have something in flight, as many as a person reads. */
  #busy(): readonly TriggerId[] {
    const busy = this.backlog().filter(({ inFlight }) => inFlight > 0)
    return busy.slice(0, BUSY_TOLD_MAX).map(({ trigger }) => trigger)
  }

  #attempt(job: Job): Promise<Attempt> {
    this.#open++
    return this.#deps.deliver(request(job), this.#abandon.signal)
  }

  #conclude(job: Job, attempt: Attempt): Promise<void> | undefined {
    const next = this.#after(job, attempt)
    if (next.kind === 'ack' && next.reply !== undefined) return this.#concludeReply(job, attempt, next.reply)
    this.#settle(job, attempt, next)
    return undefined
  }

  /** The reply is durable before its cause is settled: a crash in between repeats the delivery, and loses nothing. */
  async #concludeReply(job: Job, attempt: Attempt, reply: CloudEvent): Promise<void> {
    const result = await takeReply(job, reply, attempt, this.#deps.log)
    this.#settle(job, result, this.#after(job, result))
  }

  #settle(job: Job, attempt: Attempt, next: Settlement): void {
    if (job.batch === undefined) this.#settleOne(job, attempt, next)
    else if (next.kind === 'give-up' && job.batch.length > 1) {
      // Who is to blame is not known: that takes each event alone.
      job.lane.split(job.batch)
      this.#deps.log.debug({ trigger: job.spec.route.id, events: job.batch.length }, 'a batch failed and is halved')
    } else {
      const share = { ...attempt, tookMs: attempt.tookMs / job.batch.length }
      for (const lease of job.batch) this.#settleOne({ ...job, lease }, share, next)
    }
  }

  #settleOne(job: Job, attempt: Attempt, next: Settlement): void {
    const settlement = settlementOf(job, next)
    const { lease, spec } = job
    const isPlain = settlement.kind === 'done' && lease.attempt === 0 && lease.stage === 'subscriber'
    // Deferrals are not kept: they are no attempts, and there may be any number of them.
    const isKept = !isPlain && settlement.kind !== 'returned' && !isDeferral(lease, settlement)
    if (!isKept) spec.store.settle(lease, settlement)
    else spec.store.settle(lease, settlement, recordOf(attempt, this.#deps.clock.nowMs()))
    tellOutcome(job, attempt, settlement, this.#deps.log)
  }

  #expire(lane: Lane, lease: Lease, { settlement, words }: Timing & { kind: 'over' }): void {
    const { spec, tally } = lane
    const atMs = this.#deps.clock.nowMs()
    spec.store.settle(lease, settlement, { atMs, tookMs: 0, status: undefined, words })
    tally.expired++
    if (settlement.kind === 'dead-letter') lane.countDeadLetters(1)
    const state = settlement.kind === 'discarded' ? 'discarded' : settlement.kind === 'parked' ? 'parked' : 'retrying'
    const delivery = { state, attempts: lease.attempt, last: words, tookMs: undefined, nextDueMs: undefined } as const
    spec.recorder.changed(spec.broker, lease, delivery)
    this.#deps.log.info({ trigger: spec.route.id, seq: lease.seq, next: settlement.kind }, 'event expired')
  }

  #tellCircuit({ spec, tally }: Lane, change: 'opened' | 'closed'): void {
    const { id, limits } = spec.route
    if (change === 'opened') {
      tally.circuitOpened++
      const facts = { trigger: id, failures: limits.circuit?.failures, waitMs: limits.circuit?.waitMs }
      this.#deps.log.warn(facts, 'circuit opened: the subscriber is left alone for a while')
    } else this.#deps.log.info({ trigger: id }, 'circuit closed: the subscriber works again')
  }

  #after({ lease, spec }: Job, attempt: Attempt): Settlement {
    const { clock, random } = this.#deps
    const { delivery, reply } = spec.route
    return afterAttempt(attempt, lease.attempt, delivery, clock.nowMs(), random, reply, lease.acceptedMs)
  }

  #roomAfter(lane: Lane, workload: WorkloadId | undefined): void {
    this.#open--
    const sharing = workload === undefined ? undefined : this.#byWorkload.get(workload)
    if (sharing === undefined || sharing.length < 2) lane.pump()
    else {
      // Whoever used the replica goes to the end of the line.
      const at = sharing.indexOf(lane)
      if (at >= 0) sharing.push(...sharing.splice(at, 1))
      for (const other of [...sharing]) other.pump()
      if (at < 0) lane.pump()
    }
    if (this.#open === 0) this.#onIdle?.()
  }

  #lanesOf(workload: WorkloadId): Lane[] {
    let lanes = this.#byWorkload.get(workload)
    if (lanes === undefined) {
      lanes = []
      this.#byWorkload.set(workload, lanes)
    }
    return lanes
  }
}

/** False where the Trigger was made anew under its name, or its events are kept elsewhere now. */
function isSameQueue(a: LaneSpec, b: LaneSpec): boolean {
  return a.route.uid === b.route.uid && a.store === b.store
}

function request({ spec: { route, namespace }, lease, batch, url }: Job) {
  const { event, failure, hops } = lease
  const sink = lease.stage === 'dead-letter'
  return {
    url,
    event: sink && failure !== undefined ? deadLetterEvent(event, failure, hops) : event,
    batch: batch?.map(one => one.event),
    hops: batch === undefined ? hops : Math.min(...batch.map(one => one.hops)),
    timeoutMs: route.delivery.timeoutMs,
    format: route.delivery.format,
    namespace,
    wantsReply: !sink,
    trust: sink ? route.deadLetter?.trust : route.subscriber.trust,
  }
}

/**
 * Takes the reply in as a new event. What comes back is what became of the attempt: a reply that cannot be stored fails it,
 * and the subscriber is called again (Knative control plane spec, Broker).
 */
async function takeReply({ spec, lease, lane }: Job, reply: CloudEvent, attempt: Attempt, log: Log): Promise<Attempt> {
  const accepted = await new Promise<Accepted>(tell => accept(reply, lease.hops, spec.intake, tell))
  if (accepted.kind === 'refused') {
    const excerpt = `the reply could not be stored: ${accepted.detail}`
    return { kind: 'answered', status: 503, tookMs: attempt.tookMs, retryAfterMs: undefined, excerpt }
  }
  if (accepted.kind === 'dropped') {
    lane.tally.repliesDropped++
    lane.tally.notice = 'Replies run in a circle: an event used up its hops, and its last reply was dropped.'
    log.warn({ trigger: spec.route.id, seq: lease.seq }, 'reply dropped: its event has been through too many Brokers')
  }
  return attempt.kind === 'delivered' ? { ...attempt, reply: undefined } : attempt
}

const DONE: StoredSettlement = { kind: 'done' }

function settlementOf({ spec, lease }: Job, next: Settlement): StoredSettlement {
  switch (next.kind) {
    case 'ack':
      return DONE
    case 'retry': {
      const dueMs = notBeyond(next.dueMs, expiryOf(lease, spec.route))
      return { kind: 'postponed', dueMs, attempt: next.attempt }
    }
    case 'return':
      return { kind: 'returned' }
    case 'give-up': {
      const { deadLetter, subscriber } = spec.route
      // When the sink fails too, what the subscriber said is worth more to whoever finds the event parked.
      if (lease.failure !== undefined) return { kind: 'parked', failure: lease.failure }
      const failure: Failure = { destination: subscriber.address, ...next.failure }
      return deadLetter === undefined ? { kind: 'parked', failure } : { kind: 'dead-letter', failure }
    }
    default:
      return next satisfies never
  }
}
