import type { TriggerBacklog } from '../contract/backlog.ts'
import type { TriggerId, WorkloadId } from '../contract/ids.ts'
import type { Target } from '../contract/routes.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Attempt } from './attempt.ts'
import { Batches, takeBatch } from './batches.ts'
import type { Budget } from './budget.ts'
import { emptyTriggerTally, type TriggerReading, type TriggerTally } from './counters.ts'
import type { Endpoints } from './endpoints.ts'
import { Gate, hasLimits, type Lesson } from './gate.ts'
import { bytesOf, isReached, type Job, type JobOwner, type LaneSpec } from './job.ts'
import { Doubt } from './limits.ts'
import { backlogOf, type Report, readingOf } from './report.ts'
import { lessonOf } from './retry.ts'
import type { Failure, Lease, StoredSettlement } from './store.ts'
import { isTimed, type Timing, timingOf, unreadableTime } from './timing.ts'

/** Events taken from the store at a time, so that the budget is looked at in between. */
const BATCH = 32
/** A dead-letter sink that has no replica free is asked again after this. */
const SINK_WAIT_MS = 5000

/** What lanes share. */
export interface LaneDeps {
  readonly clock: Clock
  readonly endpoints: Endpoints
  /** Bytes of events in flight. A lane with nothing in flight may always go on, so that none starves. */
  readonly budget: Budget
  /** Makes one attempt at `job`. */
  readonly attempt: (job: Job) => Promise<Attempt>
  /** Draws the conclusions and settles the lease: at once, or when a reply has been stored. */
  readonly conclude: (job: Job, attempt: Attempt) => Promise<void> | undefined
  /** The time of `lease` is over before it was delivered: settles it. */
  readonly expire: (lane: Lane, lease: Lease, timing: Timing & { kind: 'over' }) => void
  readonly onHeld: (trigger: TriggerId) => void
  /** Its subscriber is left alone from now on, or is not any more. */
  readonly onCircuit: (lane: Lane, change: 'opened' | 'closed') => void
  /** Something became free that other lanes may wait for. */
  readonly onRoom: (lane: Lane, workload: WorkloadId | undefined) => void
  /** A promise of this program to itself is broken. */
  readonly onBroken: (error: Error) => void
}

/**
 * The queue of one Trigger at work: takes as many events from the store as may be in flight, and no more. Whatever its
 * subscriber does, only this lane waits for it.
 */
export class Lane implements JobOwner, Report {
  readonly tally: TriggerTally = emptyTriggerTally()
  failing = false
  readonly #deps: LaneDeps
  #spec: LaneSpec
  /** Requests open. */
  #inFlight = 0
  #sinkInFlight = 0
  /** Events known to be in the dead-letter stage; what an earlier process left there is not known. */
  #deadLetters = 0
  /** False: the store said that nothing is due, and will say when something is. */
  #due = true
  #held = false
  /** Events may have come that the autoscaler was not told of. */
  #news = true
  #ended = false
  readonly #doubt = new Doubt()
  /** Only where the Trigger asks for it. */
  #gate: Gate | undefined
  #batches: Batches | undefined
  #timed = false

  constructor(spec: LaneSpec, deps: LaneDeps) {
    this.#spec = spec
    this.#deps = deps
    this.update(spec)
  }

  get spec(): LaneSpec {
    return this.#spec
  }

  /** There is no replica: events wait. */
  get held(): boolean {
    return this.#held
  }

  /** Wants to hear of every event that is stored for it. */
  get listens(): boolean {
    return this.#held || this.#batches !== undefined
  }

  /** Takes effect with the next attempt. */
  update(spec: LaneSpec): void {
    this.#spec = spec
    const { batch, limits, paused } = spec.route
    this.#timed = isTimed(spec.route)
    // Nobody is to be woken for what waits now; and whoever looks at the counts must not take it for work that goes on.
    if (paused) {
      this.#held = false
      this.#giveBack(this.#batches?.stop() ?? [])
    }
    if (hasLimits(limits)) {
      this.#gate ??= new Gate(limits, this.#deps.clock, () => this.pump())
      this.#gate.update(limits)
    } else {
      this.#gate?.stop()
      this.#gate = undefined
    }
    if (batch !== undefined) this.#batches ??= new Batches(this.#deps.clock, () => this.pump())
    else if (this.#batches !== undefined && this.#batches.halves.length === 0) {
      this.#batches.stop()
      this.#batches = undefined
    }
  }

  /** Takes no more events. What is in flight goes on; what was only leased goes back. */
  stop(): void {
    this.#ended = true
    this.#gate?.stop()
    this.#giveBack(this.#batches?.stop() ?? [])
  }

  /** The store has something for it, or may have. */
  wake(): void {
    this.#due = true
    this.#news = true
    this.pump()
  }

  /** Starts what can be started now. Cheap where there is nothing. */
  pump(): void {
    if (this.#ended || this.#spec.route.paused) return
    // Halves of a batch are leased already: the store says nothing of them.
    while (this.#due || (this.#batches?.halves.length ?? 0) > 0) {
      const max = Math.min(this.#room(), BATCH)
      if (max <= 0) break
      if (this.#batches !== undefined) {
        if (!this.#startBatch(this.#batches)) break
        continue
      }
      const leases = this.#spec.store.lease(this.#spec.route.id, max)
      this.#due = leases.length === max
      for (const lease of leases) this.#start(lease)
    }
    this.#hold()
  }

  countDeadLetters(change: 1 | -1): void {
    this.#deadLetters = Math.max(0, this.#deadLetters + change)
  }

  split(leases: readonly Lease[]): void {
    const half = Math.ceil(leases.length / 2)
    const batches = this.#batches
    if (this.#ended || this.#spec.route.paused || batches === undefined) {
      this.#giveBack(leases)
      return
    }
    batches.halves.push(leases.slice(0, half), leases.slice(half))
    this.#due = true
  }

  backlog(): TriggerBacklog {
    return backlogOf(this, this.#deps.endpoints, this.#deps.clock)
  }

  reading(): TriggerReading {
    return readingOf(this)
  }

  /** Why nothing is attempted, where it is not for want of events or of replicas. */
  get stopped(): TriggerBacklog['stopped'] {
    if (this.#spec.route.paused) return { by: 'pause', forMs: undefined }
    const closed = this.#gate?.closed
    return closed && { by: closed.kind, forMs: closed.forMs }
  }

  #room(): number {
    const { concurrency, subscriber } = this.#spec.route
    if (this.#deps.budget.spent && this.#inFlight > 0) return 0
    const limit = this.#gate?.room(this.#inFlight - this.#sinkInFlight) ?? Number.POSITIVE_INFINITY
    if (subscriber.kind === 'url') return Math.min(limit, this.#doubt.most(concurrency) - this.#inFlight)
    // A sink that hangs must not collect more and more: its requests count like those of one replica.
    const replicas = this.#deps.endpoints.room(subscriber.workload, concurrency)
    return Math.min(limit, concurrency - this.#sinkInFlight, replicas)
  }

  #hold(): void {
    const { route, store } = this.#spec
    const { subscriber } = route
    if (subscriber.kind === 'url' || this.#deps.endpoints.hasReady(subscriber.workload)) {
      this.#held = false
      if (this.#deadLetters > 0 && this.#gate?.closed !== undefined) this.#drainSink()
      return
    }
    // They wait in the store for a replica, where whoever starts one sees them.
    this.#giveBack(this.#batches?.halves.splice(0).flat() ?? [])
    if (this.#deadLetters > 0 || this.#timed) this.#drainSink()
    const waiting = store.counts(route.id)?.waiting ?? 0
    // The store speaks of what becomes due only after a lease that came back short.
    if (waiting === 0 && this.#due) this.#lookForNothing()
    if (waiting > 0 && (this.#news || !this.#held)) this.#deps.onHeld(route.id)
    this.#held = true
    this.#news = false
  }

  #lookForNothing(): void {
    const { route, store } = this.#spec
    const leases = store.lease(route.id, 1)
    this.#due = leases.length === 1
    for (const lease of leases) store.settle(lease, { kind: 'returned' })
  }

  /**
   * Dead letters go on while the subscriber sleeps. They are older than what waits for it, so they come first. Nobody is
   * woken for an event whose time has not come, or is over.
   */
  #drainSink(): void {
    const { route, store } = this.#spec
    while (this.#sinkInFlight < route.concurrency) {
      const [lease] = store.lease(route.id, 1)
      this.#due = lease !== undefined
      if (lease === undefined) return
      if (lease.stage === 'dead-letter') this.#start(lease)
      else if (!this.#timed || this.#isTimely(lease)) {
        store.settle(lease, { kind: 'returned' })
        return
      }
    }
  }

  #giveBack(leases: readonly Lease[]): void {
    for (const lease of leases) this.#spec.store.settle(lease, { kind: 'returned' })
  }

  #start(lease: Lease): void {
    if (this.#timed && !this.#isTimely(lease)) return
    const next = this.#place(lease, undefined)
    if ('lease' in next) this.#run(next)
    else this.#spec.store.settle(lease, next)
  }

  /** False where it is not the event's time: it was settled as that. */
  #isTimely(lease: Lease): boolean {
    const { route, store } = this.#spec
    const timing = timingOf(lease, route, this.#deps.clock.nowMs())
    if (timing.kind === 'now') {
      this.tally.notice ??= unreadableTime(lease, route)
      return true
    }
    if (timing.kind === 'over') this.#deps.expire(this, lease, timing)
    else store.settle(lease, { kind: 'postponed', dueMs: timing.dueMs, attempt: lease.attempt })
    return false
  }

  /** One request with as many events as have come together. False where none is to be made now. */
  #startBatch(batches: Batches): boolean {
    const { route, store } = this.#spec
    const policy = route.batch
    const half = batches.halves.shift()
    if (half !== undefined) {
      this.#startAll(half)
      return true
    }
    if (policy === undefined) {
      // No more batches are asked for, and the last halves are on their way.
      this.update(this.#spec)
      return true
    }
    const waiting = store.counts(route.id)?.waiting ?? 0
    if (!batches.isRipe(waiting, policy)) {
      // The store speaks of what becomes due only after a lease that came back short.
      if (waiting === 0) this.#lookForNothing()
      return false
    }
    const leases = store.lease(route.id, policy.maxEvents)
    this.#due = leases.length === policy.maxEvents
    if (leases.length === 0) return false
    const timely = this.#timed ? leases.filter(lease => this.#isTimely(lease)) : leases
    const { batch, rest } = takeBatch(timely, policy)
    this.#giveBack(rest)
    if (rest.length > 0) {
      this.#due = true
      batches.ripen()
    }
    const [first] = batch
    if (first?.stage === 'dead-letter') for (const lease of batch) this.#start(lease)
    else if (first !== undefined) this.#startAll(batch)
    return true
  }

  #startAll(batch: readonly Lease[]): void {
    const [first] = batch
    if (first === undefined) return
    const next = this.#place(first, batch)
    if ('lease' in next) this.#run(next)
    else for (const lease of batch) this.#spec.store.settle(lease, next)
  }

  /** Where it goes now; or, where it cannot go anywhere, what becomes of it without an attempt. */
  #place(lease: Lease, batch: readonly Lease[] | undefined): Job | StoredSettlement {
    const { concurrency, deadLetter, subscriber } = this.#spec.route
    const sink = lease.stage === 'dead-letter'
    const target = sink ? deadLetter : subscriber
    // The sink was taken out of the YAML while the event was on its way to it.
    if (target === undefined) return { kind: 'parked', failure: lease.failure ?? NO_FAILURE }
    if (target.kind === 'url') return this.#jobOf(lease, batch, target, undefined)
    const replica = this.#deps.endpoints.acquire(target.workload, concurrency)
    if (replica !== undefined) return this.#jobOf(lease, batch, target, replica)
    if (!sink) return { kind: 'returned' }
    return { kind: 'postponed', dueMs: this.#deps.clock.nowMs() + SINK_WAIT_MS, attempt: lease.attempt }
  }

  #jobOf(lease: Lease, batch: readonly Lease[] | undefined, target: Target, replica: Job['replica']): Job {
    const url = target.kind === 'url' || replica === undefined ? target.address : replica.url(target.path)
    const number = lease.stage === 'dead-letter' ? 0 : (this.#gate?.began() ?? 0)
    return { lane: this, spec: this.#spec, lease, batch, url, replica, number }
  }

  #run(job: Job): void {
    this.#inFlight++
    if (job.lease.stage === 'dead-letter') this.#sinkInFlight++
    this.#deps.budget.force(bytesOf(job))
    // No async function: its frame and its own promise would cost half a microsecond an event.
    this.#deps.attempt(job).then(
      attempt => this.#attempted(job, attempt),
      error => this.#broken(job, error),
    )
  }

  #attempted(job: Job, attempt: Attempt): void {
    try {
      if (job.replica !== undefined) this.#deps.endpoints.release(job.replica, isReached(attempt))
      if (job.lease.stage === 'subscriber') this.#learn(job, lessonOf(attempt, job.spec.route))
      const concluded = this.#deps.conclude(job, attempt)
      if (concluded === undefined) this.#over(job)
      else {
        concluded.then(
          () => this.#over(job),
          error => this.#broken(job, error),
        )
      }
    } catch (error) {
      this.#broken(job, error)
    }
  }

  #learn(job: Job, lesson: Lesson): void {
    if (lesson.kind === 'works') this.#doubt.works()
    else if (lesson.kind !== 'nothing') this.#doubt.fails()
    const change = this.#gate?.ended(job.number, this.#inFlight - this.#sinkInFlight, lesson)
    if (change !== undefined) this.#deps.onCircuit(this, change)
  }

  #broken(job: Job, error: unknown): void {
    this.#deps.onBroken(error instanceof Error ? error : new Error(String(error)))
    this.#over(job)
  }

  #over(job: Job): void {
    this.#deps.budget.give(bytesOf(job))
    if (job.lease.stage === 'dead-letter') this.#sinkInFlight--
    this.#inFlight--
    this.#deps.onRoom(this, job.replica?.workload)
  }
}

const NO_FAILURE: Failure = { destination: '', code: 500, data: '' }
