/**
 * The JSON of `/api/v1/…` on the console port: what the console, the CLI and scripts read, and all that they read.
 * Fields are added, never renamed. Counts are since the process began; durations in ms; times as epoch ms.
 *
 * `GET /api/v1/brokers|triggers|sources|sinks|scale` answer arrays of these; `GET /api/v1/events?limit=100&id=…&source=…&type=…`
 * answers `EventView[]`, newest first; `GET /api/v1/stream` sends server-sent events: `state` with a `StateView` at once
 * and on change (at most four a second), `events` with the `EventView[]` that are new or changed.
 *
 * What is kept, and what can be done with it (POST takes `application/json`; refusals are `application/problem+json`):
 * `GET /api/v1/brokers/NS/NAME/events?…` → `StoredEventsView`, by `id source type subject since until` (epoch ms), `after` or
 * `before` a seq, `limit`, `trigger` (only what its filters let pass), `data=1` (with the event itself);
 * `GET /api/v1/events/SEQ-OR-ID?broker=NS/NAME` → `EventDetailView`;
 * `GET /api/v1/triggers/NS/NAME/parked|retrying|dead-lettered?…` → `OwedEventsView`, by `id source type text`, `after`, `limit`;
 * `GET /api/v1/triggers/NS/NAME/parked|dead-lettered/export` → the events, a structured CloudEvent a line;
 * `POST /api/v1/triggers/NS/NAME/redrive|discard` with `SeqsRequest` → `CountView`; `redrive` takes any seq that is kept;
 * `POST /api/v1/triggers/NS/NAME/pause|resume` with `{}` → `PauseView`.
 */
export interface StateView {
  readonly brokers: readonly BrokerView[]
  readonly triggers: readonly TriggerView[]
  readonly sources: readonly SourceView[]
  readonly sinks: readonly SinkView[]
  readonly scale: readonly ScaleView[]
}

export interface BrokerView {
  readonly namespace: string
  readonly name: string
  readonly url: string
  readonly ready: boolean
  readonly reason: string
  readonly triggers: number
  readonly accepted: number
  /** Accepted and wanted by no Trigger. */
  readonly unmatched: number
}

export interface TriggerView {
  readonly namespace: string
  readonly name: string
  readonly broker: string
  /** Resolved address; empty while it cannot be resolved. */
  readonly subscriber: string
  readonly ready: boolean
  readonly reason: string
  /** Due and waiting now. */
  readonly backlog: number
  readonly inFlight: number
  readonly retrying: number
  readonly parked: number
  readonly delivered: number
  readonly deadLettered: number
  readonly failed: number
  /** Deliveries per second over the last seconds. */
  readonly rate: number
  /** Null where the subscriber is not something that Weir scales or sees. */
  readonly replicas: ReplicasView | null
  readonly oldestAgeMs: number | null
  readonly lastError: string | null
  readonly notice: string | null
  /** Due, and behind an earlier event of their key. */
  readonly blocked: number
  /** Why nothing is attempted: `pause`, `circuit`, `asked-to-wait`. Null where nothing hinders. */
  readonly stopped: string | null
  readonly stoppedForMs: number | null
}

export interface ReplicasView {
  readonly ready: number
  readonly desired: number
  readonly max: number
}

export interface SourceView {
  readonly namespace: string
  readonly name: string
  readonly kind: string
  readonly sink: string
  /** Where it takes what others send; null for one that pulls. */
  readonly address: string | null
  readonly ready: boolean
  readonly reason: string
  /** Waiting upstream; null while unknown, which is not zero; 0 of a kind for which nothing can wait. */
  readonly lag: number | null
  /** Taken from upstream and not yet stored. */
  readonly held: number
  readonly emitted: number
  readonly rate: number
  readonly replicas: ReplicasView
}

/** A way out to another system, which Triggers deliver to. */
export interface SinkView {
  readonly namespace: string
  readonly name: string
  readonly kind: string
  /** Where it takes events; empty where it is not served. */
  readonly url: string
  readonly ready: boolean
  readonly reason: string
  /** Events that the other system has confirmed. */
  readonly sent: number
  /** Why the last event was not taken; null after one that was. */
  readonly trouble: string | null
}

export interface ScaleView {
  readonly namespace: string
  readonly name: string
  /** Kind of what is scaled: `Deployment`, `AzureStorageQueueSource`. */
  readonly kind: string
  /** Who declared it: `ScaledObject/worker`, `Trigger/orders`. */
  readonly by: string
  readonly replicas: ReplicasView & { readonly min: number }
  /** The last decision with its terms, in words. */
  readonly explain: string
  readonly changedMs: number | null
}

export interface EventView {
  readonly seq: number
  readonly namespace: string
  readonly broker: string
  readonly acceptedMs: number
  readonly attributes: Readonly<Record<string, string>>
  readonly bytes: number
  /** Empty: nobody wanted it. */
  readonly deliveries: readonly DeliveryView[]
}

export interface DeliveryView {
  readonly trigger: string
  readonly state: 'waiting' | 'delivered' | 'retrying' | 'dead-lettered' | 'parked' | 'discarded'
  readonly attempts: number
  readonly last: string | null
  readonly tookMs: number | null
  readonly nextDueMs: number | null
}

export interface StoredEventView {
  readonly seq: number
  readonly acceptedMs: number
  readonly attributes: Readonly<Record<string, string>>
  readonly bytes: number
  readonly damaged: boolean
  /** A structured CloudEvent; null unless it was asked for. */
  readonly event: unknown
}

export interface StoredEventsView {
  readonly events: readonly StoredEventView[]
  /** For `after` or `before` of the next page; null at the end. */
  readonly next: number | null
}

export interface EventDetailView extends StoredEventView {
  readonly namespace: string
  readonly broker: string
  /** Data as text where it is text, as base64 otherwise, cut to a length that a page can show. */
  readonly data: { readonly text: string; readonly encoding: 'text' | 'base64'; readonly truncated: boolean }
  readonly deliveries: readonly DeliveryDetailView[]
  /** The Triggers of its Broker that it was not given to, and which clause of theirs decides so now. */
  readonly unmatched: readonly UnmatchedView[]
}

export interface UnmatchedView {
  readonly trigger: string
  /** Its filters would let it pass now: it was changed, or made, after the event was accepted. */
  readonly matchesNow: boolean
  readonly clause: string
  readonly words: string
}

export interface DeliveryDetailView {
  readonly trigger: string
  readonly state:
    | 'waiting'
    | 'blocked'
    | 'in-flight'
    | 'retrying'
    | 'parked'
    | 'dead-lettered'
    | 'discarded'
    | 'delivered'
  readonly nextDueMs: number | null
  readonly failure: FailureView | null
  /** A delivery that succeeded at once leaves none. */
  readonly attempts: readonly AttemptView[]
}

export interface FailureView {
  readonly destination: string
  readonly code: number
  readonly data: string
}

export interface AttemptView {
  readonly stage: 'subscriber' | 'dead-letter'
  /** From 1. */
  readonly number: number
  readonly atMs: number
  readonly tookMs: number
  readonly status: number | null
  readonly words: string
  readonly followed: 'again' | 'delivered' | 'dead-lettered' | 'discarded' | 'parked'
}

export interface OwedEventView extends StoredEventView {
  readonly delivery: DeliveryDetailView
}

export interface OwedEventsView {
  readonly events: readonly OwedEventView[]
  readonly next: number | null
}

export interface SeqsRequest {
  readonly seqs: readonly number[]
}

export interface CountView {
  readonly events: number
}

export interface PauseView {
  readonly paused: boolean
  /** What is said here is kept for the next start too; false: until this world ends. */
  readonly kept: boolean
}
