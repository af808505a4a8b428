import { deadLetterAttributes } from '../event/dead-letter.ts'
import { type CloudEvent, HOPS_ATTRIBUTE } from '../event/event.ts'
import { withAttributes } from '../event/http.ts'
import type { Failure } from './store.ts'

/** The event as its dead-letter sink receives it: the original, and why it came there. What an earlier failure left is replaced. */
export function deadLetterEvent(event: CloudEvent, failure: Failure, hops: number): CloudEvent {
  return withAttributes(event, { ...deadLetterAttributes(failure), [HOPS_ATTRIBUTE]: hops })
}
