import type { Trust } from '../contract/routes.ts'
import type { CloudEvent } from '../event/event.ts'

/** What is posted, to whom, and how long it may take. */
export interface DeliveryRequest {
  /** Full URL. */
  readonly url: string
  readonly event: CloudEvent
  /** Sent instead of `event`, together, as `application/cloudevents-batch+json`. */
  readonly batch: readonly CloudEvent[] | undefined
  /** Passes through Brokers that are left; of a batch the fewest. Told to sinks that are Brokers. */
  readonly hops: number
  /** Total deadline of the attempt. */
  readonly timeoutMs: number
  readonly format: 'binary' | 'structured' | undefined
  /** Sent as `Kn-Namespace`. */
  readonly namespace: string
  /** `Prefer: reply` is sent, and a CloudEvent in a 2xx comes back as `reply`; not for dead-letter sinks. */
  readonly wantsReply: boolean
  /** How the request is secured; undefined: as the address says. */
  readonly trust?: Trust | undefined
}

/** What became of one attempt. Everything that a network or a subscriber can do is one of these; none is thrown. */
export type Attempt =
  | {
      readonly kind: 'delivered'
      readonly status: number
      readonly tookMs: number
      readonly reply: CloudEvent | undefined
      /** The 2xx had a body that does not claim to be a CloudEvent. */
      readonly plainBody: boolean
      readonly verdict?: Verdict | undefined
      /** From Retry-After; counts only with the verdict `defer`. */
      readonly retryAfterMs?: number | undefined
    }
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly tookMs: number
      /** From Retry-After, ms from now; undefined when absent or unusable. */
      readonly retryAfterMs: number | undefined
      /** The start of the response body. */
      readonly excerpt: string
      readonly verdict?: Verdict | undefined
    }
  /** A 2xx that claims to be a CloudEvent and is broken, or exceeds the reply limit. */
  | { readonly kind: 'broken-reply'; readonly status: number; readonly tookMs: number; readonly reason: string }
  | {
      readonly kind: 'unreachable'
      readonly tookMs: number
      readonly cause: 'refused' | 'reset' | 'timeout' | 'dns' | 'tls' | 'protocol' | 'address' | 'token'
      readonly reason: string
    }
  /** The broker itself gave the attempt up (it is stopping): not the subscriber's fault, not an attempt. */
  | { readonly kind: 'abandoned'; readonly tookMs: number }

/** What a handler may say in so many words, in the header `weir-settle`; it wins over the status. */
export type Verdict = (typeof VERDICTS)[number]

export const VERDICTS = ['complete', 'defer', 'abandon', 'dead-letter'] as const

/** Posts an event once. Never throws for what the network or the subscriber does; `signal` abandons the attempt. */
export type Deliver = (request: DeliveryRequest, signal: AbortSignal) => Promise<Attempt>
