import type { CatchUp, DeliveryQuery, EventQuery } from '../../archive.ts'
import type { AttemptRecord, Failure } from '../../store.ts'
import type { FATES, Key } from './protocol.ts'

/** What may be asked about what is kept, or done with it. Each takes a slice of a few ms; whoever asks goes on from `to`. */
export type Ask =
  | { readonly kind: 'events'; readonly query: EventQuery; readonly broker: Key | undefined; readonly from: number }
  | { readonly kind: 'event'; readonly seq: number }
  | { readonly kind: 'deliveries'; readonly query: DeliveryQuery; readonly trigger: Key; readonly from: number }
  /** Of these seqs, those that are there and not in `busy` become due at `nowMs`, from their first attempt. */
  | {
      readonly kind: 'owe'
      readonly trigger: Key
      readonly seqs: readonly number[]
      readonly busy: ReadonlySet<number>
      readonly nowMs: number
    }
  /** How far a Trigger has caught up; where nobody said yet how far it goes, that is `to`. */
  | { readonly kind: 'catch-up'; readonly trigger: Key; readonly to: number }
  | { readonly kind: 'caught-up'; readonly trigger: Key; readonly seq: number }
  | { readonly kind: 'discard'; readonly trigger: Key; readonly seqs: readonly number[]; readonly nowMs: number }

export type Answer =
  /** Rows that fit, in order; `to` is where the next slice begins, undefined at the end. */
  | { readonly kind: 'events'; readonly events: readonly EventRow[]; readonly to: number | undefined }
  | { readonly kind: 'event'; readonly event: EventRow | undefined; readonly deliveries: readonly DeliveryRow[] }
  | {
      readonly kind: 'deliveries'
      readonly deliveries: readonly DeliveryRow[]
      readonly events: readonly EventRow[]
      readonly to: number | undefined
    }
  | {
      readonly kind: 'owed'
      readonly events: number
      readonly fromParked: number
      readonly fromRetrying: number
      readonly oldestMs: number | undefined
    }
  | { readonly kind: 'discarded'; readonly events: number }
  | { readonly kind: 'catch-up'; readonly catchUp: CatchUp | undefined }
  /** There was no room on the disk; nothing was changed. */
  | { readonly kind: 'full' }

export interface EventRow {
  readonly seq: number
  readonly broker: Key
  readonly acceptedMs: number
  readonly structured: boolean
  /** JSON. Undefined, and without a body, where the row is damaged. */
  readonly head: string | undefined
  readonly body: Uint8Array<ArrayBuffer>
  readonly matched: readonly Key[]
}

export interface DeliveryRow {
  readonly trigger: Key
  readonly seq: number
  /** Of the row in `delivery`; undefined where there is none. */
  readonly state: number | undefined
  readonly dueMs: number
  readonly deadLetter: boolean
  readonly attempt: number
  readonly failure: Failure | undefined
  readonly attempts: readonly AttemptRow[]
}

export interface AttemptRow extends AttemptRecord {
  readonly deadLetter: boolean
  readonly attempt: number
  readonly fate: (typeof FATES)[number]
}
