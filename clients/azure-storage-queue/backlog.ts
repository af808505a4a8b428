import type { Clock } from '../../runtime/clock.ts'
import type { BacklogReader } from '../backlog.ts'
import type { QueueAccess } from './account.ts'
import { openStorageQueue, type StorageQueue } from './queue.ts'

/** The messages of an Azure Storage queue. */
export interface AzureQueueBacklog {
  readonly system: 'azure-queue'
  readonly access: QueueAccess
  /** `all` counts hidden messages too, `visibleonly` as far as the service tells them apart. */
  readonly strategy: 'all' | 'visibleonly'
}

/** The most that one peek can see. */
const PEEK_MAX = 32

/** Counts as KEDA's azure-queue scaler does. @throws {StorageAccessError} where the credentials cannot be right. */
export function openAzureQueueBacklog({ access, strategy }: AzureQueueBacklog, clock: Clock): BacklogReader {
  const queue = openStorageQueue(access, clock)
  return { count: signal => readQueueLength(queue, strategy, signal), close: async () => {} }
}

/** @throws what the client throws: unknown, not zero. */
export async function readQueueLength(
  queue: Pick<StorageQueue, 'approximateCount' | 'peekCount'>,
  strategy: AzureQueueBacklog['strategy'],
  signal: AbortSignal,
): Promise<number> {
  if (strategy === 'all') return queue.approximateCount(signal)
  const visible = await queue.peekCount(PEEK_MAX, signal)
  // A full peek says only "32 or more": then the estimate is the better answer, as in KEDA.
  return visible < PEEK_MAX ? visible : queue.approximateCount(signal)
}
