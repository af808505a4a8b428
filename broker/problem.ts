import type { ServerResponse } from 'node:http'

interface ProblemKind {
  readonly status: number
  /** The same for every occurrence of the code. */
  readonly title: string
  /** Seconds; only where the same request may succeed later. */
  readonly retryAfterS?: number
}

/**
 * Every way the door says no. Codes are stable: senders and dashboards may act on them. 4xx other than 404, 408 and 429 is
 * final for a Knative sender, so whatever no repetition can mend is one of those (Knative data plane spec, "Event
 * Acknowledgement and Delivery Retry").
 */
const kinds = {
  'bad-request': { status: 400, title: 'Not HTTP/1.1 as this server reads it' },
  'bad-path': { status: 400, title: 'The path is not /<namespace>/<broker>' },
  unauthorized: { status: 401, title: 'Nobody knows who sends this' },
  forbidden: { status: 403, title: 'The sender may not send this to this Broker' },
  'no-issuer': { status: 500, title: 'The broker cannot check who sends' },
  'no-broker-in-path': { status: 404, title: 'The path names no Broker' },
  'method-not-allowed': { status: 405, title: 'Events are posted' },
  'not-an-event': { status: 400, title: 'The request is not a CloudEvent' },
  'invalid-event': { status: 400, title: 'The CloudEvent is not valid' },
  'invalid-hops': { status: 400, title: 'The hop count of the event is not an integer' },
  'hop-limit': { status: 400, title: 'The event has been through too many Brokers' },
  'unknown-broker': { status: 404, title: 'There is no such Broker' },
  'request-timeout': { status: 408, title: 'The request did not arrive in time' },
  'too-large': { status: 413, title: 'The body is too large' },
  'unsupported-encoding': { status: 415, title: 'The body is compressed' },
  'expectation-failed': { status: 417, title: 'Only 100-continue can be expected' },
  'over-quota': { status: 429, title: 'The namespace has used up its quota', retryAfterS: 1 },
  'headers-too-large': { status: 431, title: 'The header fields are too large' },
  overloaded: { status: 503, title: 'Too much is being stored at this moment', retryAfterS: 1 },
  stopping: { status: 503, title: 'The broker is stopping', retryAfterS: 1 },
  'store-failed': { status: 503, title: 'The store failed', retryAfterS: 5 },
  'store-full': { status: 507, title: 'The store is full', retryAfterS: 10 },
} as const satisfies Record<string, ProblemKind>

export type ProblemCode = keyof typeof kinds

/** A refusal, ready to be written (RFC 9457). */
export interface Problem {
  readonly status: number
  readonly retryAfterS: number | undefined
  readonly body: string
  /** `WWW-Authenticate` of a 401 (RFC 6750 §3). */
  readonly challenge?: string
}

/**
 * @param detail what happened this time and what to do. Never payload, header values or a stack.
 * @param reason a finer code within `code`, e.g. which rule of the CloudEvents spec was broken.
 */
export function problem(code: ProblemCode, detail: string, reason?: string): Problem {
  const kind: ProblemKind = kinds[code]
  const body = { type: `urn:weir:problem:${code}`, title: kind.title, status: kind.status, code, reason, detail }
  return { status: kind.status, retryAfterS: kind.retryAfterS, body: JSON.stringify(body) }
}

/** Flat header list of an answer without a body. Knative senders find the allowed methods on every answer. */
export const ALLOW = ['Allow', 'POST, OPTIONS'] as const

/** Writes the refusal, whole. Nothing may have been written before; a connection that is gone is no error. */
export function sendProblem(response: ServerResponse, refusal: Problem, close = false): void {
  const { status, retryAfterS, body, challenge } = refusal
  const headers = problemHeaders(body, retryAfterS, close)
  if (challenge !== undefined) headers.push('WWW-Authenticate', challenge)
  response.writeHead(status, headers)
  response.end(body)
}

/** The refusal as bytes, for a connection on which no request could be read. The connection ends with it. */
export function rawProblem({ status, retryAfterS, body }: Problem, reasonPhrase: string): string {
  const headers = problemHeaders(body, retryAfterS, true)
  const lines = [`HTTP/1.1 ${status} ${reasonPhrase}`]
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`)
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}

function problemHeaders(body: string, retryAfterS: number | undefined, close: boolean): string[] {
  const headers = [...ALLOW, 'Content-Type', 'application/problem+json', 'Content-Length', `${Buffer.byteLength(body)}`]
  if (retryAfterS !== undefined) headers.push('Retry-After', `${retryAfterS}`)
  if (close) headers.push('Connection', 'close')
  return headers
}
