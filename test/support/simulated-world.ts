import { triggerId, type WorkloadId, workloadId } from '../../contract/ids.ts'
import type { Resource } from '../../crds/manifest.ts'
import type { Replicas } from '../../trigger-controller/world.ts'
import type { ManualClock } from './manual-clock.ts'
import { MemoryBacklog, MemoryWorld } from './memory-world.ts'

interface Replica {
  readonly id: string
  readonly readyAtMs: number
  draining: boolean
  readonly endsMs: number[]
}

export interface SimulationOptions {
  readonly startMs: number
  readonly serviceMs: number
  readonly concurrency: number
}

/**
 * A world in which one Trigger, `shop/a`, delivers to replicas of one Deployment, `shop/worker`: replicas take time to
 * start, work on so many events at once, and drain before they go. Time is a manual clock's, in steps of 10 ms.
 */
export class SimulatedWorld extends MemoryWorld {
  readonly backlog = new MemoryBacklog()
  readonly trigger = triggerId('shop', 'a')
  readonly worker: WorkloadId = workloadId('Deployment', 'shop', 'worker')
  readonly #clock: ManualClock
  readonly #options: SimulationOptions
  #replicas: Replica[] = []
  #desired: number | undefined
  #created = 0
  #waiting = 0
  #accepted = 0
  #delivered = 0
  #busyMs = 0
  /** The most replicas that were ever asked for. */
  peak = 0
  /** The most replicas that were ever let go of while they worked: each drains before it ends. */
  drainingPeak = 0

  constructor(clock: ManualClock, options: SimulationOptions, ...resources: readonly Resource[]) {
    super(...resources)
    this.#clock = clock
    this.#options = options
    this.#tell()
  }

  get waiting(): number {
    return this.#waiting
  }

  get delivered(): number {
    return this.#delivered
  }

  get alive(): number {
    return this.#replicas.length
  }

  send(events: number): void {
    this.#waiting += events
    this.#accepted += events
    this.#tell()
    if (events > 0 && !this.#replicas.some(one => !one.draining && one.readyAtMs <= this.#clock.monotonicMs())) {
      this.backlog.hold(this.trigger)
    }
  }

  async run(ms: number, arrivals: (elapsedMs: number) => number = () => 0): Promise<void> {
    for (let elapsed = 0; elapsed < ms; elapsed += 10) {
      this.send(arrivals(elapsed))
      this.#step()
      await this.#clock.advance(10)
    }
  }

  override replicas(id: WorkloadId): Replicas | undefined {
    if (id !== this.worker || this.#desired === undefined) return undefined
    return { desired: this.#desired, ready: this.#ready().length }
  }

  override async setReplicas(workload: WorkloadId, replicas: number): Promise<void> {
    await super.setReplicas(workload, replicas)
    this.#desired = replicas
    this.peak = Math.max(this.peak, replicas)
    const staying = this.#replicas.filter(one => !one.draining)
    const back = this.#replicas.filter(one => one.draining)
    for (const one of back.slice(0, Math.max(0, replicas - staying.length))) one.draining = false
    for (let count = this.#replicas.filter(one => !one.draining).length; count < replicas; count++) {
      const readyAtMs = this.#clock.monotonicMs() + this.#options.startMs
      this.#replicas.push({ id: `worker-${++this.#created}`, readyAtMs, draining: false, endsMs: [] })
    }
    const idleFirst = this.#replicas.filter(one => !one.draining).sort((a, b) => a.endsMs.length - b.endsMs.length)
    for (const one of idleFirst.slice(0, Math.max(0, idleFirst.length - replicas))) one.draining = true
    const draining = this.#replicas.filter(one => one.draining && one.endsMs.length > 0)
    this.drainingPeak = Math.max(this.drainingPeak, draining.length)
    this.#step()
  }

  #step(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const replica of this.#replicas) {
      const left = replica.endsMs.filter(end => end > nowMs)
      const done = replica.endsMs.length - left.length
      this.#delivered += done
      this.#busyMs += done * this.#options.serviceMs
      replica.endsMs.splice(0, replica.endsMs.length, ...left)
    }
    this.#replicas = this.#replicas.filter(one => !one.draining || one.endsMs.length > 0)
    for (let left = this.#waiting; left > 0; left--) {
      const free = this.#ready().sort((a, b) => a.endsMs.length - b.endsMs.length)[0]
      if (free === undefined || free.endsMs.length >= this.#options.concurrency) break
      free.endsMs.push(nowMs + this.#options.serviceMs)
      this.#waiting--
    }
    this.#tell()
  }

  #ready(): Replica[] {
    return this.#replicas.filter(one => !one.draining && one.readyAtMs <= this.#clock.monotonicMs())
  }

  #tell(): void {
    const busy = this.#replicas.filter(one => one.endsMs.length > 0)
    this.backlog.set(this.trigger, {
      waiting: this.#waiting,
      inFlight: busy.reduce((sum, one) => sum + one.endsMs.length, 0),
      inFlightByReplica: Object.fromEntries(busy.map(one => [one.id, one.endsMs.length])),
      accepted: this.#accepted,
      delivered: this.#delivered,
      busyMs: this.#busyMs,
    })
  }
}
