import type { CryptoKey } from 'jose'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type Algorithm, readKeySet } from './key-set.ts'

/** A JSON document of an issuer. @throws in words, when it cannot be had; bounded in size, and in time by `signal`. */
export type FetchDocument = (url: string, signal: AbortSignal) => Promise<unknown>

export interface IssuerKeysDeps {
  readonly clock: Clock
  readonly log: Log
  readonly fetch: FetchDocument
  /** Called when a key came or went: what was verified by the old ones has to be verified again. */
  readonly onChange: () => void
}

export type FoundKey =
  | { readonly kind: 'key'; readonly key: CryptoKey }
  | {
      readonly kind: 'unknown' /** Why the issuer could not be asked, or undefined: it knows no such key. */
      readonly trouble: string | undefined
    }

/** An unknown key makes us ask the issuer again, but not more often than this. */
const ASK_AGAIN_MS = 30_000
/** The same after a failure. */
const ASK_AGAIN_FAILED_MS = 5_000
/** Keys of this age are asked for again, meanwhile they hold: one that was withdrawn must not hold for ever. */
const FRESH_MS = 600_000
/** For both documents together. */
const ANSWER_WITHIN_MS = 5_000

/** The public keys of one issuer, by OpenID Connect Discovery 1.0. What was read is kept while the issuer cannot be asked. */
export class IssuerKeys {
  /** As it was given. */
  readonly url: string
  readonly #url: string
  readonly #deps: IssuerKeysDeps
  /** By algorithm and key id. */
  #keys: ReadonlyMap<string, CryptoKey> = new Map()
  #text = ''
  #issuer: string | undefined
  #trouble: string | undefined
  #askedMs = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | undefined

  /** @param url below which the discovery document is; tokens name it as `iss`, or what the document names. */
  constructor(url: string, deps: IssuerKeysDeps) {
    this.url = url
    this.#url = url.replace(/\/+$/, '')
    this.#deps = deps
  }

  /** Whether tokens of `issuer` are signed by these keys. In a cluster it is asked under another name than its tokens have. */
  async names(issuer: string): Promise<boolean> {
    if (issuer === this.#url) return true
    if (this.#issuer === undefined) await this.#askUnlessJust()
    return issuer === this.#issuer
  }

  async find(algorithm: Algorithm, kid: string | undefined): Promise<FoundKey> {
    const known = this.#find(algorithm, kid)
    if (known !== undefined) return { kind: 'key', key: known }
    await this.#askUnlessJust()
    const key = this.#find(algorithm, kid)
    return key === undefined ? { kind: 'unknown', trouble: this.#trouble } : { kind: 'key', key }
  }

  /** Asks again where the keys are old. Returns at once. */
  freshen(): void {
    if (this.#deps.clock.monotonicMs() - this.#askedMs >= FRESH_MS) void this.#ask()
  }

  /** Without a key id only a key that is alone of its kind can be meant. */
  #find(algorithm: Algorithm, kid: string | undefined): CryptoKey | undefined {
    if (kid !== undefined) return this.#keys.get(nameOf(algorithm, kid))
    const names = [...this.#keys.keys()].filter(name => name.startsWith(`${algorithm} `))
    return names.length === 1 ? this.#keys.get(names[0] ?? '') : undefined
  }

  #askUnlessJust(): Promise<void> {
    const waitMs = this.#trouble === undefined ? ASK_AGAIN_MS : ASK_AGAIN_FAILED_MS
    const just = this.#deps.clock.monotonicMs() - this.#askedMs < waitMs
    return just ? (this.#asking ?? Promise.resolve()) : this.#ask()
  }

  /** One question at a time, whoever asks. Never rejects. */
  #ask(): Promise<void> {
    this.#askedMs = this.#deps.clock.monotonicMs()
    this.#asking ??= this.#read().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #read(): Promise<void> {
    const { clock, log } = this.#deps
    const late = new AbortController()
    const cancel = clock.after(ANSWER_WITHIN_MS, () =>
      late.abort(new Error(`it did not answer within ${ANSWER_WITHIN_MS / 1000} s`)),
    )
    try {
      await this.#load(late.signal)
      if (this.#trouble !== undefined) log.info({ issuer: this.#url }, 'the issuer of tokens answers again')
      this.#trouble = undefined
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (reason !== this.#trouble) {
        const kept = this.#keys.size
        log.warn(
          { issuer: this.#url, reason, kept },
          'the keys of an issuer of tokens cannot be read; those known hold',
        )
      }
      this.#trouble = reason
    } finally {
      cancel()
    }
  }

  async #load(signal: AbortSignal): Promise<void> {
    const discovery = `${this.#url}/.well-known/openid-configuration`
    const { issuer, keysUrl } = readDiscovery(await this.#fetch(discovery, signal), this.#url)
    const found = readKeySet(await this.#fetch(keysUrl, signal))
    this.#issuer = issuer
    const text = JSON.stringify(found)
    if (text === this.#text) return
    const { importJWK } = await import('jose')
    const keys = new Map<string, CryptoKey>()
    for (const { algorithm, kid, jwk } of found) {
      const key = await importJWK({ ...jwk, kty: jwk.kty ?? '' }, algorithm).catch(() => undefined)
      // A key whose numbers are no key is passed over like one that is of no use.
      if (key !== undefined && !(key instanceof Uint8Array)) keys.set(nameOf(algorithm, kid ?? `#${keys.size}`), key)
    }
    if (keys.size === 0) throw new TypeError(`none of the keys at ${keysUrl} is a key`)
    this.#keys = keys
    this.#text = text
    this.#deps.onChange()
  }

  async #fetch(url: string, signal: AbortSignal): Promise<unknown> {
    // Whoever is given the signal may be deaf to it.
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    try {
      return await Promise.race([this.#deps.fetch(url, signal), aborted])
    } catch (error) {
      throw new Error(`${url}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }
}

function nameOf(algorithm: Algorithm, kid: string): string {
  return `${algorithm} ${kid}`
}

function readDiscovery(document: unknown, url: string): { readonly issuer: string; readonly keysUrl: string } {
  const { issuer, jwks_uri: keysUrl } = (typeof document === 'object' && document !== null ? document : {}) as {
    readonly issuer?: unknown
    readonly jwks_uri?: unknown
  }
  if (typeof issuer !== 'string' || typeof keysUrl !== 'string' || !URL.canParse(keysUrl))
    throw new TypeError(`the document at ${url} names no issuer and no jwks_uri`)
  const { protocol } = new URL(keysUrl)
  // Keys that came over an open line could be anybody's.
  const safe = protocol === 'https:' || (protocol === 'http:' && url.startsWith('http:'))
  if (!safe) throw new TypeError(`the keys of ${url} are at ${keysUrl}, which is no https address`)
  return { issuer, keysUrl }
}
