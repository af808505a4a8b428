import type { BrokerId, TriggerId } from '../contract/ids.ts'
import type { DeliveryFailure } from '../event/dead-letter.ts'
import type { CloudEvent } from '../event/event.ts'
import type { Archive } from './archive.ts'

/**
 * Durable queues of events, one per Trigger, for every Broker of this process. The port fits a queue (the event is matched
 * when it is appended) and a log (it is matched when it is read): the store is given `match` and decides when to call it.
 *
 * Implementations live in `stores/` and pass `test/conformance/event-store.ts`. One owner per store; no method blocks.
 */
export interface EventStore extends AsyncDisposable {
  /**
   * Which Triggers exist from now on and which of them want an event. Events appended after this call are matched by it;
   * what is queued stays queued. Queues of Triggers (by uid) that are no longer named are dropped, and returned so that
   * nothing goes silently.
   */
  route(routing: Routing): Promise<readonly Dropped[]>

  /**
   * Keeps `event` for every Trigger that wants it: for all of them or none. Also kept when nobody wants it.
   * Resolves once the event survives a crash of this process, and of the machine where the store is durable.
   * @throws {StoreFullError} nothing was written; the ingress answers 507.
   * @throws {StoreFailedError} the store can keep no promise any more; see `onFailure`.
   */
  append(broker: BrokerId, event: CloudEvent, hops: number): Promise<Appended>

  /** As `append`, for several events: all of them are kept, in this order, or none is. */
  appendAll(broker: BrokerId, events: readonly Incoming[]): Promise<readonly Appended[]>

  /**
   * Up to `max` events that are due for `trigger`, oldest first. Each is in flight, and given to nobody else, until it is
   * settled or the store is opened again. Empty when nothing is due *in memory*: `onDue` says when to ask again.
   */
  lease(trigger: TriggerId, max: number): readonly Lease[]

  /** Calls `listener` when events have become due for a Trigger whose last `lease` came back short. */
  onDue(listener: (trigger: TriggerId) => void): void

  /**
   * Ends a lease. Takes effect here at once and on disk with the next group commit; a crash before that repeats the
   * delivery (`done`) or the attempt. A lease is settled exactly once: a second time is an assertion failure.
   * @param record the attempt, where somebody may want to read about it later: kept as long as the event.
   */
  settle(lease: Lease, settlement: StoredSettlement, record?: AttemptRecord): void

  /** Counters of one Trigger, kept up to date without scanning. Undefined for a Trigger that is not routed. */
  counts(trigger: TriggerId): StoreCounts | undefined

  /** Told once, when a write or an fsync failed: nothing more is promised, `append` refuses, the process should end. */
  onFailure(listener: (error: StoreFailedError) => void): void

  /** Waits until everything settled so far is on disk. */
  flush(): Promise<void>

  /** What is kept, and what may be done with it: for people. */
  readonly archive: Archive
}

export interface Routing {
  readonly triggers: readonly RoutedTrigger[]
  readonly match: Match
}

export interface RoutedTrigger {
  readonly id: TriggerId
  readonly uid: string
  readonly broker: BrokerId
  /**
   * An attribute. Events that have the same value in it are leased one at a time, in the order in which they were accepted,
   * through retries and restarts; a key whose event waits for its retry holds up no other. A key is free when the subscriber's
   * stage of its event is over. Events without the attribute are ordered by nothing. What is queued when the order changes
   * follows the new one from then on, as far as it can.
   */
  readonly order?: string | undefined
  /** Where it is new: it is to be owed what was kept before it; see `Archive.catchUp`. */
  readonly catchesUp?: boolean
}

export interface Incoming {
  readonly event: CloudEvent
  readonly hops: number
}

/** The Triggers of `broker` that want `event`, each once. Pure, never throws. */
export type Match = (broker: BrokerId, event: CloudEvent) => readonly TriggerId[]

export interface Dropped {
  readonly trigger: TriggerId
  /** Events that were still owed or parked. */
  readonly events: number
}

export interface Appended {
  /** Position in the store: ascends, never used twice. */
  readonly seq: number
  /** The Triggers that wanted it. Known at append in a queue, unknown (undefined) in a log. */
  readonly matched: readonly TriggerId[] | undefined
}

export interface Lease {
  readonly trigger: TriggerId
  readonly seq: number
  readonly event: CloudEvent
  /** Passes left, for the replies to this event. */
  readonly hops: number
  /** When the event was accepted, wall ms. */
  readonly acceptedMs: number
  /** Which address is being tried. `dead-letter` begins with attempt 0 of its own. */
  readonly stage: 'subscriber' | 'dead-letter'
  /** Attempts already made in this stage. Survives a restart. */
  readonly attempt: number
  /** Why the subscriber's stage ended; present in stage `dead-letter`. */
  readonly failure: Failure | undefined
}

/** What the three dead-letter extensions say. */
export type Failure = DeliveryFailure

export type StoredSettlement =
  /** Nothing is owed any more. */
  | { readonly kind: 'done' }
  /** Nothing is owed any more, and it was not delivered either: its time was over. */
  | { readonly kind: 'discarded' }
  /**
   * Try again at `dueMs` (wall), in this stage and with these attempts behind it. Where the wall clock is set back meanwhile, the
   * time that is left stays what it was: whoever means a date looks at it again.
   */
  | { readonly kind: 'postponed'; readonly dueMs: number; readonly attempt: number }
  /** The subscriber's attempts are over: due at once in stage `dead-letter`, attempt 0. */
  | { readonly kind: 'dead-letter'; readonly failure: Failure }
  /** Kept, visible, never due by itself. */
  | { readonly kind: 'parked'; readonly failure: Failure }
  /** Not attempted after all (drain, no replica): due again at once, attempts unchanged. */
  | { readonly kind: 'returned' }

/** One attempt, as it is kept. Its number and stage are the lease's. */
export interface AttemptRecord {
  /** When it ended, wall ms. */
  readonly atMs: number
  readonly tookMs: number
  /** HTTP status; undefined where there was no answer. */
  readonly status: number | undefined
  /** What it came to, in a few words; for a failure the start of the answer's body too. */
  readonly words: string
}

export interface StoreCounts {
  readonly waiting: number
  /** Due, and behind an earlier event of their key: nobody could work on them now. Not in `waiting`. */
  readonly blocked: number
  readonly retrying: number
  readonly inFlight: number
  readonly parked: number
  /** Accepted-at of the oldest event owed, wall ms. An estimate may be older than the truth, never younger. */
  readonly oldestMs: number | undefined
  /** When the first retry is due, wall ms. */
  readonly nextDueMs: number | undefined
}

/** No room: disk, quota. The event was not stored; the sender keeps it. */
export class StoreFullError extends Error {
  readonly code = 'store-full'
  override readonly name = 'StoreFullError'
}

/** A write, an fsync or a check failed. Whatever was acknowledged before it still holds. */
export class StoreFailedError extends Error {
  readonly code = 'store-failed'
  override readonly name = 'StoreFailedError'
}
