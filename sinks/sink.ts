import type { CloudEvent } from '../event/event.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'

/** What became of one event on its way out. */
export type Sent =
  /** The other system has it for good: confirmed, not just handed over. */
  | { readonly kind: 'sent' }
  /** It may work later. The Trigger's delivery tries again. */
  | { readonly kind: 'again'; readonly reason: string }
  /** This event can never be taken: too large, or not as the system wants it. */
  | { readonly kind: 'refused'; readonly reason: string }

/** One place in another system, as a subscriber sees it: events go in, one by one or many at once, in any order. */
export interface EventSink extends AsyncDisposable {
  /** Resolves when the other system has confirmed it. Never rejects but with the signal's reason, the outcome then unknown. */
  send(event: CloudEvent, signal: AbortSignal): Promise<Sent>
}

export interface SinkDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
}

/** What every sink is opened with: its resource, and credentials by the names in its Secrets, never logged or reported. */
export interface SinkSpec<Resource> {
  readonly resource: Resource
  readonly credentials: Readonly<Record<string, string>>
}

/**
 * Opens the way to one place. Connects when first needed and again after trouble, inside.
 * @throws where the spec or the credentials cannot be right.
 */
export type OpenSink<Resource> = (spec: SinkSpec<Resource>, deps: SinkDeps) => Promise<EventSink>
