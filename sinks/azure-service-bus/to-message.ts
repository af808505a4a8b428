import { createHash } from 'node:crypto'
import type { Outgoing } from '../../clients/azure-service-bus/out.ts'
import type { AzureServiceBusSinkResource } from '../../crds/azure-service-bus-sink.ts'
import { writeAmqp } from '../../event/amqp.ts'
import type { CloudEvent } from '../../event/event.ts'

export type Written =
  | { readonly kind: 'message'; readonly message: Outgoing }
  /** The event can never become a message there. */
  | { readonly kind: 'unfit'; readonly reason: string }

type Spec = Pick<AzureServiceBusSinkResource['spec'], 'contentMode' | 'sessionIdFrom'>

/** The service's limit for the id of a session. */
const SESSION_ID_MAX = 128

/** The message of an event (CloudEvents AMQP binding §3). Its id is the same for the same event, and for no other. */
export function toMessage(event: CloudEvent, { contentMode, sessionIdFrom }: Spec): Written {
  const sessionId = sessionIdFrom === undefined ? undefined : event.attributes[sessionIdFrom]
  if (sessionIdFrom !== undefined && !sessionId)
    return { kind: 'unfit', reason: `the event has no attribute ${sessionIdFrom}, which names its session` }
  if (sessionId !== undefined && sessionId.length > SESSION_ID_MAX)
    return {
      kind: 'unfit',
      reason: `${sessionIdFrom} has more than ${SESSION_ID_MAX} characters: no session can be named so`,
    }
  const { contentType, properties, body } = writeAmqp(event, contentMode)
  const texts = Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, String(value)]))
  return { kind: 'message', message: { messageId: idOf(event), sessionId, contentType, properties: texts, body } }
}

/** An event is told from others by source and id together (CloudEvents 1.0 §3.1.1), which may be longer than a message id. */
function idOf({ attributes: { source = '', id = '' } }: CloudEvent): string {
  return createHash('sha256').update(`${source}\n${id}`).digest('base64url')
}
