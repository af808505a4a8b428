import { fault } from './attributes.ts'
import { toStructured } from './convert.ts'
import { readEnvelope } from './envelope.ts'
import type { CloudEvent } from './event.ts'
import { type BatchRead, readFrames, writeFrames } from './frames.ts'
import { bufferOf, scanArray } from './json.ts'
import { type BatchFormat, FRAMES_TYPE } from './media-type.ts'

/** Events in one batch. What is larger is refused whole: split it. */
export const BATCH_EVENTS_MAX = 10_000

export const BATCH_TYPE = 'application/cloudevents-batch+json; charset=utf-8'

/**
 * Reads a batch: as `json`, `application/cloudevents-batch+json` (CloudEvents JSON format §4), an array of envelopes, each kept
 * as it was written; as `frames`, see `FRAMES_TYPE`. All of the events, or the first mistake with the place of its event, counted
 * from 0. An empty batch has no events.
 */
export function readBatch(body: Uint8Array, format: BatchFormat = 'json'): BatchRead {
  return format === 'frames' ? readFrames(body, BATCH_EVENTS_MAX) : readEnvelopes(body)
}

function readEnvelopes(body: Uint8Array): BatchRead {
  const scan = scanArray(body, BATCH_EVENTS_MAX)
  if (scan.kind === 'broken') return fault('invalid-json', scan.reason)
  const events: CloudEvent[] = []
  for (const [i, { start, end }] of scan.elements.entries()) {
    // A copy, so that one event that waits does not keep the whole batch in memory.
    const read = readEnvelope(new Uint8Array(body.subarray(start, end)))
    if (read.kind === 'invalid') return fault(read.code, `event ${i} of the batch: ${read.reason}`)
    events.push(read.event)
  }
  return { kind: 'events', events }
}

/** One message for all of `events`; those in binary mode become envelopes. */
export function writeBatch(events: readonly CloudEvent[]): { headers: string[]; body: Uint8Array } {
  const pieces: Uint8Array[] = [OPEN]
  for (const [i, event] of events.entries()) {
    if (i > 0) pieces.push(COMMA)
    pieces.push(bufferOf(toStructured(event).body))
  }
  pieces.push(CLOSE)
  return { headers: ['content-type', BATCH_TYPE], body: Buffer.concat(pieces) }
}

/** As `writeBatch`, for a Broker of ours and events in binary mode, which `readBatch` gives back as they are. */
export function writeBinaryBatch(events: readonly CloudEvent[]): { headers: string[]; body: Uint8Array } {
  return { headers: ['content-type', FRAMES_TYPE], body: writeFrames(events) }
}

const OPEN = Buffer.from('[')
const COMMA = Buffer.from(',')
const CLOSE = Buffer.from(']')
