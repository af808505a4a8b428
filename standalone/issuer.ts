import type { TokenSource } from '../contract/tokens.ts'
import type { Clock } from '../runtime/clock.ts'
import { type Answer, refused } from '../runtime/status-server.ts'
import { type IssuerKey, makeKey, readKey, writeKey } from './issuer-key.ts'

export interface IssuerDeps {
  readonly clock: Clock
  /** Keeps the key for the next process; undefined: it goes with this one. */
  readonly keyFile: string | undefined
  /** Something that does not work as it may be expected to, in a sentence. */
  readonly say: (text: string) => void
  /** Called once, when there is a key and an address. */
  readonly onReady: (issuer: SigningIssuer) => void
}

/** All it takes to make a token. */
export interface SigningIssuer {
  readonly url: string
  readonly key: IssuerKey
}

/**
 * What an API server is in a cluster: it makes the tokens of ServiceAccounts, and publishes the key to check them with, so
 * that handlers can check what Weir sends just as there. The key is made when it is first needed.
 */
export interface LocalIssuer extends TokenSource, Disposable {
  /** Where it is asked, and what its tokens name as `iss`; undefined before `at`. */
  readonly url: string | undefined
  /** It is served at this origin. Tokens asked for before wait for this. */
  at(origin: string): void
  /** Somebody will need tokens: OIDC is on. */
  prepare(): void
  /** For the server at the origin. */
  readonly documents: Readonly<Record<string, () => Answer>>
  /** One of the documents, without a detour over the network; undefined where `url` is none of them. */
  document(url: string): unknown
}

const DISCOVERY = '/.well-known/openid-configuration'
const KEYS = '/openid/v1/jwks'

/** As an API server's TokenRequest, renewed before the end as Knative does. */
const LIFETIME_MS = 3_600_000
const RENEW_MS = 300_000
/** Tokens kept, one for each audience and subject. */
const KEPT_MAX = 1_000
/** Weir itself, where nothing else is said. */
const OWN_SUBJECT = 'system:serviceaccount:knative-eventing:weir'

/** @throws {IssuerKeyError} the key file does not hold a key. */
export function openIssuer(deps: IssuerDeps): LocalIssuer {
  return new Issuer(deps)
}

class Issuer implements LocalIssuer {
  readonly #deps: IssuerDeps
  #url: string | undefined
  #key: IssuerKey | undefined
  /** Whether the key is wanted before it is known where it is served. */
  #wanted = false
  readonly #kept = new Map<string, { readonly token: string; readonly madeMs: number }>()
  readonly #located = Promise.withResolvers<string | undefined>()
  readonly documents: Readonly<Record<string, () => Answer>> = {
    [DISCOVERY]: () => this.#answer(DISCOVERY),
    [KEYS]: () => this.#answer(KEYS),
  }

  constructor(deps: IssuerDeps) {
    this.#deps = deps
    this.#key = deps.keyFile === undefined ? undefined : readKey(deps.keyFile)
  }

  get url(): string | undefined {
    return this.#url
  }

  at(origin: string): void {
    this.#url = origin
    if (this.#wanted) this.#ready(origin)
    this.#located.resolve(origin)
  }

  prepare(): void {
    if (this.#wanted) return
    this.#wanted = true
    if (this.#url !== undefined) this.#ready(this.#url)
  }

  token(audience: string, subject = OWN_SUBJECT): Promise<string | undefined> | string | undefined {
    this.prepare()
    if (this.#url !== undefined) return this.#token(this.#url, audience, subject)
    return this.#located.promise.then(url => (url === undefined ? undefined : this.#token(url, audience, subject)))
  }

  refresh(audience: string, subject = OWN_SUBJECT): void {
    this.#kept.delete(nameOf(audience, subject))
  }

  document(url: string): unknown {
    if (this.#url === undefined || !url.startsWith(`${this.#url}/`)) return undefined
    return this.#document(url.slice(this.#url.length), this.#url)
  }

  [Symbol.dispose](): void {
    this.#located.resolve(undefined)
  }

  #token(url: string, audience: string, subject: string): string {
    const name = nameOf(audience, subject)
    const nowMs = this.#deps.clock.nowMs()
    const kept = this.#kept.get(name)
    // A clock that was set back makes a token look as if it were from the future.
    if (kept !== undefined && nowMs >= kept.madeMs && nowMs < kept.madeMs + LIFETIME_MS - RENEW_MS) return kept.token
    const token = signToken({ url, key: this.#signing() }, { audience, subject, nowMs })
    this.#kept.delete(name)
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < KEPT_MAX) break
      this.#kept.delete(oldest)
    }
    this.#kept.set(name, { token, madeMs: nowMs })
    return token
  }

  #ready(url: string): void {
    this.#deps.onReady({ url, key: this.#signing() })
  }

  #signing(): IssuerKey {
    if (this.#key !== undefined) return this.#key
    const { keyFile, say } = this.#deps
    const key = makeKey()
    this.#key = key
    try {
      if (keyFile !== undefined) writeKey(keyFile, key)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      say(`the key that signs tokens cannot be kept, so those of today will not be taken after a restart: ${why}`)
    }
    return key
  }

  #answer(path: string): Answer {
    const value = this.#url === undefined ? undefined : this.#document(path, this.#url)
    if (value !== undefined) return { kind: 'json', value }
    return refused(404, 'no-issuer', 'Nobody needs tokens here: OIDC is off (knative-eventing/config-features).')
  }

  /** As an API server's (OpenID Connect Discovery 1.0 §4, RFC 7517 §5). */
  #document(path: string, url: string): unknown {
    if (!this.#wanted) return undefined
    if (path === KEYS) return { keys: [this.#signing().publicJwk] }
    if (path !== DISCOVERY) return undefined
    return {
      issuer: url,
      jwks_uri: `${url}${KEYS}`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
    }
  }
}

export interface TokenWish {
  readonly audience: string
  readonly subject: string
  /** Wall time. */
  readonly nowMs: number
}

/** A token as an API server makes it for a ServiceAccount, valid for an hour. */
export function signToken({ url, key }: SigningIssuer, { audience, subject, nowMs }: TokenWish): string {
  const nowS = Math.floor(nowMs / 1000)
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(subject) ?? []
  const account = name === undefined ? {} : { 'kubernetes.io': { namespace, serviceaccount: { name } } }
  return key.sign({
    iss: url,
    sub: subject,
    aud: [audience],
    iat: nowS,
    nbf: nowS,
    exp: nowS + LIFETIME_MS / 1000,
    ...account,
  })
}

function nameOf(audience: string, subject: string): string {
  return JSON.stringify([audience, subject])
}
