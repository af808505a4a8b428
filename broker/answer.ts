import type { Attempt } from './attempt.ts'

type Cause = (Attempt & { kind: 'unreachable' })['cause']

/** Which kind of trouble an error of the network or of the HTTP client is, by its code. */
const causes: Readonly<Record<string, Cause>> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'refused',
  ENETUNREACH: 'refused',
  EADDRNOTAVAIL: 'refused',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECONNABORTED: 'reset',
  UND_ERR_SOCKET: 'reset',
  UND_ERR_CLOSED: 'reset',
  UND_ERR_DESTROYED: 'reset',
  ETIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  EAI_FAIL: 'dns',
  ADDRESS_REFUSED: 'address',
  AUTHORITIES_UNUSABLE: 'tls',
  EPROTO: 'tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls',
  UNABLE_TO_GET_ISSUER_CERT: 'tls',
}

/** What an error says about the subscriber. Total: whatever is not known broke the protocol. */
export function unreachableCause(error: Error): { readonly cause: Cause; readonly reason: string } {
  const first = innermost(error)
  const code = codeOf(first)
  const tls = code.startsWith('CERT_') || code.startsWith('ERR_TLS_') || code.startsWith('ERR_SSL_')
  const cause = tls ? 'tls' : (causes[code] ?? 'protocol')
  const { message } = first
  if (cause === 'tls') return { cause, reason: tlsWords(code, message).slice(0, 200) }
  const reason = ownCodes.has(code) || code === '' || message.includes(code) ? message : `${code}: ${message}`
  return { cause, reason: reason.slice(0, 200) }
}

/** Codes of our own errors, whose messages say it all. */
const ownCodes: ReadonlySet<string> = new Set(['ADDRESS_REFUSED', 'AUTHORITIES_UNUSABLE'])

const UNKNOWN_AUTHORITY =
  'its certificate is from an authority that is not trusted here; if it is to be, give its certificate as CACerts'

const tlsReasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; if it should be, look at the clocks',
  CERT_REVOKED: 'its certificate is revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS on this port; the address may have to begin with http://',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'it speaks no TLS 1.2 or newer',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it speaks no TLS 1.2 or newer',
}

/** OpenSSL's words are for programmers of OpenSSL; its code stays, for whoever searches for it. */
function tlsWords(code: string, message: string): string {
  if (ownCodes.has(code)) return message
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate is for another host: ${message.replace(/^.*?altnames: /, '')} (${code})`
  }
  const known = tlsReasons[code]
  if (known !== undefined) return `${known} (${code})`
  const plain = message.replace(/^.*?:error:[0-9A-F]+:([^:]*):[^:]*:([^:]*):.*$/s, '$1: $2')
  return `TLS failed: ${plain} (${code})`
}

/** A name with several addresses fails with an error for each; the first one speaks for all. */
function innermost(error: Error): Error {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined
  return first instanceof Error ? first : error
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** An HTTP date in the one form that may be sent (RFC 9110 §5.6.7); `Date.parse` alone would take nearly anything. */
const httpDate = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** Retry-After (RFC 9110 §10.2.3) in ms from `nowMs`, a date in the past is 0. Undefined where it is neither form. */
export function retryAfterMs(text: string, nowMs: number): number | undefined {
  const said = text.trim()
  if (/^\d{1,15}$/.test(said)) return Number(said) * 1000
  if (!httpDate.test(said)) return undefined
  const atMs = Date.parse(said)
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}
