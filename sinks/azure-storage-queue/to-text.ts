import { isUtf8 } from 'node:buffer'
import type { AzureStorageQueueSinkResource } from '../../crds/azure-storage-queue-sink.ts'
import type { CloudEvent } from '../../event/event.ts'
import { eventData, writeHttpEvent } from '../../event/http.ts'

export type Text =
  | { readonly kind: 'text'; readonly text: string }
  /** A queue can never hold it. */
  | { readonly kind: 'unfit'; readonly reason: string }

/** The service's limit for what is put, after encoding. */
const TEXT_MAX_BYTES = 65_536
/** What XML 1.0 §2.2 has no character for; the service takes messages as XML. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are meant.
const NOT_IN_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/

/** The text of the message for `event`: all of it in JSON, or its data alone; in base64, as Azure Functions read it. Pure. */
export function toText(
  event: CloudEvent,
  spec: Pick<AzureStorageQueueSinkResource['spec'], 'encoding' | 'payload'>,
): Text {
  const bytes = spec.payload === 'raw' ? eventData(event).bytes : writeHttpEvent(event, 'structured').body
  const text = spec.encoding === 'base64' ? base64Of(bytes) : plainOf(bytes)
  if (text === undefined) return unfit('its data is no text that XML can hold: let the sink write base64')
  const size = Buffer.byteLength(text)
  if (size > TEXT_MAX_BYTES) return unfit(`its message would have ${size} bytes, and a queue takes ${TEXT_MAX_BYTES}`)
  return { kind: 'text', text }
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function plainOf(bytes: Uint8Array): string | undefined {
  if (!isUtf8(bytes)) return undefined
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  return NOT_IN_XML.test(text) ? undefined : text
}

function unfit(reason: string): Text {
  return { kind: 'unfit', reason }
}
