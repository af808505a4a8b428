import { type Fault, fault } from './attributes.ts'
import { readBinary, toExactStructured, toStructured } from './convert.ts'
import { readEnvelope } from './envelope.ts'
import type { CloudEvent } from './event.ts'
import { bufferOf, scanArray } from './json.ts'

/** Events in one batch. What is larger is refused whole: split it. */
export const BATCH_EVENTS_MAX = 10_000

export const BATCH_TYPE = 'application/cloudevents-batch+json; charset=utf-8'
/**
 * A batch whose events were in binary mode, and are to be again: who reads the parameter gets the very same events, and who
 * does not know it gets the batch that it is.
 */
export const BINARY_BATCH_TYPE = 'application/cloudevents-batch+json; mode=binary; charset=utf-8'

/**
 * Reads `application/cloudevents-batch+json` (CloudEvents JSON format §4): an array of envelopes, each kept as it was
 * written, or in binary mode where that is asked for (see `BINARY_BATCH_TYPE`). All of them, or the first mistake with the
 * place of its event, counted from 0. An empty batch has no events.
 */
export function readBatch(
  body: Uint8Array,
  mode: CloudEvent['mode'] = 'structured',
): { readonly kind: 'events'; readonly events: readonly CloudEvent[] } | Fault {
  const scan = scanArray(body, BATCH_EVENTS_MAX)
  if (scan.kind === 'broken') return fault('invalid-json', scan.reason)
  const events: CloudEvent[] = []
  for (const [i, { start, end }] of scan.elements.entries()) {
    const envelope = body.subarray(start, end)
    // A copy either way, so that one event that waits does not keep the whole batch in memory.
    const read = mode === 'binary' ? readBinary(envelope) : readEnvelope(new Uint8Array(envelope))
    if (read.kind === 'invalid') return fault(read.code, `event ${i} of the batch: ${read.reason}`)
    events.push(read.event)
  }
  return { kind: 'events', events }
}

/** One message for all of `events`; those in binary mode become envelopes. */
export function writeBatch(events: readonly CloudEvent[]): { headers: string[]; body: Uint8Array } {
  return message(BATCH_TYPE, events.map(toStructured))
}

/** As `writeBatch`, for events of CloudEvents 1.0 in binary mode, which `readBatch` gives back as they are. */
export function writeBinaryBatch(events: readonly CloudEvent[]): { headers: string[]; body: Uint8Array } {
  return message(BINARY_BATCH_TYPE, events.map(toExactStructured))
}

function message(type: string, events: readonly CloudEvent[]): { headers: string[]; body: Uint8Array } {
  const pieces: Uint8Array[] = [OPEN]
  for (const [i, event] of events.entries()) {
    if (i > 0) pieces.push(COMMA)
    pieces.push(bufferOf(event.body))
  }
  pieces.push(CLOSE)
  return { headers: ['content-type', type], body: Buffer.concat(pieces) }
}

const OPEN = Buffer.from('[')
const COMMA = Buffer.from(',')
const CLOSE = Buffer.from(']')
