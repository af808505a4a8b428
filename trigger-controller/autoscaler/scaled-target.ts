import type { ScaleView } from '../../contract/api.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { abortable } from '../abortable.ts'
import type { World } from '../world.ts'
import { type Decision, decide } from './decide.ts'
import { History, type Readings } from './observe.ts'
import type { ScaleTarget } from './target.ts'

/** A number that was asked for anew. */
export interface ScaledChange {
  readonly target: ScaleTarget
  readonly from: number
  readonly to: number
  readonly explain: string
}

export interface ScaledTargetDeps {
  readonly clock: Clock
  readonly log: Log
  readonly onChange: (change: ScaledChange) => void
}

/** A world that does not record a wish in this time is asked again. */
const ASK_TIMEOUT_MS = 10_000

/** One target while it is scaled: its history, the last decision, and the wish that is under way. */
export class ScaledTarget {
  /** Replaced when the YAML changes; what was observed stays. */
  target: ScaleTarget
  readonly #world: World
  readonly #deps: ScaledTargetDeps
  readonly #signal: AbortSignal
  readonly #history: History
  #decision: Decision | undefined
  #changedMs: number | null = null
  #asking: Promise<void> | undefined

  constructor(target: ScaleTarget, world: World, deps: ScaledTargetDeps, signal: AbortSignal) {
    this.target = target
    this.#world = world
    this.#deps = deps
    this.#signal = signal
    const desired = world.replicas(target.workload)?.desired ?? 0
    this.#history = new History(target.limits.profile, desired, deps.clock.monotonicMs())
  }

  /** There may be something to decide without a call from outside. */
  get awake(): boolean {
    const desired = this.#world.replicas(this.target.workload)?.desired
    return this.#decision === undefined || desired !== this.#decision.replicas || this.#decision.replicas > 0
  }

  /** Looks, decides, and asks the world where the number is another. One wish at a time: what comes meanwhile is seen next. */
  step(readings: Readings): void {
    const { clock } = this.#deps
    const replicas = this.#world.replicas(this.target.workload)
    const desired = replicas?.desired ?? 0
    const nowMs = clock.monotonicMs()
    const seen = this.#history.see(this.target, desired, readings, nowMs)
    const decision = decide(seen, this.target.limits, nowMs)
    this.#history.decided(decision, nowMs)
    this.#decision = decision
    if (this.target.paused || this.#asking !== undefined) return
    // A workload that the world has no number for yet is told one, be it zero.
    if (replicas !== undefined && decision.replicas === desired) return
    this.#asking = this.#ask(desired, decision)
  }

  /** Resolves when no wish is under way. Never rejects. */
  async settled(): Promise<void> {
    await this.#asking
  }

  view(): ScaleView {
    const { kind, namespace, name, by, limits, workload, paused } = this.target
    const replicas = this.#world.replicas(workload)
    const explain = this.#decision?.explain ?? 'not looked at yet'
    return {
      namespace,
      name,
      kind,
      by,
      replicas: { ready: replicas?.ready ?? 0, desired: replicas?.desired ?? 0, min: limits.min, max: limits.max },
      explain: paused ? `paused; would be ${explain}` : explain,
      changedMs: this.#changedMs,
    }
  }

  async #ask(from: number, decision: Decision): Promise<void> {
    const { clock, log, onChange } = this.#deps
    const { workload } = this.target
    const timeout = new AbortController()
    const cancel = clock.after(ASK_TIMEOUT_MS, () => timeout.abort(new Error(`no answer in ${ASK_TIMEOUT_MS} ms`)))
    try {
      const to = decision.replicas
      const signal = AbortSignal.any([this.#signal, timeout.signal])
      await abortable(this.#world.setReplicas(workload, to, signal), signal)
      this.#changedMs = clock.nowMs()
      if (from !== to) {
        log.info({ workload, from, to, ...decision.terms }, 'scaled')
        onChange({ target: this.target, from, to, explain: decision.explain })
      }
    } catch (error) {
      if (!this.#signal.aborted) log.warn({ workload, from, to: decision.replicas, error }, 'scaling failed')
    } finally {
      cancel()
      this.#asking = undefined
    }
  }
}
