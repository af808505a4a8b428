import type { Holder, Settled } from '../../clients/azure-service-bus/bus.ts'
import type { BusMessage } from '../../clients/azure-service-bus/message.ts'
import type { AzureServiceBusSourceResource } from '../../crds/azure-service-bus-source.ts'
import type { CloudEvent } from '../../event/event.ts'
import { sleep } from '../../runtime/clock.ts'
import type { Emit, EmitInOrder, Refused } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import { AGAIN, type Lock, type LockDeps } from './lock.ts'
import { toEvents } from './to-event.ts'

export interface HandleDeps extends LockDeps {
  readonly url: string
  readonly spec: AzureServiceBusSourceResource['spec']
  readonly emit: Emit
  readonly emitInOrder: EmitInOrder
  /** Told how many events somebody has taken, which is before the message is completed. */
  readonly onTaken: (events: number) => void
}

export type Handled =
  | { readonly kind: 'taken' }
  /** It is in the dead-letter queue. */
  | { readonly kind: 'dead'; readonly reason: string }
  /** It comes again, at once; the wait is over already. */
  | { readonly kind: 'abandoned'; readonly reason: string }

/** How long a message rests that is refused and shall come again; the first time, and at most. */
const ABANDONED: Backoff = { minMs: 1_000, maxMs: 60_000 }

/**
 * Takes one message to its end: events that somebody has taken, and only then a message that is completed. What can never be
 * delivered goes to the entity's dead-letter queue with the reason, or comes again, as the source says.
 * @throws the reason of the lock's signal: the message is neither finished nor given back.
 */
export async function handle(message: BusMessage, lock: Lock, holder: Holder, deps: HandleDeps): Promise<Handled> {
  const read = toEvents(message, deps.url, deps.spec)
  if (read.kind === 'unreadable') return putAside('Unreadable', read.reason, message, lock, holder, deps)
  const refused = await emitAll(read.events, lock.signal, deps)
  if (refused !== undefined) return putAside('RefusedBySink', `the sink ${refused.reason}`, message, lock, holder, deps)
  deps.onTaken(read.events.length)
  await settle(() => holder.complete(message, lock.signal), lock, deps)
  return { kind: 'taken' }
}

async function emitAll(
  events: readonly CloudEvent[],
  signal: AbortSignal,
  deps: HandleDeps,
): Promise<Refused | undefined> {
  const [event, ...more] = events
  if (event !== undefined && more.length === 0) {
    const emitted = await deps.emit(event, signal)
    return emitted.kind === 'refused' ? emitted : undefined
  }
  return (await deps.emitInOrder(events, signal)).refused
}

async function putAside(
  name: string,
  reason: string,
  message: BusMessage,
  lock: Lock,
  holder: Holder,
  deps: HandleDeps,
): Promise<Handled> {
  if (deps.spec.onExhausted === 'deadLetter') {
    await settle(() => holder.deadLetter(message, name, reason, lock.signal), lock, deps)
    return { kind: 'dead', reason }
  }
  await sleep(deps.clock, backoffMs(message.deliveries - 1, ABANDONED, deps.random), lock.signal)
  await settle(() => holder.abandon(message, lock.signal), lock, deps)
  return { kind: 'abandoned', reason }
}

/** However often it has to be tried. A lock that is lost after a try whose answer was lost has done its work. */
async function settle(ask: () => Promise<Settled>, lock: Lock, deps: HandleDeps): Promise<void> {
  for (let failures = 0; ; failures++) {
    const done = await ask()
    if (done.kind === 'settled') return
    if (done.kind === 'lost') {
      if (failures > 0) return
      lock.lose()
      lock.signal.throwIfAborted()
      return
    }
    deps.onTrouble(done)
    await sleep(deps.clock, backoffMs(failures, AGAIN, deps.random), lock.signal)
  }
}
