import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'

export type Alg = 'RS256' | 'ES256' | 'EdDSA'

/** An OpenID Connect issuer over real HTTP, whose keys and moods a test decides. */
export interface TokenIssuer extends AsyncDisposable {
  readonly url: string
  /** Documents asked for so far. */
  readonly asked: readonly string[]
  /** `down`: connections are reset. `hang`: nobody answers. */
  mood: 'up' | 'down' | 'hang' | 'broken' | 'endless'
  /** What the JWK set has beside the keys. */
  readonly extra: JWK[]
  /** What the discovery document says instead. */
  discovery: Record<string, unknown>
  /** Signs with the newest key. Valid for an hour from `nowMs` on. */
  token(claims?: JWTPayload, options?: TokenOptions): Promise<string>
  /** From now on tokens are signed with a new key. The old ones stay in the set unless `dropOld`. */
  rotate(alg?: Alg, dropOld?: boolean): Promise<void>
  /** The private keys, newest last. */
  readonly keys: readonly { readonly kid: string; readonly alg: Alg; readonly privateKey: CryptoKey }[]
}

export interface TokenOptions {
  readonly nowMs?: number
  readonly header?: Readonly<Record<string, unknown>>
}

export async function openTokenIssuer(alg: Alg = 'ES256'): Promise<TokenIssuer> {
  const keys: { kid: string; alg: Alg; privateKey: CryptoKey; jwk: JWK }[] = []
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    answer(request.url ?? '', response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let published: JWK[] = []

  const issuer: TokenIssuer = {
    url,
    asked,
    mood: 'up',
    extra: [],
    discovery: {},
    keys,
    async rotate(next = 'ES256', dropOld = false) {
      const { privateKey, publicKey } = await generateKeyPair(next, { extractable: true })
      const kid = `key-${keys.length + 1}`
      const jwk = { ...(await exportJWK(publicKey)), kid, alg: next, use: 'sig' }
      keys.push({ kid, alg: next, privateKey, jwk })
      published = dropOld ? [jwk] : [...published, jwk]
    },
    token(claims = {}, { nowMs = Date.now(), header = {} } = {}) {
      const key = keys.at(-1)
      if (key === undefined) throw new Error('no key yet')
      const seconds = Math.floor(nowMs / 1000)
      const payload = { iss: url, sub: 'somebody', iat: seconds, exp: seconds + 3600, ...claims }
      return new SignJWT(payload).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey)
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }

  function answer(path: string, response: ServerResponse): void {
    switch (issuer.mood) {
      case 'hang':
        return
      case 'down':
        response.socket?.resetAndDestroy()
        return
      case 'broken':
        response.end('<html>')
        return
      case 'endless': {
        const more = () => {
          while (!response.destroyed && response.write(' '.repeat(65_536)));
        }
        response.on('drain', more)
        more()
        return
      }
      case 'up': {
        const isDiscovery = path === '/.well-known/openid-configuration'
        const said = isDiscovery
          ? { issuer: url, jwks_uri: `${url}/keys`, ...issuer.discovery }
          : { keys: [...issuer.extra, ...published] }
        response.setHeader('content-type', 'application/json').end(JSON.stringify(said))
      }
    }
  }

  await issuer.rotate(alg)
  return issuer
}
