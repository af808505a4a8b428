import type { Seen } from './table.ts'

/** What one run of the demo came to. */
export interface Progress {
  /** The highest number of workers that were ready at once. */
  readonly mostWorkers: number
  readonly delivered: number
  readonly audited: number
  readonly parked: number
  /** Everything that was put has been delivered, nothing is owed, and all replicas are gone. */
  readonly done: boolean
}

export const NO_PROGRESS: Progress = { mostWorkers: 0, delivered: 0, audited: 0, parked: 0, done: false }

/** What `state` adds to what was seen before. `put` is how many messages are to come through. Pure. */
export function follow(before: Progress, state: Seen, put: number): Progress {
  const worker = state.triggers.find(one => one.name === 'worker')
  const delivered = worker?.delivered ?? 0
  const quiet =
    state.sources.every(one => one.lag === 0 && one.held === 0) &&
    state.triggers.every(
      ({ backlog, inFlight, retrying, replicas }) =>
        backlog + inFlight + retrying + (replicas?.desired ?? 0) + (replicas?.ready ?? 0) === 0,
    )
  return {
    mostWorkers: Math.max(before.mostWorkers, worker?.replicas?.ready ?? 0),
    delivered,
    audited: state.triggers.find(one => one.name === 'audit')?.delivered ?? 0,
    parked: state.triggers.reduce((sum, one) => sum + one.parked, 0),
    done: quiet && delivered >= put,
  }
}

export function summary({ mostWorkers, delivered, audited, parked }: Progress, put: number, tookMs: number): string {
  const took = `${(tookMs / 1000).toFixed(0)} s`
  return (
    `${put} messages, ${delivered} delivered to worker, ${audited} to audit, ${parked} parked; ` +
    `worker replicas 0 → ${mostWorkers} → 0; ${took}`
  )
}
