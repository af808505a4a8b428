import type { AdapterState } from '../adapters/adapter.ts'
import type { WorkloadId } from '../contract/ids.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import type { AdapterWorkload, Replicas } from '../trigger-controller/world.ts'
import { restartDelayMs } from './replica.ts'

export interface AdapterLoopsDeps {
  readonly clock: Clock
  /** Runs one adapter until `signal` aborts and it has drained; rejects for what no retry inside can mend. */
  readonly run: (workload: AdapterWorkload, report: (state: AdapterState) => void, signal: AbortSignal) => Promise<void>
  readonly say: (text: string) => void
  /** Told when a state changed. */
  readonly changed: (id: WorkloadId) => void
}

const IDLE: AdapterState = { ready: false, error: undefined, held: 0, emitted: 0 }
/** A loop that ran this long starts its back-off anew. */
const LIVED_MS = 10_000

/** The adapters of the sources, each as loops of this process: as many as there would be pods. */
export class AdapterLoops {
  readonly #deps: AdapterLoopsDeps
  readonly #adapters = new Map<WorkloadId, Adapter>()
  /** Events taken in by each source since the process began, by whichever loop. */
  readonly #emitted = new Map<WorkloadId, number>()
  /** Loops that drain; closing waits for them too. */
  readonly #ending = new Set<Promise<void>>()
  #closed = false

  constructor(deps: AdapterLoopsDeps) {
    this.#deps = deps
  }

  /** The adapter that should run for `id`; undefined drains it. The same one again changes nothing. */
  apply(id: WorkloadId, workload: AdapterWorkload | undefined): void {
    const before = this.#adapters.get(id)
    if (this.#closed || same(before?.workload, workload)) return
    if (before !== undefined) this.#drain(before, before.loops.size)
    if (workload === undefined) return void this.#adapters.delete(id)
    const adapter: Adapter = { workload, desired: before?.desired ?? 1, loops: new Map() }
    this.#adapters.set(id, adapter)
    this.#adjust(adapter)
  }

  /** Asks for a number of loops. */
  scale(id: WorkloadId, replicas: number): void {
    const adapter = this.#adapters.get(id)
    if (adapter === undefined || this.#closed) return
    adapter.desired = replicas
    this.#adjust(adapter)
  }

  replicas(id: WorkloadId): Replicas | undefined {
    const adapter = this.#adapters.get(id)
    if (adapter === undefined) return undefined
    const ready = [...adapter.loops.values()].filter(state => state.ready).length
    return { desired: adapter.desired, ready }
  }

  /** All loops of one adapter together; `emitted` counts since the process began. */
  state(id: WorkloadId): AdapterState | undefined {
    const adapter = this.#adapters.get(id)
    if (adapter === undefined) return undefined
    const states = [...adapter.loops.values()]
    return {
      ready: states.some(state => state.ready),
      error: states.find(state => state.error !== undefined)?.error,
      held: states.reduce((sum, state) => sum + state.held, 0),
      emitted: this.#emitted.get(id) ?? 0,
    }
  }

  /** Drains all of them. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    for (const adapter of this.#adapters.values()) this.#drain(adapter, adapter.loops.size)
    await Promise.all(this.#ending)
  }

  #adjust(adapter: Adapter): void {
    this.#drain(adapter, adapter.loops.size - adapter.desired)
    for (let missing = adapter.desired - adapter.loops.size; missing > 0; missing--) this.#start(adapter)
    this.#deps.changed(adapter.workload.id)
  }

  #drain(adapter: Adapter, count: number): void {
    for (const loop of [...adapter.loops.keys()].slice(0, Math.max(0, count))) {
      loop.abort()
      adapter.loops.delete(loop)
    }
  }

  #start(adapter: Adapter): void {
    const loop = new AbortController()
    adapter.loops.set(loop, IDLE)
    const ended = this.#loop(adapter, loop)
    this.#ending.add(ended)
    void ended.then(() => this.#ending.delete(ended))
  }

  /** Runs the adapter, again and again if it must, until `loop` is aborted. Never rejects. */
  async #loop(adapter: Adapter, loop: AbortController): Promise<void> {
    const { clock, say } = this.#deps
    const { signal } = loop
    const { id, source } = adapter.workload
    let failures = 0
    let counted = 0
    const report = (state: AdapterState) => {
      this.#emitted.set(id, (this.#emitted.get(id) ?? 0) + state.emitted - counted)
      counted = state.emitted
      if (adapter.loops.has(loop)) adapter.loops.set(loop, state)
      this.#deps.changed(id)
    }
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs()
      const why = await this.#deps.run(adapter.workload, report, signal).then(
        () => 'ended by itself',
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      )
      counted = 0
      if (signal.aborted) return
      failures = clock.monotonicMs() - startedMs >= LIVED_MS ? 0 : failures + 1
      const delayMs = restartDelayMs(failures)
      say(`${source.kind} ${source.metadata.name} stopped: ${why}; starting it again in ${delayMs / 1000} s`)
      report({ ready: false, error: why, held: 0, emitted: 0 })
      await sleep(clock, delayMs, signal).catch(() => {})
    }
  }
}

interface Adapter {
  readonly workload: AdapterWorkload
  desired: number
  /** The loops that are meant to run, with what each last reported. */
  readonly loops: Map<AbortController, AdapterState>
}

function same(a: AdapterWorkload | undefined, b: AdapterWorkload | undefined): boolean {
  return meaning(a) === meaning(b)
}

/** Lines of a file may move without meaning anything. */
function meaning(workload: AdapterWorkload | undefined): string {
  return JSON.stringify(workload === undefined ? null : { ...workload, source: { ...workload.source, where: null } })
}
