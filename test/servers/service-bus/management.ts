import rhea, { type Message } from 'rhea'
import type { Entity, Stored, Taker } from './entity.ts'
import { tokenOf } from './wire.ts'

export interface Answer {
  readonly status: number
  readonly condition?: string
  readonly body?: object
}

const LOCK_LOST: Answer = { status: 410, condition: 'com.microsoft:message-lock-lost' }
const SESSION_LOST: Answer = { status: 410, condition: 'com.microsoft:session-lock-lost' }
const DONE: Answer = { status: 200, body: {} }

/** Answers one request to `<entity>/$management`. */
export function manage(entity: Entity, request: Message, taker: Taker): Answer {
  const body = request.body ?? {}
  const sessionId: string = body['session-id'] ?? ''
  switch (request.application_properties?.operation) {
    case 'com.microsoft:renew-lock': {
      const untils = tokensIn(body).map(token => entity.renew(token))
      if (untils.some(until => until === undefined)) return LOCK_LOST
      return { status: 200, body: { expirations: rhea.types.wrap_array(untils, 0x83, undefined) } }
    }
    case 'com.microsoft:renew-session-lock': {
      const until = entity.renewSession(sessionId)
      if (until === undefined) return SESSION_LOST
      return { status: 200, body: { expiration: rhea.types.wrap_timestamp(until) } }
    }
    case 'com.microsoft:update-disposition': {
      const settled = tokensIn(body).map(token => entity.settle(token, outcomeIn(body)))
      return settled.every(Boolean) ? DONE : LOCK_LOST
    }
    case 'com.microsoft:peek-message':
      return peek(entity, Number(body['from-sequence-number']), body['message-count'], body['session-id'])
    case 'com.microsoft:receive-by-sequence-number': {
      const numbers: unknown[] = [body['sequence-numbers']].flat()
      const found = numbers.map(number => entity.deferredBySequence(Number(number))).filter(one => one !== undefined)
      if (found.length === 0) return { status: 404, condition: 'com.microsoft:message-not-found' }
      const messages = found.map(stored => {
        const { token, untilMs } = entity.lock(stored, taker)
        return {
          message: encode(stored, untilMs),
          'lock-token': rhea.types.wrap_uuid(Buffer.from(token.replaceAll('-', ''), 'hex')),
        }
      })
      return { status: 200, body: { messages } }
    }
    case 'com.microsoft:get-session-state':
      return { status: 200, body: { 'session-state': entity.state(sessionId) ?? null } }
    case 'com.microsoft:set-session-state':
      entity.setState(sessionId, body['session-state'])
      return DONE
    case 'com.microsoft:get-message-sessions':
      return { status: 200, body: { 'sessions-ids': entity.sessionIds(), skip: 0 } }
    default:
      return { status: 501, condition: 'amqp:not-implemented' }
  }
}

/** A message as it is delivered: with what the service adds. */
export function annotated(stored: Stored, lockedUntilMs: number | undefined): Message {
  const { types } = rhea
  const annotations = {
    ...stored.message.message_annotations,
    'x-opt-sequence-number': types.wrap_long(stored.sequence),
    'x-opt-enqueued-time': types.wrap_timestamp(stored.enqueuedMs),
    'x-opt-message-state': types.wrap_int(stored.deferred ? 1 : stored.dueMs > Date.now() ? 2 : 0),
    ...(lockedUntilMs !== undefined && { 'x-opt-locked-until': types.wrap_timestamp(lockedUntilMs) }),
  }
  const earlier = lockedUntilMs === undefined ? stored.deliveryCount : stored.deliveryCount - 1
  return { ...stored.message, delivery_count: earlier, message_annotations: annotations }
}

function encode(stored: Stored, lockedUntilMs: number | undefined): Buffer {
  return rhea.message.encode(annotated(stored, lockedUntilMs))
}

function peek(entity: Entity, from: number, count: number, sessionId: string | undefined): Answer {
  const found = entity
    .all()
    .filter(one => one.sequence >= from && (sessionId === undefined || one.sessionId === sessionId))
    .slice(0, count)
  if (found.length === 0) return { status: 204 }
  return { status: 200, body: { messages: found.map(one => ({ message: encode(one, undefined) })) } }
}

function tokensIn(body: Record<string, unknown>): string[] {
  return [body['lock-tokens']].flat().map(bytes => (bytes instanceof Uint8Array ? tokenOf(bytes) : String(bytes)))
}

function outcomeIn(body: Record<string, unknown>): Parameters<Entity['settle']>[1] {
  const status = body['disposition-status']
  if (status === 'completed') return 'complete'
  if (status === 'abandoned') return 'abandon'
  if (status === 'defered') return 'defer'
  const text = (name: string) => (typeof body[name] === 'string' ? body[name] : undefined)
  const [reason, description] = [text('deadletter-reason'), text('deadletter-description')]
  return { ...(reason !== undefined && { reason }), ...(description !== undefined && { description }) }
}
