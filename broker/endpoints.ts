import assert from 'node:assert/strict'
import type { WorkloadId } from '../contract/ids.ts'
import type { Endpoint, Routes } from '../contract/routes.ts'
import type { Clock } from '../runtime/clock.ts'

/** A replica that could not be reached is asked last for this long: one that fails fast would otherwise look idle. */
const AVOID_MS = 1000

/** A replica and what it has in flight, whichever Trigger it came from. */
export interface Replica {
  readonly id: string
  readonly workload: WorkloadId
  readonly inFlight: number
  /** The URL of `path` here. */
  url(path: string): string
}

/**
 * The replicas of every workload: who is the least loaded, who drains, who is idle. Counts only what goes through
 * `acquire` and `release`.
 */
export class Endpoints {
  readonly #clock: Clock
  readonly #workloads = new Map<WorkloadId, Workload>()
  readonly #drained = new Set<(replica: string) => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Replaces what is known. Returns the workloads where other replicas are ready now than before. */
  apply(endpoints: Routes['endpoints']): readonly WorkloadId[] {
    const changed: WorkloadId[] = []
    const named = Object.entries(endpoints) as [WorkloadId, readonly Endpoint[]][]
    for (const [id, replicas] of named) {
      const workload = this.#workloads.get(id) ?? new Workload(id)
      this.#workloads.set(id, workload)
      if (workload.apply(replicas, this.#tellDrained)) changed.push(id)
    }
    for (const [id, workload] of this.#workloads) {
      if (endpoints[id] !== undefined) continue
      if (workload.apply([], this.#tellDrained)) changed.push(id)
      if (workload.idle) this.#workloads.delete(id)
    }
    return changed
  }

  /** False: at zero, events for it are held. */
  hasReady(workload: WorkloadId): boolean {
    return (this.#workloads.get(workload)?.ready.length ?? 0) > 0
  }

  /** How many requests fit now where each replica may have `concurrency`. */
  room(workload: WorkloadId, concurrency: number): number {
    return this.#workloads.get(workload)?.room(concurrency) ?? 0
  }

  /** The least loaded ready replica with room, counted as busy until `release`. Undefined where there is none. */
  acquire(workload: WorkloadId, concurrency: number): Replica | undefined {
    const replica = this.#workloads.get(workload)?.leastLoaded(concurrency, this.#clock.monotonicMs())
    if (replica !== undefined) replica.inFlight++
    return replica
  }

  /** @param reached false where the replica could not be talked to at all. */
  release(replica: Replica, reached: boolean): void {
    assert(replica instanceof Slot, 'a replica comes from acquire')
    assert(replica.inFlight > 0, 'a replica is released once')
    replica.inFlight--
    replica.avoidUntilMs = reached ? 0 : this.#clock.monotonicMs() + AVOID_MS
    if (replica.inFlight === 0 && replica.state === 'draining') this.#tellDrained(replica.id)
  }

  /** Requests in flight by replica id, where there are any. */
  inFlight(workload: WorkloadId): Readonly<Record<string, number>> {
    return this.#workloads.get(workload)?.inFlight() ?? {}
  }

  onDrained(listener: (replica: string) => void): () => void {
    this.#drained.add(listener)
    return () => this.#drained.delete(listener)
  }

  readonly #tellDrained = (replica: string) => {
    for (const listener of this.#drained) listener(replica)
  }
}

class Workload {
  readonly #id: WorkloadId
  /** Also replicas that are named no more but still have requests in flight. */
  readonly #slots = new Map<string, Slot>()
  ready: readonly Slot[] = []
  /** Where the search begins, so that equals take turns. */
  #turn = 0

  constructor(id: WorkloadId) {
    this.#id = id
  }

  get idle(): boolean {
    return this.#slots.size === 0
  }

  /** True where others are ready now than before. */
  apply(endpoints: readonly Endpoint[], tellDrained: (replica: string) => void): boolean {
    const before = new Set(this.ready)
    const named = new Set(endpoints.map(endpoint => endpoint.id))
    for (const [id, slot] of this.#slots) {
      if (named.has(id)) continue
      slot.state = 'gone'
      if (slot.inFlight === 0) this.#slots.delete(id)
    }
    const drained: string[] = []
    for (const { id, origin, state } of endpoints) {
      const slot = this.#slots.get(id) ?? new Slot(id, this.#id)
      this.#slots.set(id, slot)
      if (state === 'draining' && slot.state !== 'draining' && slot.inFlight === 0) drained.push(id)
      slot.update(origin, state)
    }
    this.ready = [...this.#slots.values()].filter(slot => slot.state === 'ready')
    for (const id of drained) tellDrained(id)
    return this.ready.length !== before.size || this.ready.some(slot => !before.has(slot))
  }

  room(concurrency: number): number {
    let room = 0
    for (const slot of this.ready) room += Math.max(0, concurrency - slot.inFlight)
    return room
  }

  leastLoaded(concurrency: number, nowMs: number): Slot | undefined {
    const ready = this.ready
    let best: Slot | undefined
    let bestLoad = Number.POSITIVE_INFINITY
    for (let i = 0; i < ready.length; i++) {
      const slot = ready[(this.#turn + i) % ready.length]
      if (slot === undefined || slot.inFlight >= concurrency) continue
      const load = slot.avoidUntilMs > nowMs ? slot.inFlight + concurrency : slot.inFlight
      if (load >= bestLoad) continue
      best = slot
      bestLoad = load
    }
    this.#turn = ready.length > 0 ? (this.#turn + 1) % ready.length : 0
    return best
  }

  inFlight(): Record<string, number> {
    const busy: Record<string, number> = {}
    for (const slot of this.#slots.values()) if (slot.inFlight > 0) busy[slot.id] = slot.inFlight
    return busy
  }
}

class Slot implements Replica {
  readonly id: string
  readonly workload: WorkloadId
  state: Endpoint['state'] | 'gone' = 'gone'
  inFlight = 0
  avoidUntilMs = 0
  #origin = ''
  /** The Triggers of a workload mostly share one path. */
  #path = ''
  #url = ''

  constructor(id: string, workload: WorkloadId) {
    this.id = id
    this.workload = workload
  }

  update(origin: string, state: Endpoint['state']): void {
    if (origin !== this.#origin) this.#url = ''
    this.#origin = origin
    this.state = state
  }

  url(path: string): string {
    if (path !== this.#path || this.#url === '') {
      this.#path = path
      this.#url = this.#origin + path
    }
    return this.#url
  }
}
