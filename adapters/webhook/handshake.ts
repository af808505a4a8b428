import type { DoorAnswer } from '../../runtime/door.ts'
import { parseJson, type Said } from './request.ts'

export const ALLOW = 'POST, OPTIONS'

/** Whoever asks may send, as fast as it likes (HTTP 1.1 Web Hooks for Event Delivery §4). */
export function handshake(said: Said): DoorAnswer {
  const [origin] = said.header('webhook-request-origin')
  if (origin === undefined) return { status: 200, headers: { allow: ALLOW } }
  return { status: 200, headers: { allow: ALLOW, 'webhook-allowed-origin': origin, 'webhook-allowed-rate': '*' } }
}

/** Event Grid's question whether its events are wanted here, answered; undefined where the request is something else. */
export function validation(said: Said, body: Uint8Array): DoorAnswer | undefined {
  if (said.header('aeg-event-type')[0]?.toLowerCase() !== 'subscriptionvalidation') return undefined
  const json = parseJson(body)
  const code = Array.isArray(json) ? codeOf(json[0]) : undefined
  if (code === undefined) return undefined
  const headers = { 'content-type': 'application/json' }
  return { status: 200, headers, body: JSON.stringify({ validationResponse: code }) }
}

function codeOf(
  event: { readonly data?: { readonly validationCode?: unknown } } | null | undefined,
): string | undefined {
  const code = event?.data?.validationCode
  return typeof code === 'string' ? code : undefined
}
