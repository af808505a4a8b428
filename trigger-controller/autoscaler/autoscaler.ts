import type { BacklogQuery, BacklogReader } from '../../clients/backlog.ts'
import type { ScaleView } from '../../contract/api.ts'
import type { BacklogSource, TriggerBacklog } from '../../contract/backlog.ts'
import type { TriggerId, WorkloadId } from '../../contract/ids.ts'
import type { Cancel, Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Profile } from '../profile.ts'
import type { World } from '../world.ts'
import { watchIn } from './claims.ts'
import type { Readings } from './observe.ts'
import { QueuePolls } from './queue-polls.ts'
import { scaledObjectStatus } from './scaled-object-status.ts'
import { type ScaledChange, ScaledTarget } from './scaled-target.ts'
import type { Demand, QueueWatch, ScaleTarget } from './target.ts'
import { planTargets, type ScalePlan } from './targets.ts'

export interface AutoscalerDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly profile: Profile
  /**
   * Opens a queue for counting; called once per queue and change of its credentials.
   * @throws where the credentials cannot be right: the reading is unknown, and says why.
   */
  readonly openBacklog: (query: BacklogQuery) => Promise<BacklogReader>
  /** Told of each new number that was asked for, for people. */
  readonly onChange: (change: ScaledChange) => void
}

/**
 * Asks the world for as many replicas as the work needs. Wakes at once when events are held, looks each second at what is
 * awake, and leaves alone what sleeps. Disposing stops deciding; the replicas stay as they are.
 */
export interface Autoscaler extends AsyncDisposable {
  /** Reads anew who is scaled, by what. The controller calls it; so may a caller who wants it to have happened. */
  refresh(signal: AbortSignal): Promise<void>
  /** True: the number of replicas is ours, and the Deployment's own `replicas` does not count. */
  owns(workload: WorkloadId): boolean
  scaleViews(): readonly ScaleView[]
  /** What waits upstream of a source; undefined while unknown, which is not zero. */
  lag(source: WorkloadId): number | undefined
}

/** Events that come together wake together. */
const COALESCE_MS = 20
/** A burst that goes on asks for more, but not more often than this. */
const WAKE_PERIOD_MS = 100
const TICK_MS = 1_000
/** Everything is looked at this often, asleep or not: a wake-up call that got lost costs this long. */
const SWEEP_TICKS = 10

export function startAutoscaler(world: World, backlog: BacklogSource, deps: AutoscalerDeps): Autoscaler {
  return new Loop(world, backlog, deps)
}

class Loop implements Autoscaler {
  readonly #world: World
  readonly #backlog: BacklogSource
  readonly #deps: AutoscalerDeps
  readonly #targets = new Map<WorkloadId, ScaledTarget>()
  readonly #byTrigger = new Map<TriggerId, ScaledTarget[]>()
  readonly #byQueue = new Map<string, ScaledTarget[]>()
  readonly #polls: QueuePolls
  readonly #stopped = new AbortController()
  readonly #stopListening: () => void
  readonly #woken = new Set<ScaledTarget>()
  #plan: ScalePlan = { targets: [], refusals: [], lags: [] }
  #cancelWake: Cancel | undefined
  #lastWakeMs = Number.NEGATIVE_INFINITY
  #cancelTick: Cancel
  #ticks = 0

  constructor(world: World, backlog: BacklogSource, deps: AutoscalerDeps) {
    this.#world = world
    this.#backlog = backlog
    this.#deps = deps
    this.#polls = new QueuePolls({ ...deps, onReading: key => this.#wake(this.#byQueue.get(key)) })
    this.#stopListening = backlog.onHeld(trigger => this.#wake(this.#byTrigger.get(trigger)))
    this.#cancelTick = deps.clock.after(TICK_MS, () => this.#tick())
  }

  async refresh(signal: AbortSignal): Promise<void> {
    const facts = await this.#world.readScale(signal)
    if (this.#stopped.signal.aborted) return
    this.#plan = planTargets(facts, this.#deps.profile.scaling)
    this.#follow(this.#plan)
    this.#decide(this.#targets.values())
    for (const object of facts.scaledObjects) {
      const { key, status } = scaledObjectStatus(object, this.#plan)
      await this.#world.report(key, status, signal)
    }
  }

  owns(workload: WorkloadId): boolean {
    return this.#targets.has(workload)
  }

  scaleViews(): readonly ScaleView[] {
    return [...this.#targets.values()].map(target => target.view())
  }

  lag(source: WorkloadId): number | undefined {
    const watch = this.#plan.lags.find(one => one.workload === source)?.watch
    const reading = watch === undefined ? undefined : this.#polls.read(watch.key)
    return reading?.kind === 'known' ? reading.value : undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(new Error('the autoscaler is closing'))
    this.#stopListening()
    this.#cancelTick()
    this.#cancelWake?.()
    await Promise.all([this.#polls[Symbol.asyncDispose](), ...[...this.#targets.values()].map(one => one.settled())])
  }

  /** Keeps what is known of targets that stay, whatever else about them changed. */
  #follow(plan: ScalePlan): void {
    const planned = new Map(plan.targets.map(target => [target.workload, target]))
    for (const workload of this.#targets.keys()) if (!planned.has(workload)) this.#targets.delete(workload)
    for (const [workload, target] of planned) {
      const known = this.#targets.get(workload)
      if (known !== undefined) known.target = target
      else this.#targets.set(workload, new ScaledTarget(target, this.#world, this.#deps, this.#stopped.signal))
    }
    this.#byTrigger.clear()
    this.#byQueue.clear()
    for (const scaled of this.#targets.values()) {
      for (const demand of scaled.target.demands) {
        if (demand.kind === 'trigger') push(this.#byTrigger, demand.trigger, scaled)
        if (demand.kind === 'queue') push(this.#byQueue, demand.key, scaled)
      }
    }
    this.#polls.watch(watchesOf(plan))
  }

  #wake(targets: readonly ScaledTarget[] | undefined): void {
    if (targets === undefined || this.#stopped.signal.aborted) return
    for (const target of targets) this.#woken.add(target)
    if (this.#cancelWake !== undefined || this.#woken.size === 0) return
    const sinceMs = this.#deps.clock.monotonicMs() - this.#lastWakeMs
    this.#cancelWake = this.#deps.clock.after(Math.max(COALESCE_MS, WAKE_PERIOD_MS - sinceMs), () => {
      this.#cancelWake = undefined
      this.#lastWakeMs = this.#deps.clock.monotonicMs()
      const woken = [...this.#woken].filter(one => this.#targets.get(one.target.workload) === one)
      this.#woken.clear()
      this.#decide(woken)
    })
  }

  #tick(): void {
    this.#cancelTick = this.#deps.clock.after(TICK_MS, () => this.#tick())
    this.#ticks++
    const everyone = this.#ticks % SWEEP_TICKS === 0
    this.#decide([...this.#targets.values()].filter(target => everyone || target.awake))
  }

  #decide(targets: Iterable<ScaledTarget>): void {
    const due = [...targets]
    if (due.length === 0) return
    let read: readonly TriggerBacklog[]
    try {
      read = this.#backlog.read()
    } catch (error) {
      // Without a backlog every Trigger is unknown, and unknown holds.
      this.#deps.log.warn({ error }, 'the backlog cannot be read')
      read = []
    }
    const readings: Readings = {
      backlog: new Map(read.map(one => [one.trigger, one])),
      queue: key => this.#polls.read(key),
    }
    for (const target of due) target.step(readings)
  }
}

/** One reader per queue, also where a source is shown and scaled at once. */
function watchesOf(plan: ScalePlan): QueueWatch[] {
  const queues = plan.targets.flatMap((target: ScaleTarget) => target.demands.filter(isQueue))
  const watches = [...plan.lags.map(one => one.watch), ...queues.map(watchIn)]
  return [...new Map(watches.map(watch => [watch.key, watch])).values()]
}

function isQueue(demand: Demand): demand is Extract<Demand, { kind: 'queue' }> {
  return demand.kind === 'queue'
}

function push<Key>(map: Map<Key, ScaledTarget[]>, key: Key, target: ScaledTarget): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [target])
  else if (!list.includes(target)) list.push(target)
}
