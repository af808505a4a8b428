import type { BrokerId, TriggerId } from '../contract/ids.ts'
import type { CloudEvent } from '../event/event.ts'
import type { AttemptRecord, Failure, Lease } from './store.ts'

/**
 * What a store keeps, for people: looked at, searched, and owed again. Reads see every event that was acknowledged before
 * they began, and cost the data path no more than a slice of a few milliseconds at a time.
 */
export interface Archive {
  /** Up to `limit` stored events by ascending seq (`after`) or descending (`before`), that the query describes. */
  events(query: EventQuery): Promise<EventPage>
  /** One event with its data and everything that is known of its deliveries; undefined where it is not kept. */
  event(seq: number): Promise<StoredEvent | undefined>
  /** What is owed to, parked for, or went to the dead-letter sink of one Trigger, by ascending seq. */
  deliveries(query: DeliveryQuery): Promise<DeliveryPage>
  /**
   * Makes events due again for `trigger`, from their first attempt: what is parked for it, retried or dead-lettered later,
   * and what it never had. What is in flight or waits already is left alone. Durable when it resolves.
   * @returns how many are due now that were not.
   */
  owe(trigger: TriggerId, seqs: readonly number[]): Promise<number>
  /** Where `trigger` is in what was kept before it; undefined where it has all that it asked for when it was new, or nothing is kept. */
  catchUp(trigger: TriggerId): Promise<CatchUp | undefined>
  /** It has been owed what it wants up to and including `seq`. Durable when it resolves. */
  caughtUp(trigger: TriggerId, seq: number): Promise<void>
  /** Gives up what is parked for `trigger`. Durable when it resolves. @returns how many that were. */
  discard(trigger: TriggerId, seqs: readonly number[]): Promise<number>
}

/** Seqs that a Trigger has not been asked about: after `from`, up to and including `to`. */
export interface CatchUp {
  readonly from: number
  readonly to: number
}

export interface EventQuery {
  readonly broker?: BrokerId
  readonly id?: string
  readonly source?: string
  readonly type?: string
  readonly subject?: string
  /** Accepted at or after, and before, wall ms. */
  readonly sinceMs?: number
  readonly untilMs?: number
  /** From the oldest on, those after this seq. */
  readonly after?: number
  /** From the newest on, those before this seq. Without either: from the newest. */
  readonly before?: number
  readonly limit: number
}

export interface EventPage {
  readonly events: readonly ArchivedEvent[]
  /** Where the next page begins: for `after` or `before`. Undefined: there is no more. */
  readonly next: number | undefined
}

export interface ArchivedEvent {
  readonly seq: number
  /** Undefined where that is not known any more. */
  readonly broker: BrokerId | undefined
  readonly acceptedMs: number
  /** Without attributes and body where it is damaged. */
  readonly event: CloudEvent
  /** Its checksum does not match: it is never delivered. */
  readonly damaged: boolean
  /** The Triggers that wanted it when it was accepted and are still there. */
  readonly matched: readonly TriggerId[]
}

export interface StoredEvent extends ArchivedEvent {
  readonly deliveries: readonly StoredDelivery[]
}

/** What became of one event for one Trigger, so far. */
export interface StoredDelivery {
  readonly trigger: TriggerId
  readonly seq: number
  /** `delivered`: nothing is owed any more, and it went neither to the sink nor away. */
  readonly state:
    | 'waiting'
    | 'blocked'
    | 'in-flight'
    | 'retrying'
    | 'parked'
    | 'dead-lettered'
    | 'discarded'
    | 'delivered'
  readonly stage: Lease['stage']
  readonly attempt: number
  readonly dueMs: number | undefined
  readonly failure: Failure | undefined
  /** Oldest first. A delivery that succeeded at once leaves none. */
  readonly attempts: readonly KeptAttempt[]
}

export interface DeliveryQuery {
  readonly trigger: TriggerId
  readonly state: 'parked' | 'retrying' | 'dead-lettered'
  readonly id?: string
  readonly source?: string
  readonly type?: string
  /** Occurs in the failure or the words of an attempt, whatever its case. */
  readonly text?: string
  readonly after?: number
  readonly limit: number
}

export interface DeliveryPage {
  readonly deliveries: readonly (StoredDelivery & { readonly event: ArchivedEvent })[]
  readonly next: number | undefined
}

export interface KeptAttempt extends AttemptRecord {
  readonly stage: Lease['stage']
  readonly attempt: number
  /** What followed. */
  readonly fate: 'again' | 'delivered' | 'dead-lettered' | 'discarded' | 'parked'
}
