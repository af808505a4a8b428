/** What a token says, once its signature is known to be its issuer's. */
export interface Claims {
  readonly issuer: string
  readonly subject: string
  readonly audiences: readonly string[]
  /** Wall ms. */
  readonly expiresMs: number
  readonly notBeforeMs: number
}

export type ReadClaims =
  | { readonly kind: 'claims'; readonly claims: Claims }
  | { readonly kind: 'wrong'; readonly reason: string }

/** Clocks of two machines are this far apart, at most. */
export const LEEWAY_MS = 30_000
const SUBJECT_MAX_CHARS = 1024
const AUDIENCES_MAX = 100

/** Reads the payload of a JWT (RFC 7519 §4.1). `iss`, `sub`, `aud` and `exp` must be there. Pure, never throws. */
export function readClaims(payload: Uint8Array): ReadClaims {
  let said: unknown
  try {
    said = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    return wrong('its payload is not JSON')
  }
  if (typeof said !== 'object' || said === null || Array.isArray(said)) return wrong('its payload is not a JSON object')
  const { iss, sub, aud, exp, nbf } = said as Readonly<Record<string, unknown>>
  if (typeof iss !== 'string' || iss === '') return wrong('it names no issuer (iss)')
  if (typeof sub !== 'string' || sub === '' || sub.length > SUBJECT_MAX_CHARS) return wrong('it names no subject (sub)')
  const audiences = typeof aud === 'string' ? [aud] : aud
  if (!isTexts(audiences)) return wrong('it names no audience (aud)')
  if (!isTime(exp)) return wrong('it says not how long it is valid (exp)')
  if (nbf !== undefined && !isTime(nbf)) return wrong('it says not from when on it is valid (nbf)')
  const notBeforeMs = nbf === undefined ? Number.NEGATIVE_INFINITY : nbf * 1000
  return { kind: 'claims', claims: { issuer: iss, subject: sub, audiences, expiresMs: exp * 1000, notBeforeMs } }
}

/** Undefined: they hold now, for `audience`. Otherwise why not. Pure. */
export function claimsFault(claims: Claims, audience: string, nowMs: number): string | undefined {
  if (nowMs >= claims.expiresMs + LEEWAY_MS) return 'it has expired'
  if (nowMs < claims.notBeforeMs - LEEWAY_MS) return 'it is not valid yet; the clocks may differ'
  return claims.audiences.includes(audience) ? undefined : `it is not for the audience ${audience}`
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= AUDIENCES_MAX && value.every(one => typeof one === 'string')
}

/** Seconds since the epoch (NumericDate). */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function wrong(reason: string): ReadClaims {
  return { kind: 'wrong', reason }
}
