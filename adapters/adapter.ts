import type { CloudEvent } from '../event/event.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Door } from '../runtime/door.ts'
import type { Log } from '../runtime/log.ts'

/**
 * Hands one event to the sink. Resolves after its 2xx, or after that of the dead-letter sink, and not before: only then may
 * the adapter acknowledge upstream. What may work later is tried again inside, with back-off and Retry-After, for as long as
 * `signal` allows: a slow sink makes the adapter wait, and so pull less.
 * @throws the signal's reason when `signal` aborts; the outcome is then unknown and the message must not be acknowledged.
 */
export type Emit = (event: CloudEvent, signal: AbortSignal) => Promise<Emitted>

/**
 * Hands events to the sink in their order, none before the one ahead of it is taken, and many in one request where the sink
 * takes that. Otherwise as `Emit`. An empty list is taken.
 * @returns how many were taken, from the first on: all of them, or those before the one that is refused.
 */
export type EmitInOrder = (events: readonly CloudEvent[], signal: AbortSignal) => Promise<EmittedInOrder>

/** Somebody has the event for good. */
export interface Taken {
  readonly kind: 'stored' | 'dead-lettered'
}

/**
 * Nobody will ever take this event: a final 4xx of the sink, and no dead-letter sink, or one that refuses it too. The
 * adapter puts the message where its system keeps such ones, or holds it. It never drops it.
 */
export interface Refused {
  readonly kind: 'refused'
  readonly status: number
  readonly reason: string
}

export type Emitted = Taken | Refused
export interface EmittedInOrder {
  readonly taken: number
  /** Of the event after those. Undefined: there is none. */
  readonly refused: Refused | undefined
}

export interface AdapterDeps {
  readonly emit: Emit
  readonly emitInOrder: EmitInOrder
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  /** Told when the adapter's state changes, for conditions and the console; the last call wins. */
  readonly report: (state: AdapterState) => void
  /** Where others send to us; opened by the first who asks. Undefined where this process takes no requests. */
  readonly door?: () => Promise<Door>
  /** How long an adapter that was told to stop may take; `DRAIN_MS` where it is not given. */
  readonly drainMs?: number
}

/** Less than the 30 s after which Kubernetes kills what it has asked to end. */
export const DRAIN_MS = 25_000

export interface AdapterState {
  /** The position is pinned: from here on nothing is missed. */
  readonly ready: boolean
  /** What goes wrong now, in words, or undefined. */
  readonly error: string | undefined
  readonly held: number
  /** Events that somebody has taken, the dead-letter sink included. */
  readonly emitted: number
}

/** What every adapter is started with: its source, and credentials by the names in the source's Secrets, never logged or reported. */
export interface AdapterSpec<Source> {
  readonly source: Source
  readonly credentials: Readonly<Record<string, string>>
}

/**
 * Pulls from one upstream until `signal` aborts; then it stops taking, finishes or gives back what it holds within
 * `drainMs`, and resolves. Connection trouble is retried inside and reported; it throws only for what no retry can mend.
 */
export type RunAdapter<Source> = (spec: AdapterSpec<Source>, deps: AdapterDeps, signal: AbortSignal) => Promise<void>
