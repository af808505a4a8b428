import type { BacklogQuery } from '../../clients/backlog.ts'
import type { TriggerId, WorkloadId } from '../../contract/ids.ts'
import type { DemandOfWork, Limits } from './decide.ts'

/** One workload that we scale: by whose word, within which bounds, for which work. */
export interface ScaleTarget {
  readonly workload: WorkloadId
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** Who declared it, for people: `ScaledObject/worker`. */
  readonly by: string
  /** The same as a resource key. */
  readonly owner: string
  readonly limits: Limits
  /** The number is left as it is (KEDA's annotation `paused`). */
  readonly paused: boolean
  readonly demands: readonly Demand[]
  /** Triggers that must keep up with what this target brings in: those of an adapter's Broker. */
  readonly downstream: readonly TriggerId[]
}

export type Demand =
  | {
      readonly kind: 'trigger'
      readonly name: string
      readonly trigger: TriggerId
      /** Its subscriber is the target itself, so that its replicas are the ones that are busy. */
      readonly delivers: boolean
      readonly wants: DemandOfWork
    }
  | (QueueWatch & { readonly kind: 'queue'; readonly name: string; readonly wants: DemandOfWork })
  /** Declared, but cannot be read: unknown until somebody mends it. */
  | { readonly kind: 'broken'; readonly name: string; readonly reason: string }

/** A queue elsewhere whose length is read again and again. */
export interface QueueWatch {
  readonly key: string
  readonly backlog: BacklogQuery
  readonly pollMs: number
}

/** Something that asked to scale and may not, or not in this way. */
export interface Refusal {
  /** `resourceKey` of who asked. */
  readonly key: string
  readonly reason: 'ScaledByAnother' | 'TargetNotFound' | 'InvalidAnnotation'
  readonly message: string
}
