import { isUtf8 } from 'node:buffer'
import type { QueueMessage } from '../../clients/azure-storage-queue/queue.ts'
import type { AzureStorageQueueSourceResource } from '../../crds/azure-storage-queue-source.ts'
import { withAttributes } from '../../event/http.ts'
import { type PayloadRead, readPayload } from '../payload.ts'

type Spec = Pick<AzureStorageQueueSourceResource['spec'], 'encoding' | 'payload' | 'extensions'>

/** What an event is called that is not a CloudEvent already. */
export const QUEUE_MESSAGE_TYPE = 'com.microsoft.azure.queuestorage'

/**
 * The events of a message. `id` and `source` together are the same at every delivery of it, and of no other message: the
 * service's message id, and the queue's address. A message that is itself a CloudEvent in JSON, an event as Event Grid writes
 * them, or a list of those, keeps their names. To each of them `azdequeuecount` and the source's extensions are added.
 */
export function toEvents(message: QueueMessage, queueUrl: string, spec: Spec): PayloadRead {
  const body = decode(message.text, spec.encoding)
  if (body === undefined) return { kind: 'unreadable', reason: 'the text is not base64, as the source says it is' }
  const fallback = { id: message.id, source: queueUrl, type: QUEUE_MESSAGE_TYPE, timeMs: message.insertedMs }
  const read = readPayload(body, spec.payload, fallback)
  if (read.kind === 'unreadable') return read
  const added = { azdequeuecount: message.dequeueCount, ...spec.extensions }
  return { kind: 'events', events: read.events.map(event => withAttributes(event, added)) }
}

function decode(text: string, encoding: Spec['encoding']): Uint8Array | undefined {
  switch (encoding) {
    case 'text':
      return Buffer.from(text, 'utf8')
    case 'base64':
      return decodeBase64(text)
    case 'auto': {
      const decoded = decodeBase64(text)
      return decoded !== undefined && isPlainText(decoded) ? decoded : Buffer.from(text, 'utf8')
    }
    default:
      return encoding satisfies never
  }
}

/** RFC 4648 §4 to the letter, except that lines may be broken, as MIME (RFC 2045 §6.8) breaks them. */
function decodeBase64(text: string): Buffer | undefined {
  const digits = text.replace(/[\r\n]+/g, '')
  const decoded = Buffer.from(digits, 'base64')
  return decoded.toString('base64') === digits ? decoded : undefined
}

/**
 * Many a plain word is base64 by its letters (`test`, `shop2024`, any digest in hexadecimal), but decodes to bytes that
 * nobody would write. So where the encoding is to be guessed, only what gives text counts as base64.
 */
function isPlainText(bytes: Uint8Array): boolean {
  return isUtf8(bytes) && !bytes.some(byte => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)
}
