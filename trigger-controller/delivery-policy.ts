import { DEFAULT_DELIVERY, type DeliveryPolicy, TIMEOUT_MS } from '../contract/delivery-policy.ts'
import type { DeliverySpec } from '../crds/delivery.ts'
import type { Destination } from '../crds/resource.ts'

/** What `delivery` blocks and the annotation `weir.dev/backoff-max` come to for one Trigger. */
export interface MergedDelivery {
  readonly policy: DeliveryPolicy
  readonly deadLetterSink: Destination | undefined
  /** Nobody declared a delivery: the policy is ours, and status says so. */
  readonly isDefault: boolean
}

/**
 * A Trigger's delivery replaces its Broker's whole; only the dead-letter sink falls back (Knative delivery spec). A block
 * that is there is kept to the letter: unset `retry` is no retry, no back-off without both policy and delay, no cap.
 */
export function mergeDelivery(
  trigger: DeliverySpec | undefined,
  broker: DeliverySpec | undefined,
  backoffMaxMs: number | undefined,
): MergedDelivery {
  const deadLetterSink = trigger?.deadLetterSink ?? broker?.deadLetterSink
  const spec = trigger ?? broker
  if (spec === undefined) {
    const policy = { ...DEFAULT_DELIVERY, backoffMaxMs: backoffMaxMs ?? DEFAULT_DELIVERY.backoffMaxMs }
    return { policy, deadLetterSink, isDefault: true }
  }
  const policy: DeliveryPolicy = {
    retries: spec.retry ?? 0,
    backoff: spec.backoffPolicy ?? 'exponential',
    backoffMs: spec.backoffPolicy === undefined ? 0 : (spec.backoffDelayMs ?? 0),
    backoffMaxMs: spec.backoffMaxMs ?? backoffMaxMs,
    timeoutMs: spec.timeoutMs ?? TIMEOUT_MS,
    retryAfterMaxMs: spec.retryAfterMaxMs,
    jitter: false,
    format: spec.format === 'json' ? 'structured' : spec.format,
  }
  return { policy, deadLetterSink, isDefault: false }
}

/** The default policy in words, for status. */
export function describeDefault({ retries, backoffMs, backoffMaxMs }: DeliveryPolicy): string {
  const cap = backoffMaxMs === undefined ? 'without a cap' : `up to ${backoffMaxMs / 1_000} s apart`
  return `no delivery is declared, so Weir's own is used: ${retries} retries from ${backoffMs} ms on, ${cap}`
}
