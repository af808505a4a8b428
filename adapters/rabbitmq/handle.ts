import type { RabbitDelivery } from '../../clients/rabbitmq/consumer.ts'
import type { CloudEvent } from '../../event/event.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Emit, Refused } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import type { DeadLetterExchange } from './dead-letters.ts'
import { HeldTooLongError } from './terms.ts'

export interface HandleDeps {
  readonly emit: Emit
  readonly clock: Clock
  readonly random: () => number
  readonly deadLetters: Pick<DeadLetterExchange, 'look'>
  /** Told when somebody has the event, which is before the message is acknowledged. */
  readonly onTaken: () => void
  /** Told, each time it is so, that nobody takes the event and it has nowhere else to go. */
  readonly onHeld: (refused: Refused, why: string) => void
}

export type Handled =
  | { readonly kind: 'acknowledged' }
  /** The dead-letter exchange of its queue has it. */
  | { readonly kind: 'rejected'; readonly reason: string }
  /** Its queue has it again, because it was held for as long as it may be. */
  | { readonly kind: 'given-back'; readonly how: 'requeued' | 'copied' }

/** How long a message rests that nobody takes: the first time, and at most. */
const REFUSED: Backoff = { minMs: 1_000, maxMs: 120_000 }
/** A queue may forget a message that came back too often (`x-delivery-limit`, 20 unless set from RabbitMQ 4.0 on). */
const RETURNS_MAX = 2
/** A copy to the end of the queue is given up after this, and the message stays where it is. */
const COPY_MS = 2_000

/**
 * Takes one message to its end: acknowledged after somebody took its event and not before, rejected where its queue keeps
 * what is rejected, and otherwise held and offered again. When `signal` aborts with a `HeldTooLongError` it goes back to its queue.
 * @throws any other reason of the signal: the message is then neither acknowledged nor given back.
 */
export async function handle(
  delivery: RabbitDelivery,
  event: CloudEvent,
  deps: HandleDeps,
  signal: AbortSignal,
): Promise<Handled> {
  try {
    return await offer(delivery, event, deps, signal)
  } catch (error) {
    if (!signal.aborted || !(signal.reason instanceof HeldTooLongError)) throw error
    return { kind: 'given-back', how: await giveBack(delivery, event, deps.clock) }
  }
}

async function offer(
  delivery: RabbitDelivery,
  event: CloudEvent,
  deps: HandleDeps,
  signal: AbortSignal,
): Promise<Handled> {
  for (let refusals = 0; ; refusals++) {
    const emitted = await deps.emit(event, signal)
    if (emitted.kind !== 'refused') {
      deps.onTaken()
      delivery.ack()
      return { kind: 'acknowledged' }
    }
    const deadLetters = await deps.deadLetters.look(signal)
    if (deadLetters.kind === 'kept') {
      delivery.reject()
      return { kind: 'rejected', reason: emitted.reason }
    }
    deps.onHeld(emitted, deadLetters.reason)
    await sleep(deps.clock, backoffMs(refusals, REFUSED, deps.random), signal)
  }
}

/**
 * Back to its queue, at once. One that came back before goes as a copy to the end: in a queue with a limit, one time too many
 * would lose it. A crash between the copy and its acknowledgement leaves two, which is better than none.
 */
export async function giveBack(
  delivery: RabbitDelivery,
  event: CloudEvent,
  clock: Clock,
): Promise<'requeued' | 'copied'> {
  if (delivery.deliveries >= RETURNS_MAX) {
    const late = new AbortController()
    const cancel = clock.after(COPY_MS, () => late.abort(new Error('it takes too long')))
    // With the id of its event, so that it has the same one the next time.
    const id = delivery.message.messageId ?? event.attributes.id ?? ''
    const copied = await delivery.copyToEnd(id, late.signal).catch(() => undefined)
    cancel()
    if (copied?.kind === 'confirmed') {
      delivery.ack()
      return 'copied'
    }
  }
  delivery.requeue()
  return 'requeued'
}
