import type { BrokerId } from '../contract/ids.ts'
import type { TriggerRoute } from '../contract/routes.ts'
import type { Intake } from './accept.ts'
import type { Attempt } from './attempt.ts'
import type { TriggerTally } from './counters.ts'
import type { Replica } from './endpoints.ts'
import type { Recorder } from './journal.ts'
import type { EventStore, Lease } from './store.ts'

/** One Trigger, with everything its deliveries need. Replaced whole when something of it changes. */
export interface LaneSpec {
  readonly route: TriggerRoute
  readonly broker: BrokerId
  readonly namespace: string
  readonly store: EventStore
  /** For its replies. */
  readonly intake: Intake
  readonly recorder: Recorder
}

/** One leased event on its way to one address. */
export interface Job {
  readonly lane: JobOwner
  /** As it was when the attempt began: a change of the route takes effect with the next one. */
  readonly spec: LaneSpec
  /** The event; of a batch, the first one. */
  readonly lease: Lease
  /** All events of the request, where the Trigger asks for batches and this is its subscriber. */
  readonly batch: readonly Lease[] | undefined
  readonly url: string
  /** Acquired until the attempt is over. */
  readonly replica: Replica | undefined
  /** What the gate calls it. */
  readonly number: number
}

/** What the end of a job changes in its lane. */
export interface JobOwner {
  readonly tally: TriggerTally
  /** The last attempt at the subscriber failed. */
  failing: boolean
  /** Events that entered or left the dead-letter stage. */
  countDeadLetters(change: 1 | -1): void
  /** The leases of a batch that failed as a whole: they go again, at once, in halves. */
  split(leases: readonly Lease[]): void
}

/** Of its events, together. */
export function bytesOf({ lease, batch }: Job): number {
  if (batch === undefined) return lease.event.body.byteLength
  let bytes = 0
  for (const one of batch) bytes += one.event.body.byteLength
  return bytes
}

/** False: nobody was there. A replica that is slow is there, and one that lacks a token was not asked. */
export function isReached(attempt: Attempt): boolean {
  return attempt.kind !== 'unreachable' || attempt.cause === 'timeout' || attempt.cause === 'token'
}
