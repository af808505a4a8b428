/** How the deliveries of one Trigger are attempted. Plain data: it crosses from the controller to the broker. */
export interface DeliveryPolicy {
  /** Extra attempts after the first one (Knative's `retry`). */
  readonly retries: number
  readonly backoff: 'exponential' | 'linear'
  /** Base of the back-off. 0 retries at once. */
  readonly backoffMs: number
  /** No computed back-off exceeds this; undefined means no cap, as Knative has none. */
  readonly backoffMaxMs: number | undefined
  /** One attempt, from the request's first byte to the response's last. */
  readonly timeoutMs: number
  /** Longest Retry-After that is honoured; 0 ignores the header; undefined takes our default. */
  readonly retryAfterMaxMs: number | undefined
  /** Full jitter on the back-off: only where the policy is ours, a declared one is kept to the letter. */
  readonly jitter: boolean
  /** Content mode on the way to the subscriber; undefined keeps the one the event came in. */
  readonly format: 'binary' | 'structured' | undefined
}

/** Per attempt, where `timeout` is unset. */
export const TIMEOUT_MS = 30_000

/** The longest Retry-After honoured where the policy does not name one. */
export const RETRY_AFTER_MAX_MS = 3_600_000

/** What a Trigger without any `delivery`, its Broker's included, gets: about a day of trying, then the event is parked. */
export const DEFAULT_DELIVERY: DeliveryPolicy = {
  retries: 155,
  backoff: 'exponential',
  backoffMs: 200,
  backoffMaxMs: 600_000,
  timeoutMs: TIMEOUT_MS,
  retryAfterMaxMs: undefined,
  jitter: true,
  format: undefined,
}
