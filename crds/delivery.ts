import { readDestination } from './destination.ts'
import { present, type Shape, type Value } from './reader.ts'
import type { Destination } from './resource.ts'

/** The `delivery` block of Broker and Trigger (Knative delivery spec). Durations are ISO 8601 in YAML, ms here; unset is absent. */
export interface DeliverySpec {
  readonly deadLetterSink?: Destination
  readonly retry?: number
  readonly backoffPolicy?: 'linear' | 'exponential'
  readonly backoffDelayMs?: number
  readonly backoffMaxMs?: number
  readonly timeoutMs?: number
  readonly retryAfterMaxMs?: number
  readonly format?: 'json' | 'binary'
}

const DELIVERY: Shape<
  'deadLetterSink' | 'retry' | 'backoffPolicy' | 'backoffDelay' | 'backoffMax' | 'timeout' | 'retryAfterMax' | 'format'
> = {
  known: [
    'deadLetterSink',
    'retry',
    'backoffPolicy',
    'backoffDelay',
    'backoffMax',
    'timeout',
    'retryAfterMax',
    'format',
  ],
}

/** Reads a `delivery` block. */
export function readDelivery(value: Value, namespace: string): DeliverySpec {
  const fields = value.fields(DELIVERY)
  const deadLetterSink = fields.get('deadLetterSink')
  return present({
    deadLetterSink: deadLetterSink && readDestination(deadLetterSink, namespace),
    retry: fields.get('retry')?.integer(0),
    backoffPolicy: fields.get('backoffPolicy')?.oneOf(['linear', 'exponential']),
    backoffDelayMs: fields.get('backoffDelay')?.durationMs(0),
    backoffMaxMs: fields.get('backoffMax')?.durationMs(0),
    timeoutMs: fields.get('timeout')?.durationMs(0.001),
    retryAfterMaxMs: fields.get('retryAfterMax')?.durationMs(0),
    format: fields.get('format')?.oneOf(['json', 'binary']),
  })
}
