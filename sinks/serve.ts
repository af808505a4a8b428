import { readBatch } from '../event/batch.ts'
import type { CloudEvent } from '../event/event.ts'
import { readHttpEvent } from '../event/http.ts'
import { type DoorAnswer, type DoorHandler, type DoorRequest, doorProblem } from '../runtime/door.ts'
import type { EventSink, Sent } from './sink.ts'

/** How soon a Trigger may try again; its own back-off comes on top. */
const AGAIN_AFTER_S = 1

/** What a sink counts, for people. */
export interface SinkCounts {
  sent: number
  /** Why the last event was not taken, or undefined after one that was. */
  trouble: string | undefined
}

/**
 * A sink as a subscriber: POST of a CloudEvent, binary, structured or a batch (CloudEvents HTTP binding §3), answers 202 when
 * the other system has confirmed it, 503 when it may work later, and 400 when it never will. A batch is sent whole; where one
 * of its events is not taken the answer is that one's, and the others may come twice.
 */
export function serveSink(sink: EventSink, counts: SinkCounts): DoorHandler {
  return async request => {
    const read = eventsIn(request)
    if ('status' in read) return read
    const all = await Promise.all(read.map(event => sink.send(event, request.signal)))
    counts.sent += all.filter(one => one.kind === 'sent').length
    const worst = all.find(one => one.kind === 'again') ?? all.find(one => one.kind === 'refused')
    counts.trouble = worst?.reason
    return answerOf(worst ?? { kind: 'sent' })
  }
}

function answerOf(sent: Sent): DoorAnswer {
  switch (sent.kind) {
    case 'sent':
      return { status: 202 }
    case 'again':
      return doorProblem(503, 'sink-unavailable', sent.reason, AGAIN_AFTER_S)
    case 'refused':
      return doorProblem(400, 'sink-refuses', sent.reason)
    default:
      return sent satisfies never
  }
}

function eventsIn({ method, rawHeaders, body }: DoorRequest): readonly CloudEvent[] | DoorAnswer {
  if (method !== 'POST') {
    const problem = doorProblem(405, 'method-not-allowed', 'Send the event with POST.')
    return { ...problem, headers: { ...problem.headers, allow: 'POST' } }
  }
  if (isCompressed(rawHeaders)) return doorProblem(415, 'unsupported-encoding', 'Send the body uncompressed.')
  const read = readHttpEvent(rawHeaders, body)
  switch (read.kind) {
    case 'event':
      return [read.event]
    case 'batch': {
      const batch = readBatch(body, read.format)
      return batch.kind === 'events' ? batch.events : doorProblem(400, 'invalid-event', batch.reason)
    }
    case 'none':
      return doorProblem(400, 'not-an-event', 'The request is no CloudEvent: it has no ce-specversion header.')
    case 'invalid':
      return doorProblem(400, 'invalid-event', read.reason)
    default:
      return read satisfies never
  }
}

function isCompressed(rawHeaders: readonly string[]): boolean {
  const at = rawHeaders.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-encoding')
  return at >= 0 && rawHeaders[at + 1]?.trim().toLowerCase() !== 'identity'
}
