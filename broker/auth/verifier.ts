import type { CompactVerifyResult } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type Claims, claimsFault, readClaims } from './claims.ts'
import { type FetchDocument, IssuerKeys } from './issuer-keys.ts'
import { ALGORITHMS, type Algorithm } from './key-set.ts'

export type Verified =
  | { readonly kind: 'identity'; readonly subject: string }
  /** The words go on from "the token cannot be taken:". They say nothing of what is in it but what the sender knows. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Too many are being verified. */
  | { readonly kind: 'busy' }

/** Tells who sent, by a token (OpenID Connect, as Knative's receivers do). */
export interface Verifier {
  /** At once where the token is known, which costs one look-up. Never throws, never rejects. */
  verify(token: string, audience: string): Verified | Promise<Verified>
}

export interface VerifierDeps {
  readonly clock: Clock
  readonly log: Log
  readonly fetch: FetchDocument
  /** Whose tokens are taken: the address of each, below which its discovery document is. Asked each time. */
  readonly issuers: () => readonly string[]
}

/** Tokens that are known, and the characters of all of them. A sender has one for an hour. */
const KNOWN_MAX = 10_000
const KNOWN_MAX_CHARS = 8 << 20
/** Verified at once. Each may wait for an issuer that does not answer, with the event it came with. */
const PENDING_MAX = 256

export function openVerifier(deps: VerifierDeps): Verifier {
  return new TokenVerifier(deps)
}

class TokenVerifier implements Verifier {
  readonly #deps: VerifierDeps
  readonly #known = new LRUCache<string, Known>({
    max: KNOWN_MAX,
    maxSize: KNOWN_MAX_CHARS,
    sizeCalculation: (_, token) => token.length,
  })
  readonly #pending = new Map<string, Promise<Signed>>()
  readonly #issuers = new Map<string, IssuerKeys>()
  /** Grows when keys come or go. */
  #generation = 0

  constructor(deps: VerifierDeps) {
    this.#deps = deps
  }

  verify(token: string, audience: string): Verified | Promise<Verified> {
    const known = this.#known.get(token)
    if (known !== undefined && this.#deps.issuers().includes(known.keys.url)) {
      known.keys.freshen()
      return this.#judge(known.claims, audience)
    }
    let signed = this.#pending.get(token)
    if (signed === undefined) {
      if (this.#pending.size >= PENDING_MAX) return BUSY
      // Many requests with one new token are one question.
      signed = this.#check(token).finally(() => this.#pending.delete(token))
      this.#pending.set(token, signed)
    }
    return signed.then(found => (found.kind === 'signed' ? this.#judge(found.claims, audience) : found))
  }

  #judge(claims: Claims, audience: string): Verified {
    const fault = claimsFault(claims, audience, this.#deps.clock.nowMs())
    return fault === undefined ? { kind: 'identity', subject: claims.subject } : refused(fault)
  }

  /** Whether an issuer that counts signed it, whatever it says. Never rejects. */
  async #check(token: string): Promise<Signed> {
    try {
      return await this.#verify(token)
    } catch (error) {
      this.#deps.log.error({ err: error }, 'a token could not be verified')
      return refused('it could not be verified')
    }
  }

  async #verify(token: string): Promise<Signed> {
    const { compactVerify, decodeProtectedHeader } = await import('jose')
    const head = headOf(token, decodeProtectedHeader)
    if (head.kind === 'refused') return head
    const read = readClaims(payloadOf(token))
    if (read.kind === 'wrong') return refused(read.reason)
    const { claims } = read
    const keys = await this.#keysOf(claims.issuer)
    if (keys === undefined) return refused('its issuer is not one whose tokens are taken here')
    const found = await keys.find(head.algorithm, head.kid)
    if (found.kind === 'unknown')
      return refused(
        found.trouble === undefined
          ? 'its issuer has no such key; a new key is known within half a minute'
          : `its key is not known, and its issuer cannot be asked now (${found.trouble}); send it again later`,
      )
    const generation = this.#generation
    const verified: CompactVerifyResult | undefined = await compactVerify(token, found.key, {
      algorithms: [head.algorithm],
    }).catch(() => undefined)
    if (verified === undefined) return refused('its signature is not that of its issuer')
    // Keys that changed meanwhile may have taken this one away.
    if (generation === this.#generation) this.#known.set(token, { claims, keys })
    return { kind: 'signed', claims }
  }

  async #keysOf(issuer: string): Promise<IssuerKeys | undefined> {
    for (const url of this.#deps.issuers()) {
      let keys = this.#issuers.get(url)
      if (keys === undefined) {
        const { clock, log, fetch } = this.#deps
        keys = new IssuerKeys(url, { clock, log, fetch, onChange: () => this.#forget() })
        this.#issuers.set(url, keys)
      }
      if (await keys.names(issuer)) return keys
    }
    return undefined
  }

  #forget(): void {
    this.#generation++
    this.#known.clear()
  }
}

interface Known {
  readonly claims: Claims
  readonly keys: IssuerKeys
}

type Signed = { readonly kind: 'signed'; readonly claims: Claims } | (Verified & { kind: 'refused' })

const NO_JWT = 'it is no signed JWT'
const BUSY: Verified = { kind: 'busy' }

function refused(reason: string): Verified & { kind: 'refused' } {
  return { kind: 'refused', reason }
}

type Head = { readonly kind: 'head'; readonly algorithm: Algorithm; readonly kid: string | undefined }

/** The algorithm is one of ours or the token is none: `none` and shared secrets end here. */
function headOf(
  token: string,
  decode: (token: string) => { readonly alg?: unknown; readonly kid?: unknown; readonly crit?: unknown },
): Head | (Verified & { kind: 'refused' }) {
  if (token.split('.').length !== 3) return refused(NO_JWT)
  let head: ReturnType<typeof decode>
  try {
    head = decode(token)
  } catch {
    return refused(NO_JWT)
  }
  const algorithm = ALGORITHMS.find(one => one === head.alg)
  if (algorithm === undefined) return refused(`it is not signed with ${ALGORITHMS.join(', ')}`)
  if (head.crit !== undefined) return refused('it asks for extensions that are not known here (crit)')
  if (head.kid !== undefined && typeof head.kid !== 'string') return refused('its key id is no text')
  return { kind: 'head', algorithm, kid: head.kid }
}

function payloadOf(token: string): Uint8Array {
  return Buffer.from(token.split('.')[1] ?? '', 'base64url')
}
