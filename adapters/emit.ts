import type { DeliverySpec } from '../crds/delivery.ts'
import { writeBatch, writeBinaryBatch } from '../event/batch.ts'
import { deadLetterAttributes } from '../event/dead-letter.ts'
import type { CloudEvent } from '../event/event.ts'
import { withAttributes, writeHttpEvent } from '../event/http.ts'
import type { Emit, EmitInOrder, Emitted, EmittedInOrder } from './adapter.ts'
import { backoffMs } from './backoff.ts'
import {
  ATTEMPT_TIMEOUT_MS,
  BACKOFF,
  type HttpSink,
  type Offered,
  type Patience,
  RETRY_AFTER_MAX_MS,
} from './http-sink.ts'
import { Joiner } from './joiner.ts'

export interface Emitter {
  readonly emit: Emit
  readonly emitInOrder: EmitInOrder
}

export interface EmitterDeps {
  readonly sink: HttpSink
  /** The sink is a Broker that takes batches. */
  readonly takesBatches: boolean
  readonly deadLetterSink: HttpSink | undefined
  readonly delivery: DeliverySpec | undefined
  readonly random: () => number
}

/** The most that goes in one request: well below what a Broker takes, and little to send again where one event is bad. */
const BATCH_EVENTS = 100
const BATCH_BYTES = 512 * 1024
/** The longest pause while an event is held that nobody else may have. */
const HELD_PAUSE_MAX_MS = 60_000
/** Does not take batches, whatever it is. */
const UNSUPPORTED_MEDIA_TYPE = 415

/**
 * The way of a source's events: to its sink, and to its dead-letter sink what the sink refuses or does not take in as many
 * attempts as `delivery` allows (Knative delivery spec). Without a dead-letter sink an event is offered for ever: nobody
 * else would have it.
 */
export function openEmitter(deps: EmitterDeps): Emitter {
  const out = new Out(deps)
  return {
    emit: (event, signal) => out.emit(event, signal),
    emitInOrder: (events, signal) => out.emitInOrder(events, signal),
  }
}

class Out {
  readonly #deps: EmitterDeps
  readonly #patience: Patience
  readonly #forever: Patience
  readonly #format: 'binary' | 'structured' | undefined
  readonly #joiner: Joiner
  #batches: boolean

  constructor(deps: EmitterDeps) {
    const { delivery, deadLetterSink, random } = deps
    this.#deps = deps
    this.#batches = deps.takesBatches
    this.#forever = patienceOf(delivery, undefined, random)
    const attempts = deadLetterSink === undefined ? undefined : attemptsIn(delivery)
    this.#patience = patienceOf(delivery, attempts, random)
    this.#joiner = new Joiner({
      fits,
      together: (events, signal) => this.#emitBatch(events, signal),
      alone: (event, signal) => this.#alone(event, signal),
    })
    this.#format = delivery?.format === 'json' ? 'structured' : delivery?.format
  }

  emit(event: CloudEvent, signal: AbortSignal): Promise<Emitted> {
    return this.#batches ? this.#joiner.emit(event, signal) : this.#alone(event, signal)
  }

  async emitInOrder(events: readonly CloudEvent[], signal: AbortSignal): Promise<EmittedInOrder> {
    let taken = 0
    while (taken < events.length) {
      const next = this.#batches ? fits(events.slice(taken, taken + BATCH_EVENTS)) : 1
      if (next > 1 && (await this.#emitBatch(events.slice(taken, taken + next), signal))) {
        taken += next
        continue
      }
      // Of a batch that is refused, one event may be to blame: the next `next` go one by one.
      for (const event of events.slice(taken, taken + next)) {
        const emitted = await this.#alone(event, signal)
        if (emitted.kind === 'refused') return { taken, refused: emitted }
        taken++
      }
    }
    return { taken, refused: undefined }
  }

  async #alone(event: CloudEvent, signal: AbortSignal): Promise<Emitted> {
    const { sink, deadLetterSink } = this.#deps
    const offered = await sink.offer(this.#messageOf(event), this.#patience, signal)
    if (offered.kind === 'stored') return { kind: 'stored' }
    if (deadLetterSink === undefined) return { kind: 'refused', status: offered.status, reason: offered.reason }
    const failure = { destination: sink.url, code: offered.status, data: offered.data }
    const dead = this.#messageOf(withAttributes(event, deadLetterAttributes(failure)))
    const taken = await deadLetterSink.offer(dead, this.#forever, signal)
    if (taken.kind === 'stored') return { kind: 'dead-lettered' }
    const reason = `${offered.reason}; the dead-letter sink ${taken.reason}`
    return { kind: 'refused', status: taken.status, reason }
  }

  /** Whether all of them were taken; otherwise none was. */
  async #emitBatch(events: readonly CloudEvent[], signal: AbortSignal): Promise<boolean> {
    const write = events[0]?.mode === 'binary' ? writeBinaryBatch : writeBatch
    const message = { ...write(events), id: `${events.length} from ${events[0]?.attributes.id} on` }
    const offered: Offered = await this.#deps.sink.offer(message, this.#patience, signal)
    if (offered.kind === 'refused' && offered.status === UNSUPPORTED_MEDIA_TYPE) this.#batches = false
    return offered.kind === 'stored'
  }

  #messageOf(event: CloudEvent) {
    return { ...writeHttpEvent(event, this.#format), id: event.attributes.id ?? '' }
  }
}

/**
 * How many of the first of `events` go together: of one mode, so that each arrives in the mode that it has alone. It looks no
 * further than they go.
 */
function fits(events: Iterable<CloudEvent>): number {
  let mode: CloudEvent['mode'] | undefined
  let bytes = 0
  let count = 0
  for (const event of events) {
    mode ??= event.mode
    bytes += event.body.byteLength
    if (bytes > BATCH_BYTES || event.mode !== mode || event.attributes.specversion !== '1.0') break
    if (++count === BATCH_EVENTS) break
  }
  return Math.max(1, count)
}

/** One, and those that `retry` allows. Without a `delivery` there is no end. */
function attemptsIn(delivery: DeliverySpec | undefined): number | undefined {
  return delivery === undefined ? undefined : 1 + (delivery.retry ?? 0)
}

function patienceOf(delivery: DeliverySpec | undefined, attempts: number | undefined, random: () => number): Patience {
  return {
    attempts,
    delayMs: failures => {
      const delayMs = delayIn(delivery, failures)
      if (delayMs === undefined) return backoffMs(failures, BACKOFF, random)
      return attempts === undefined ? Math.min(Math.max(delayMs, BACKOFF.minMs), HELD_PAUSE_MAX_MS) : delayMs
    },
    timeoutMs: delivery?.timeoutMs ?? ATTEMPT_TIMEOUT_MS,
    retryAfterMaxMs: delivery?.retryAfterMaxMs ?? RETRY_AFTER_MAX_MS,
  }
}

/** As declared: exponential delay · 2^i, linear delay · i, i from 0, so that a first linear retry is immediate (Knative delivery spec). */
function delayIn(delivery: DeliverySpec | undefined, failures: number): number | undefined {
  const { backoffPolicy, backoffDelayMs, backoffMaxMs = Number.POSITIVE_INFINITY } = delivery ?? {}
  if (backoffPolicy === undefined || backoffDelayMs === undefined) return undefined
  const factor = backoffPolicy === 'linear' ? failures : 2 ** failures
  return Math.min(backoffDelayMs * factor, backoffMaxMs)
}
