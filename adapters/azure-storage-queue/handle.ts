import type { QueueMessage, StorageQueue } from '../../clients/azure-storage-queue/queue.ts'
import type { AzureStorageQueueSourceResource } from '../../crds/azure-storage-queue-source.ts'
import type { CloudEvent } from '../../event/event.ts'
import { sleep } from '../../runtime/clock.ts'
import type { Emit } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import { AGAIN, type Lease, type LeaseDeps } from './lease.ts'
import { toEvents } from './to-event.ts'

export interface HandleDeps extends LeaseDeps {
  readonly queue: StorageQueue
  /** Where messages go that can never be delivered; undefined where they are tried again for ever. */
  readonly poison: StorageQueue | undefined
  readonly spec: AzureStorageQueueSourceResource['spec']
  readonly emit: Emit
  /** Told when somebody has an event for good, which is before the message is deleted. */
  readonly onStored: () => void
}

export type Handled =
  | { readonly kind: 'stored' }
  | { readonly kind: 'poison'; readonly reason: string }
  /** There is no poison queue: it comes again after `delayMs`. */
  | { readonly kind: 'postponed'; readonly reason: string; readonly delayMs: number }

/** How long a message rests that nobody wants and that has nowhere to go; the first time, and at most. */
const POSTPONED: Backoff = { minMs: 1_000, maxMs: 600_000 }

/**
 * Takes one message to its end: an event that the Broker has stored, and only then a message that is deleted.
 * What can never be delivered goes to the poison queue with its text as it came.
 * @throws the reason of the lease's signal: the message is neither finished nor given back.
 */
export async function handle(message: QueueMessage, lease: Lease, deps: HandleDeps): Promise<Handled> {
  const { spec, poison } = deps
  // Each time it was received it was not finished, so it may be what brings its receivers down.
  if (poison !== undefined && message.dequeueCount > spec.maxDequeueCount) {
    return putAside(`it was received ${message.dequeueCount} times`, message, lease, deps)
  }
  const read = toEvents(message, deps.queue.url, spec)
  if (read.kind === 'unreadable') return putAside(read.reason, message, lease, deps)
  const refused = await emitAll(read.events, lease, deps)
  if (refused !== undefined) return putAside(refused, message, lease, deps)
  await lease.delete()
  return { kind: 'stored' }
}

/** One that is refused does not keep the others. @returns why the first of those was. */
async function emitAll(events: readonly CloudEvent[], lease: Lease, deps: HandleDeps): Promise<string | undefined> {
  let first: string | undefined
  for (const [i, event] of events.entries()) {
    const emitted = await deps.emit(event, lease.signal)
    if (emitted.kind !== 'refused') deps.onStored()
    else
      first ??= events.length === 1 ? `the sink ${emitted.reason}` : `the sink, of event ${i} in it, ${emitted.reason}`
  }
  return first
}

/** A crash between the two steps leaves it in both queues, which is better than in none. */
async function putAside(reason: string, message: QueueMessage, lease: Lease, deps: HandleDeps): Promise<Handled> {
  if (deps.poison === undefined) {
    const delayMs = backoffMs(message.dequeueCount - 1, POSTPONED, deps.random)
    await lease.giveBack(delayMs, lease.signal)
    return { kind: 'postponed', reason, delayMs }
  }
  await putInto(deps.poison, message.text, lease.signal, deps)
  await lease.delete()
  return { kind: 'poison', reason }
}

async function putInto(queue: StorageQueue, text: string, signal: AbortSignal, deps: HandleDeps): Promise<void> {
  for (let failures = 0; ; failures++) {
    const put = await queue.put(text, signal)
    if (put.kind === 'put') return
    const created = put.what === 'queue-missing' ? await queue.create(signal) : put
    if (created.kind === 'created') continue
    deps.onTrouble(created)
    await sleep(deps.clock, backoffMs(failures, AGAIN, deps.random), signal)
  }
}
