import type { Endpoint } from '../contract/routes.ts'
import { sleep } from '../runtime/clock.ts'
import { Replica, type ReplicaDeps, type Template } from './replica.ts'

/** What the broker knows of the requests at replicas, and what it must be told. */
export interface Traffic {
  /** Requests open at a replica now. */
  inFlight(replica: string): number
  /** Told when the last request at a draining replica is done. Returns the function that stops it. */
  onDrained(listener: (replica: string) => void): () => void
  /** Resolves when the broker follows the endpoints as they are now. Never rejects. */
  published(): Promise<void>
}

export interface ReplicaSetDeps extends Omit<ReplicaDeps, 'expectsPort'> {
  readonly traffic: Traffic
  /** Ids in use, shared by all sets of the process: a replica that still drains keeps its id to itself. */
  readonly names: Set<string>
  /**
   * The longest that a request to these replicas can take; undefined when nobody sends any, as to a worker that pulls by
   * itself: such a replica is only given its grace.
   */
  readonly requestMaxMs: () => number | undefined
}

/** A drain is over at the latest this long after the longest request: by then the broker has given it up. */
const DRAIN_MARGIN_MS = 5_000
/** How often a drain looks by itself, should the broker's word be missed. */
const DRAIN_LOOK_MS = 1_000

/**
 * The replicas of one Deployment. Fewer: those that do nothing go first, and no request is ever cut; more: those that still
 * drain are taken back before new ones start. A new template drains the old replicas while its own are started.
 */
export class ReplicaSet {
  readonly #name: string
  readonly #deps: ReplicaSetDeps
  #template: Template
  #desired = 0
  #closed = false
  readonly #replicas = new Set<Replica>()
  /** Those on their way out, and how to call them back. An old template's are not called back. */
  readonly #leaving = new Map<Replica, AbortController>()
  readonly #templates = new WeakMap<Replica, Template>()

  /** `name` begins the ids of the replicas: `worker` gives `worker-1`, `worker-2` … */
  constructor(name: string, template: Template, deps: ReplicaSetDeps) {
    this.#name = name
    this.#template = template
    this.#deps = deps
  }

  get desired(): number {
    return this.#desired
  }

  /** Replicas that can work: their port answers, or, where nobody sends them anything, they run. */
  get ready(): number {
    const pulls = this.#deps.requestMaxMs() === undefined
    let count = 0
    for (const replica of this.#staying()) if (replica.state === 'ready' || (pulls && replica.running)) count++
    return count
  }

  get endpoints(): readonly Endpoint[] {
    const found: Endpoint[] = []
    for (const replica of this.#replicas) if (replica.endpoint !== undefined) found.push(replica.endpoint)
    return found
  }

  get pids(): readonly number[] {
    return [...this.#replicas].flatMap(replica => replica.pid ?? [])
  }

  /** Asks for `desired` replicas; they come and go in their own time. */
  scale(desired: number): void {
    if (this.#closed) return
    this.#desired = desired
    this.#adjust()
  }

  /** Replicas run `template` from now on. Those that run another one are drained. */
  update(template: Template): void {
    if (this.#closed || JSON.stringify(template) === JSON.stringify(this.#template)) return
    this.#template = template
    for (const replica of this.#staying()) void this.#retire(replica)
    this.#adjust()
  }

  /** Drains every replica, as `scale(0)` does, and resolves when all are gone. */
  async retire(): Promise<void> {
    this.scale(0)
    this.#closed = true
    await Promise.all([...this.#replicas].map(replica => replica.done))
  }

  /** SIGTERM to all at once, SIGKILL after the grace. For the end, when no request is open. Idempotent. */
  async stop(): Promise<void> {
    this.#closed = true
    this.#desired = 0
    await Promise.all([...this.#replicas].map(replica => replica.stop()))
  }

  /** SIGKILL to all at once. */
  kill(): void {
    this.#closed = true
    for (const replica of this.#replicas) replica.kill()
  }

  #adjust(): void {
    const staying = this.#staying()
    for (const replica of leastNeeded(staying, id => this.#deps.traffic.inFlight(id), staying.length - this.#desired))
      void this.#retire(replica)

    let missing = this.#desired - staying.length
    for (const [replica, leave] of [...this.#leaving].reverse()) {
      if (missing <= 0) break
      if (replica.state !== 'draining' || this.#templates.get(replica) !== this.#template) continue
      leave.abort()
      this.#leaving.delete(replica)
      replica.resume()
      missing--
    }
    for (; missing > 0; missing--) this.#start()
    this.#deps.changed()
  }

  #start(): void {
    const id = this.#freeName()
    this.#deps.names.add(id)
    const replica = new Replica(id, this.#template, {
      ...this.#deps,
      expectsPort: () => this.#deps.requestMaxMs() !== undefined,
    })
    this.#replicas.add(replica)
    this.#templates.set(replica, this.#template)
    void replica.done.then(() => {
      this.#deps.names.delete(id)
      this.#replicas.delete(replica)
      this.#leaving.delete(replica)
      this.#deps.changed()
    })
  }

  /** Drains and stops one replica, unless it is called back before its SIGTERM. */
  async #retire(replica: Replica): Promise<void> {
    const leave = new AbortController()
    this.#leaving.set(replica, leave)
    replica.drain()
    if (replica.state === 'draining') await this.#drained(replica, leave.signal)
    if (leave.signal.aborted) return
    await replica.stop()
  }

  /** Resolves when no request is open at `replica`, when it is called back, or when no request can be open any more. */
  async #drained(replica: Replica, calledBack: AbortSignal): Promise<void> {
    const { clock, traffic, requestMaxMs, say } = this.#deps
    await traffic.published()
    const limitMs = requestMaxMs()
    if (limitMs === undefined) return

    const untilMs = clock.monotonicMs() + limitMs + DRAIN_MARGIN_MS
    while (!calledBack.aborted && replica.state === 'draining' && traffic.inFlight(replica.id) > 0) {
      if (clock.monotonicMs() >= untilMs) {
        say(`${replica.id} still holds a request after the ${limitMs / 1000} s that one may take; it is ended`)
        return
      }
      const look = new AbortController()
      const stop = traffic.onDrained(id => id === replica.id && look.abort())
      await sleep(clock, DRAIN_LOOK_MS, AbortSignal.any([look.signal, calledBack])).catch(() => {})
      stop()
    }
  }

  #staying(): Replica[] {
    return [...this.#replicas].filter(replica => !this.#leaving.has(replica))
  }

  #freeName(): string {
    let number = 1
    while (this.#deps.names.has(`${this.#name}-${number}`)) number++
    return `${this.#name}-${number}`
  }
}

/** The `count` replicas that are missed least: not ready, then idle, then least busy; among equals the youngest. Pure. */
export function leastNeeded<R extends { readonly id: string; readonly state: string }>(
  replicas: readonly R[],
  inFlight: (id: string) => number,
  count: number,
): readonly R[] {
  if (count <= 0) return []
  const load = (replica: R) => (replica.state === 'ready' ? inFlight(replica.id) : -1)
  return replicas
    .map((replica, age) => ({ replica, age, load: load(replica) }))
    .sort((a, b) => a.load - b.load || b.age - a.age)
    .slice(0, count)
    .map(({ replica }) => replica)
}
