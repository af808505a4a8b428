import type { AttemptRecord, Failure } from '../../store.ts'
import type { Answer, Ask } from './archive-protocol.ts'

/**
 * What crosses between the broker's thread and the thread that owns the database. Requests are worked on in order, one at
 * a time, and answered in that order. Events cross in transferred buffers, a group at a time, never object by object.
 */
export type Request =
  | CommitRequest
  | LoadRequest
  | RouteRequest
  | RetainRequest
  | BackRequest
  | { readonly kind: 'ask'; readonly ask: Ask }
  | { readonly kind: 'close' }

export type Reply =
  | Opened
  /** The database was not opened, and nothing in the folder was changed. */
  | { readonly kind: 'refused'; readonly code: OpenProblem; readonly message: string }
  | Committed
  | Loaded
  | Routed
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'back'; readonly byMs: number }
  /** `more`: another slice is due at once. */
  | { readonly kind: 'retained'; readonly events: number; readonly more: boolean }
  | { readonly kind: 'closed'; readonly problem: string | undefined }
  /** A write, an fsync or a check failed. Nothing follows. */
  | { readonly kind: 'failed'; readonly message: string }

export type OpenProblem = 'store-locked' | 'store-format' | 'store-unusable'

/** The small integers that stand for names in rows. */
export type Key = number

/** The columns of `delivery.state`. No row: nothing is owed, or the event is younger than the watermark. */
export const WAITING = 0
export const RETRYING = 1
export const PARKED = 2
/** Behind an earlier event of its key. */
export const BLOCKED = 3

/** One transaction and one fsync. */
export interface CommitRequest {
  readonly kind: 'commit'
  readonly events: number
  /** `HEAD` numbers per event, then the keys of the Triggers that it is owed to; see `Group`. */
  readonly heads: Float64Array<ArrayBuffer>
  /** Per event, the JSON text of its attributes and its body. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Pairs of Trigger key and seq: nothing is owed any more. */
  readonly done: Float64Array<ArrayBuffer>
  readonly doneLength: number
  /** In the order they were made; all of them come before `done`. */
  readonly changes: readonly Change[]
  readonly attempts: readonly StoredAttempt[]
  readonly brokers: readonly (readonly [Key, string])[]
  /** What is still owed up to this seq gets rows of its own; then the watermark is moved there. */
  readonly ageTo: number
}

/** Numbers per event in `heads`: seq, acceptedMs, broker, hops, mode, bytes of attributes, bytes of body, number of keys. */
export const HEAD = 8

/** The new row of one delivery. */
export interface Change {
  readonly trigger: Key
  readonly seq: number
  readonly state: typeof WAITING | typeof RETRYING | typeof PARKED | typeof BLOCKED
  readonly dueMs: number
  readonly attempt: number
  readonly deadLetter: boolean
  readonly failure: Failure | undefined
  /** Where the Trigger is ordered and this is the head of a key, or behind it. */
  readonly orderKey: string | undefined
}

/** How an attempt was followed, in `attempt.fate`. */
export const FATES = ['again', 'delivered', 'dead-lettered', 'discarded', 'parked'] as const

/** A new row of `attempt`. */
export interface StoredAttempt extends AttemptRecord {
  readonly trigger: Key
  readonly seq: number
  readonly deadLetter: boolean
  readonly attempt: number
  readonly fate: (typeof FATES)[number]
}

export interface Committed {
  readonly kind: 'committed'
  /** `full`: no event of the group was stored. */
  readonly outcome: 'stored' | 'full'
  /** Whether `done`, `changes` and `ageTo` took effect; they may where the events found no room. */
  readonly settled: boolean
  /** The request's buffers, to be used again. */
  readonly heads: Float64Array<ArrayBuffer>
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly done: Float64Array<ArrayBuffer>
}

/** Brings events of one Trigger into memory. */
export interface LoadRequest {
  readonly kind: 'load'
  readonly trigger: Key
  /** `waiting`: never in memory, by seq. `due`: retries whose time has come, by due time. `blocked`: behind `orderKeys`, by seq. */
  readonly what: What
  /** For `waiting`. */
  readonly afterSeq: number
  /** For `blocked`; undefined: whatever the key. */
  readonly orderKeys: readonly string[] | undefined
  /** For `due`, wall ms. */
  readonly nowMs: number
  readonly limit: number
  /** At least one event is loaded, whatever its size. */
  readonly limitBytes: number
  /** Already in memory. */
  readonly exclude: ReadonlySet<number>
}

/** Events of one key that are brought in at once: they go one at a time. */
export const BEHIND_EVENTS = 16

export type What = 'waiting' | 'due' | 'blocked'

export interface Loaded {
  readonly kind: 'loaded'
  /** There was no room to do it properly; nothing was loaded. */
  readonly stalled: boolean
  readonly trigger: Key
  readonly what: What
  /** Those of the request. */
  readonly orderKeys: readonly string[] | undefined
  readonly events: readonly LoadedEvent[]
  /** Failed their checksum or have no event: never delivered, parked, counted. */
  readonly damaged: readonly number[]
  /** Rows of this kind are left that could have been loaded now, counted up to a limit. */
  readonly left: number
  /** For `due`: when the first of the others is due. */
  readonly nextDueMs: number | undefined
}

export interface LoadedEvent {
  readonly seq: number
  readonly acceptedMs: number
  readonly hops: number
  readonly structured: boolean
  /** JSON. */
  readonly attributes: string
  readonly body: Uint8Array<ArrayBuffer>
  readonly attempt: number
  readonly deadLetter: boolean
  readonly failure: Failure | undefined
  readonly orderKey: string | undefined
}

/** The Triggers that exist from now on. Rows of others are dropped, in slices and later. */
export interface RouteRequest {
  readonly kind: 'route'
  readonly triggers: readonly {
    readonly uid: string
    readonly id: string
    readonly broker: string
    readonly catchesUp?: boolean
  }[]
}

export interface Routed {
  readonly kind: 'routed'
  /** In the order of the request; undefined when there was no room to write them down. */
  readonly keys: readonly Key[] | undefined
}

/** Deletes a bounded slice of what need not be kept. */
export interface RetainRequest {
  readonly kind: 'retain'
  /** Events accepted before this may go, wall ms. */
  readonly beforeMs: number
  /** Above this many bytes in use the oldest may go, whatever their age. */
  readonly maxBytes: number
}

/** The wall clock was set back: what was postponed until now is due as much earlier, so that it is no later. */
export interface BackRequest {
  readonly kind: 'back'
  readonly byMs: number
}

export interface Opened {
  readonly kind: 'opened'
  /** No seq above this one was ever used. */
  readonly lastSeq: number
  /** When the last event was accepted, wall ms, if there is one. */
  readonly lastMs: number | undefined
  readonly brokers: readonly (readonly [Key, string])[]
  readonly triggers: readonly StoredTrigger[]
  /** Of events whose Triggers could not be told from damaged rows; parked for all that they may be owed to. */
  readonly damaged: readonly number[]
}

export interface StoredTrigger {
  readonly key: Key
  readonly uid: string
  readonly id: string
  readonly waiting: number
  readonly retrying: number
  readonly parked: number
  readonly oldestMs: number | undefined
  readonly nextDueMs: number | undefined
  /** Keys whose event waits for its retry: nothing else of them may go. */
  readonly busyKeys: readonly string[]
}
