import { accessOf } from '../../clients/azure-storage-queue/account.ts'
import { openStorageQueue } from '../../clients/azure-storage-queue/queue.ts'
import type { AzureStorageQueueSinkResource } from '../../crds/azure-storage-queue-sink.ts'
import type { OpenSink, Sent } from '../sink.ts'
import { toText } from './to-text.ts'

/**
 * Events become messages of an Azure Storage queue, which never expire. One that is larger than a queue takes is refused; a
 * queue that is missing is used as soon as somebody makes it.
 * @throws {StorageAccessError} where the credentials cannot be right.
 */
export const openStorageQueueSink: OpenSink<AzureStorageQueueSinkResource> = async (
  { resource, credentials },
  { clock },
) => {
  const queue = openStorageQueue(accessOf(resource.spec, credentials), clock)
  return {
    async send(event, signal): Promise<Sent> {
      const text = toText(event, resource.spec)
      if (text.kind === 'unfit') return { kind: 'refused', reason: text.reason }
      const put = await queue.put(text.text, signal)
      return put.kind === 'put' ? { kind: 'sent' } : { kind: 'again', reason: put.reason }
    },
    async [Symbol.asyncDispose]() {},
  }
}
