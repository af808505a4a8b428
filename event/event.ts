import type { Passed } from './passed.ts'

/**
 * A CloudEvent as it flows through Weir: attributes read, bytes untouched (CloudEvents 1.0 and 0.3).
 *
 * The body is kept as it came, and so is the content mode, so that an event that is only passed on is never re-encoded.
 * `event/http.ts` reads and writes it; nothing else looks into a structured body.
 */
export interface CloudEvent {
  /** How it came, and how it leaves unless a format is asked for. */
  readonly mode: 'binary' | 'structured'
  /**
   * Every context attribute by its name, in the canonical string form of the CloudEvents type system: an integer in
   * decimal, a boolean as `true` or `false`. Always has non-empty `specversion`, `id`, `source`, `type`.
   * `datacontenttype` is one of them. Inherits nothing: attribute names come from strangers.
   */
  readonly attributes: Readonly<Record<string, string>>
  /** Binary: the data. Structured: the whole JSON envelope. Owned by the event; nobody writes to it. */
  readonly body: Uint8Array
  /**
   * Header fields of the producer's request that travel with the event, by lower-case name (Knative data plane: header
   * propagation; W3C trace context). Undefined where there are none.
   */
  readonly passed?: Passed
}

/** The attribute that counts the passes left before a loop of replies is cut (as Knative's `knativebrokerttl`). */
export const HOPS_ATTRIBUTE = 'knativebrokerttl'
/** How many times one event, its replies included, may enter brokers. */
export const HOPS_MAX = 255
