import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'

/** What a local issuer signs with: P-256, which every library that checks tokens knows (ES256). */
export interface IssuerKey {
  /** Thumbprint of the public key (RFC 7638). */
  readonly kid: string
  /** The public part, as a JWK set has it. */
  readonly publicJwk: JsonWebKey
  /** With the private part. Whoever has it can be anybody here. */
  readonly privateJwk: JsonWebKey
  /** A JWT with these claims (RFC 7515 §3.1, RFC 7519). */
  sign(claims: Readonly<Record<string, unknown>>): string
}

/** The file does not hold a key. It is not replaced: it may be somebody's. */
export class IssuerKeyError extends Error {
  readonly code = 'issuer-key-damaged'
  override readonly name = 'IssuerKeyError'
  readonly file: string

  constructor(file: string, options?: ErrorOptions) {
    super(
      `${file} does not hold the key that signs tokens; remove it, and a new one is made when it is needed`,
      options,
    )
    this.file = file
  }
}

export function makeKey(): IssuerKey {
  return keyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
}

/** @throws {TypeError} where it is no private P-256 key. */
export function importKey(jwk: unknown): IssuerKey {
  const key = createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' })
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new TypeError('it is no P-256 key')
  return keyOf(key)
}

/** Undefined: there is no such file. @throws {IssuerKeyError} */
export function readKey(file: string): IssuerKey | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new IssuerKeyError(file, { cause: error })
  }
  try {
    return importKey(JSON.parse(text))
  } catch (error) {
    throw new IssuerKeyError(file, { cause: error })
  }
}

/** Only its owner can read the file; a reader sees all of it or nothing. @throws what the file system says. */
export function writeKey(file: string, key: IssuerKey): void {
  const draft = `${file}.new`
  writeFileSync(draft, JSON.stringify(key.privateJwk), { mode: 0o600, flush: true })
  renameSync(draft, file)
}

function keyOf(privateKey: KeyObject): IssuerKey {
  const publicJwk = createPublicKey(privateKey).export({ format: 'jwk' })
  const { crv, kty, x, y } = publicJwk
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
  const head = encode({ alg: 'ES256', typ: 'JWT', kid })
  return {
    kid,
    publicJwk: { ...publicJwk, kid, alg: 'ES256', use: 'sig' },
    privateJwk: privateKey.export({ format: 'jwk' }),
    sign(claims) {
      const input = `${head}.${encode(claims)}`
      const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${input}.${signature.toString('base64url')}`
    },
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
