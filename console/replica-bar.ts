import type { ReplicasView } from '../contract/api.ts'

/** Of the segments of a replica bar: those that run, are asked for, run but leave, and may yet be asked for. */
export interface ReplicaBar {
  readonly ready: number
  readonly starting: number
  readonly draining: number
  readonly free: number
  readonly words: string
}

export function replicaBar({ ready, desired, max }: ReplicasView): ReplicaBar {
  const most = Math.max(max, ready, desired)
  const change = ready === desired ? `${ready}` : `${ready} → ${desired}`
  return {
    ready: Math.min(ready, desired),
    starting: Math.max(0, desired - ready),
    draining: Math.max(0, ready - desired),
    free: most - Math.max(ready, desired),
    words: `${change} of ${max}`,
  }
}
