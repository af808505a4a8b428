/** What a token may be signed with. No secret can be shared, and `none` is no signature. */
export const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const
export type Algorithm = (typeof ALGORITHMS)[number]

/** A public key of an issuer, before it is imported: the members that say what the key is, and no other. */
export interface PublicKey {
  readonly kid: string | undefined
  readonly algorithm: Algorithm
  readonly jwk: Readonly<Record<string, string>>
}

const KEYS_MAX = 100

/**
 * The keys of a JWK set (RFC 7517 §5) that can check a signature. Others in it are none of ours and passed over, a private
 * or a shared one too.
 * @throws {TypeError} in words, where it is no JWK set or no key in it can be used.
 */
export function readKeySet(document: unknown): readonly PublicKey[] {
  const keys = isObject(document) ? document.keys : undefined
  if (!Array.isArray(keys)) throw new TypeError('it is no JWK set')
  if (keys.length > KEYS_MAX) throw new TypeError(`it has more than ${KEYS_MAX} keys`)
  const usable = keys.flatMap(key => (isObject(key) ? (readKey(key) ?? []) : []))
  if (usable.length === 0) throw new TypeError(`no key in it can be used (${ALGORITHMS.join(', ')})`)
  return usable
}

type Members = Readonly<Record<string, unknown>>

function readKey(key: Members): PublicKey | undefined {
  const { kid, use, alg } = key
  if ((use !== undefined && use !== 'sig') || 'd' in key || 'k' in key) return undefined
  if (kid !== undefined && typeof kid !== 'string') return undefined
  const found = SHAPES.find(({ kty, crv }) => key.kty === kty && (crv === undefined || key.crv === crv))
  if (found === undefined || (alg !== undefined && alg !== found.algorithm)) return undefined
  const jwk: Record<string, string> = {}
  for (const name of found.members) {
    const value = key[name]
    if (typeof value !== 'string') return undefined
    jwk[name] = value
  }
  return { kid, algorithm: found.algorithm, jwk }
}

/** Which algorithm a key is for follows from what it is (RFC 7518 §6, RFC 8037 §2), never from the token. */
const SHAPES = [
  { algorithm: 'RS256', kty: 'RSA', crv: undefined, members: ['kty', 'n', 'e'] },
  { algorithm: 'ES256', kty: 'EC', crv: 'P-256', members: ['kty', 'crv', 'x', 'y'] },
  { algorithm: 'EdDSA', kty: 'OKP', crv: 'Ed25519', members: ['kty', 'crv', 'x'] },
] as const

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
