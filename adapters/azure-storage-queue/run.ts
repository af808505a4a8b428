import { accessOf } from '../../clients/azure-storage-queue/account.ts'
import { openStorageQueue } from '../../clients/azure-storage-queue/queue.ts'
import type { AzureStorageQueueSourceResource } from '../../crds/azure-storage-queue-source.ts'
import type { RunAdapter } from '../adapter.ts'
import { pull } from './pull.ts'

/**
 * The messages of an Azure Storage queue become events, at least once and in no order. A message is deleted when the Broker
 * has stored its event, and stays hidden from others until then, however long that takes.
 * @throws {StorageAccessError} where the credentials cannot be right.
 */
export const runStorageQueue: RunAdapter<AzureStorageQueueSourceResource> = async (
  { source, credentials },
  deps,
  signal,
) => {
  const queue = openStorageQueue(accessOf(source.spec, credentials), deps.clock)
  await pull(queue, source, deps, signal)
}
