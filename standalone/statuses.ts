import type { Condition } from '../crds/resource.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Status } from '../trigger-controller/world.ts'

export interface TimedCondition extends Condition {
  /** When `status` last changed, wall ms. */
  readonly lastTransitionMs: number
}

export interface KnownStatus {
  readonly conditions: readonly TimedCondition[]
  readonly extra: Readonly<Record<string, unknown>>
}

/** The status of every resource, as the controller last reported it. Keys as `resourceKey`. */
export class Statuses {
  readonly #clock: Clock
  readonly #changed: (key: string, now: KnownStatus, before: KnownStatus | undefined) => void
  readonly #known = new Map<string, KnownStatus>()

  constructor(clock: Clock, changed: (key: string, now: KnownStatus, before: KnownStatus | undefined) => void) {
    this.#clock = clock
    this.#changed = changed
  }

  get(key: string): KnownStatus | undefined {
    return this.#known.get(key)
  }

  /** `Ready` in short: whether, and if not, why in words. */
  ready(key: string): { readonly ready: boolean; readonly reason: string } {
    const ready = this.#known.get(key)?.conditions.find(({ type }) => type === 'Ready')
    if (ready === undefined) return { ready: false, reason: 'not looked at yet' }
    if (ready.status === 'True') return { ready: true, reason: '' }
    return { ready: false, reason: ready.message ?? ready.reason ?? '' }
  }

  /** What a person should know although nothing is broken. */
  notice(key: string): string | undefined {
    const annotations = this.#known.get(key)?.extra.annotations
    if (typeof annotations !== 'object' || annotations === null || !('weir.dev/notice' in annotations)) return undefined
    return String(annotations['weir.dev/notice'])
  }

  report(key: string, status: Status): void {
    const before = this.#known.get(key)
    const conditions = status.conditions.map(condition => {
      const was = before?.conditions.find(({ type }) => type === condition.type)
      return {
        ...condition,
        lastTransitionMs: was?.status === condition.status ? was.lastTransitionMs : this.#clock.nowMs(),
      }
    })
    const now = { conditions, extra: status.extra }
    if (JSON.stringify(now) === JSON.stringify(before)) return
    this.#known.set(key, now)
    this.#changed(key, now, before)
  }

  forget(key: string): void {
    this.#known.delete(key)
  }
}
