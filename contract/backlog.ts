import type { TriggerId } from './ids.ts'

/** What the data plane knows of one Trigger. Counts of events unless a unit is named; cumulative since the process began. */
export interface TriggerBacklog {
  readonly trigger: TriggerId
  /** Due now and waiting: what a subscriber could work on. */
  readonly waiting: number
  /** Due, and behind an earlier event of their key. Not in `waiting`. */
  readonly blocked: number
  /** Failed at least once, or held back, and not yet due. */
  readonly retrying: number
  readonly parked: number
  readonly inFlight: number
  /** In flight by replica id, for subscribers that are workloads. Replicas with none are absent. */
  readonly inFlightByReplica: Readonly<Record<string, number>>
  /** Age of the oldest event that is owed (waiting, retrying or in flight), ms; undefined when none is. */
  readonly oldestAgeMs: number | undefined
  /** Ms from now until the first retry is due; undefined when none is. */
  readonly nextDueInMs: number | undefined
  /** Events that matched. */
  readonly accepted: number
  /** Deliveries that ended in success. */
  readonly delivered: number
  /** Deliveries that went to the dead-letter sink. */
  readonly deadLettered: number
  /** Attempts that failed. */
  readonly failed: number
  /** Time subscribers spent on successful attempts, ms, summed: `busyMs / delivered` is the service time. */
  readonly busyMs: number
  /** The last failed attempt in words, or undefined. */
  readonly lastError: string | undefined
  /** Something a person should know once, e.g. that reply bodies are ignored because they are no CloudEvents. */
  readonly notice: string | undefined
  /** Why nothing is attempted although events may wait, and for how long still, where that is known; undefined: nothing hinders. */
  readonly stopped:
    | { readonly by: 'pause' | 'circuit' | 'asked-to-wait'; readonly forMs: number | undefined }
    | undefined
}

/** The broker's own backlog, as the autoscaler and the status API read it. */
export interface BacklogSource {
  /** One entry for each Trigger of the current routes. Cheap: counters, no scan. */
  read(): readonly TriggerBacklog[]
  /**
   * Tells `listener` at once, with no polling, that a Trigger has events and no replica to give them to.
   * Repeats while that stays so only when further events come. Returns the function that stops it.
   */
  onHeld(listener: (trigger: TriggerId) => void): () => void
  /** Tells `listener` when the last event in flight at a draining replica is done, with the replica's id. */
  onDrained(listener: (replica: string) => void): () => void
}
