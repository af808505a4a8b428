export type Bearer =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'none' }
  /** Something is there that no token can be read from. */
  | { readonly kind: 'malformed'; readonly reason: string }

/** Tokens of clusters and of identity providers have 1 to 3 KiB; headers altogether have 16. */
export const TOKEN_MAX_CHARS = 8 << 10

const NONE: Bearer = { kind: 'none' }
const TWICE: Bearer = { kind: 'malformed', reason: 'there is more than one Authorization header' }
const NOT_BEARER: Bearer = { kind: 'malformed', reason: 'the Authorization header is not `Bearer` and one token' }
const TOO_LONG: Bearer = { kind: 'malformed', reason: `the token has more than ${TOKEN_MAX_CHARS} characters` }

/** `b64token` of RFC 6750 §2.1. */
const CREDENTIALS = /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i

/**
 * The bearer token of a request (RFC 6750 §2.1, the header only). The reasons say nothing of what was there.
 * @param rawHeaders names and values in turn, as Node gives them.
 */
export function readBearer(rawHeaders: readonly string[]): Bearer {
  let value: string | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length !== AUTHORIZATION.length || name.toLowerCase() !== AUTHORIZATION) continue
    if (value !== undefined) return TWICE
    value = rawHeaders[i + 1] ?? ''
  }
  if (value === undefined) return NONE
  // Before the pattern is tried: what it may cost is bounded.
  if (value.length > TOKEN_MAX_CHARS + SCHEME_CHARS) return TOO_LONG
  const token = CREDENTIALS.exec(value)?.[1]
  return token === undefined ? NOT_BEARER : { kind: 'token', token }
}

const AUTHORIZATION = 'authorization'
const SCHEME_CHARS = 'Bearer '.length
