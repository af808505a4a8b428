import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { exportJWK } from 'jose'
import { fetchDocument } from '../../../broker/auth/fetch-document.ts'
import type { FetchDocument } from '../../../broker/auth/issuer-keys.ts'
import { openVerifier, type Verified, type Verifier } from '../../../broker/auth/verifier.ts'
import { silentLog } from '../../../runtime/log.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { openTokenIssuer, type TokenIssuer } from '../../support/token-issuer.ts'

const HERE = 'here'

interface Setup extends AsyncDisposable {
  readonly issuer: TokenIssuer
  readonly clock: ManualClock
  readonly verifier: Verifier
  verify(token: string, audience?: string): Promise<string>
  /** A token for HERE, by the clock of the test. */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>
}

async function setup(
  more: { fetch?: FetchDocument; issuers?: (url: string) => readonly string[] } = {},
): Promise<Setup> {
  const issuer = await openTokenIssuer()
  const clock = new ManualClock()
  const verifier = openVerifier({
    clock,
    log: silentLog,
    fetch: more.fetch ?? fetchDocument,
    issuers: () => more.issuers?.(issuer.url) ?? [issuer.url],
  })
  return {
    issuer,
    clock,
    verifier,
    verify: async (token, audience = HERE) => words(await verifier.verify(token, audience)),
    token: (claims = {}, header = {}) => issuer.token({ aud: HERE, ...claims }, { nowMs: clock.nowMs(), header }),
    [Symbol.asyncDispose]: () => issuer[Symbol.asyncDispose](),
  }
}

function words(verified: Verified): string {
  return verified.kind === 'refused' ? verified.reason : verified.kind === 'busy' ? 'busy' : `is ${verified.subject}`
}

test('a token of the issuer, for this audience, tells who sends', async () => {
  await using s = await setup()
  assert.equal(await s.verify(await s.token({ sub: 'system:serviceaccount:a:b' })), 'is system:serviceaccount:a:b')
  assert.equal(await s.verify(await s.token({ aud: ['x', HERE], sub: 'c' })), 'is c')
})

for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) {
  test(`${alg} is taken`, async () => {
    await using s = await setup()
    await s.issuer.rotate(alg, true)
    assert.equal(await s.verify(await s.token()), 'is somebody')
  })
}

test('a token that is known costs no promise and no question', async () => {
  await using s = await setup()
  const token = await s.token()
  await s.verify(token)
  const asked = s.issuer.asked.length
  assert.deepEqual(s.verifier.verify(token, HERE), { kind: 'identity', subject: 'somebody' })
  assert.equal(s.issuer.asked.length, asked)
})

test('many requests with one new token ask once', async () => {
  await using s = await setup()
  const token = await s.token()
  const found = await Promise.all(Array.from({ length: 300 }, () => s.verify(token)))
  assert.deepEqual(new Set(found), new Set(['is somebody']))
  assert.deepEqual(s.issuer.asked, ['/.well-known/openid-configuration', '/keys'])
})

test('a known token still expires, still has its audience, and its issuer still has to count', async () => {
  let issuers: readonly string[] | undefined
  await using s = await setup({ issuers: url => issuers ?? [url] })
  const token = await s.token()
  assert.equal(await s.verify(token), 'is somebody')
  assert.match(await s.verify(token, 'elsewhere'), /not for the audience elsewhere/)
  issuers = []
  assert.match(await s.verify(token), /issuer is not one whose tokens are taken/)
  issuers = undefined
  s.clock.jump(3600_000 + 29_000)
  assert.equal(await s.verify(token), 'is somebody', 'clocks may differ by half a minute')
  s.clock.jump(2_000)
  assert.match(await s.verify(token), /expired/)
  s.clock.jump(-3600_000)
  assert.equal(await s.verify(token), 'is somebody', 'a clock that was set right again is believed')
})

test('what a token lacks is said, and nothing of what is in it', async () => {
  await using s = await setup()
  const now = Math.floor(s.clock.nowMs() / 1000)
  const rows: [Record<string, unknown>, RegExp][] = [
    [{ aud: 'other' }, /not for the audience here/],
    [{ aud: undefined }, /no audience/],
    [{ aud: [1] }, /no audience/],
    [{ aud: Array.from({ length: 101 }, () => HERE) }, /no audience/],
    [{ exp: now - 31 }, /expired/],
    [{ exp: undefined }, /how long/],
    [{ exp: '9999999999' }, /how long/],
    [{ exp: -1 }, /how long/],
    [{ nbf: now + 31 }, /not valid yet/],
    [{ nbf: 'soon' }, /from when on/],
    [{ sub: undefined }, /no subject/],
    [{ sub: '' }, /no subject/],
    [{ sub: 7 }, /no subject/],
    [{ sub: 'x'.repeat(1025) }, /no subject/],
    [{ iss: undefined }, /no issuer/],
    [{ iss: 'https://elsewhere.test' }, /issuer is not one/],
  ]
  for (const [claims, reason] of rows)
    assert.match(await s.verify(await s.token(claims)), reason, JSON.stringify(claims))
  assert.equal(await s.verify(await s.token({ exp: now - 29 })), 'is somebody')
  assert.equal(await s.verify(await s.token({ nbf: now + 29 })), 'is somebody')
})

const b64 = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

test('no algorithm, a shared secret, a foreign key and a forged payload open nothing', async () => {
  await using s = await setup()
  await s.issuer.rotate('RS256')
  const genuine = await s.token()
  const [head = '', payload = '', signature = ''] = genuine.split('.')
  const kid = s.issuer.keys.at(-1)?.kid
  for (const alg of ['none', 'None', 'NONE', '', undefined, 'HS256', 'RS512', 'PS256', 'ES384'])
    assert.match(await s.verify(`${b64({ alg, kid })}.${payload}.${signature}`), /not signed with RS256, ES256, EdDSA/)
  assert.match(await s.verify(`${b64({ alg: 'none' })}.${payload}.`), /not signed with/)

  // The public key taken for a shared secret: the classic confusion.
  const set = (await fetchDocument(`${s.issuer.url}/keys`, AbortSignal.timeout(10_000))) as { keys: unknown[] }
  const published = set.keys.at(-1)
  const secret = JSON.stringify(published)
  const input = `${b64({ alg: 'HS256', kid })}.${payload}`
  const forged = createHmac('sha256', secret).update(input).digest('base64url')
  assert.match(await s.verify(`${input}.${forged}`), /not signed with/)
  // The same with an algorithm that is ours, and with the key of another kind.
  assert.match(await s.verify(`${b64({ alg: 'RS256', kid })}.${payload}.${forged}`), /signature is not/)
  assert.match(await s.verify(`${b64({ alg: 'ES256', kid })}.${payload}.${signature}`), /no such key/)

  await using other = await openTokenIssuer('RS256')
  const foreign = await other.token({ iss: s.issuer.url, aud: HERE }, { nowMs: s.clock.nowMs(), header: { kid } })
  assert.match(await s.verify(foreign), /signature is not/)
  const more = JSON.parse(Buffer.from(payload, 'base64url').toString())
  assert.match(await s.verify(`${head}.${b64({ ...more, sub: 'admin' })}.${signature}`), /signature is not/)
  assert.equal(await s.verify(genuine), 'is somebody')
})

test('a header that asks for what is not known, and what is no token at all, is refused in words', async () => {
  await using s = await setup()
  const [head = '', payload = '', signature = ''] = (await s.token()).split('.')
  const kid = s.issuer.keys.at(-1)?.kid
  const rows: [string, RegExp][] = [
    ['', /no signed JWT/],
    ['a', /no signed JWT/],
    ['a.b', /no signed JWT/],
    ['a.b.c', /no signed JWT/],
    ['..', /no signed JWT/],
    [`${head}.${payload}`, /no signed JWT/],
    [`${head}.${payload}.${signature}.`, /no signed JWT/],
    [`${head}.${payload}.${signature}.a.b`, /no signed JWT/],
    [`${head}.${b64('[]')}.${signature}`, /not a JSON object/],
    [`${head}.${b64('null')}.${signature}`, /not a JSON object/],
    [`${head}.${b64('{')}.${signature}`, /not JSON/],
    [`${head}.!!!.${signature}`, /not JSON/],
    [`${head}.${payload}.`, /signature is not/],
    [`${head}.${payload}.!!`, /signature is not/],
    [`${b64({ alg: 'ES256', kid, crit: ['b64'], b64: false })}.${payload}.${signature}`, /crit/],
    [`${b64({ alg: 'ES256', kid: { x: 1 } })}.${payload}.${signature}`, /key id is no text/],
    [`${b64({ alg: 'ES256', kid: '__proto__' })}.${payload}.${signature}`, /no such key/],
    [`${b64('['.repeat(5000))}.${payload}.${signature}`, /no signed JWT/],
  ]
  for (const [token, reason] of rows) assert.match(await s.verify(token), reason, token.slice(0, 80))
})

test('keys that are none of ours, or no keys, are passed over', async () => {
  await using s = await setup()
  const [first] = s.issuer.keys
  assert.ok(first !== undefined)
  const priv = await exportJWK(first.privateKey)
  s.issuer.extra.push(
    { kty: 'oct', k: 'c2VjcmV0', kid: 'secret', alg: 'HS256' },
    { ...priv, kid: 'private' },
    { kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA', kid: 'broken' },
    { kty: 'EC', crv: 'P-384', x: 'AAAA', y: 'AAAA', kid: 'other-curve' },
    { kty: 'RSA', n: 'AQAB', e: 'AQAB', kid: 'enc', use: 'enc' },
    { kty: 'RSA', n: 'AQAB', e: 'AQAB', kid: 'short' },
  )
  assert.equal(await s.verify(await s.token()), 'is somebody')
  for (const kid of ['private', 'broken', 'secret'])
    assert.match(await s.verify(await s.token({}, { kid })), /no such key/, kid)
})

test('a token without a key id is taken where only one key can be meant', async () => {
  await using s = await setup()
  const bare = () => s.token({}, { kid: undefined })
  assert.equal(await s.verify(await bare()), 'is somebody')
  await s.issuer.rotate('ES256')
  await s.clock.advance(30_000)
  await s.verify(await s.token())
  assert.match(await s.verify(await bare()), /no such key/)
})

test('a new key is found when it is first used, and the tokens of the old one hold on', async () => {
  await using s = await setup()
  const old = await s.token({ sub: 'old' })
  assert.equal(await s.verify(old), 'is old')
  await s.issuer.rotate('ES256')
  const fresh = await s.token({ sub: 'fresh' })
  assert.match(await s.verify(fresh), /no such key; a new key is known within half a minute/)
  await s.clock.advance(30_000)
  assert.equal(await s.verify(fresh), 'is fresh')
  assert.equal(await s.verify(old), 'is old')
})

test('a key that was withdrawn stops counting, for tokens that are known too', async () => {
  await using s = await setup()
  const old = await s.token({ sub: 'old' })
  assert.equal(await s.verify(old), 'is old')
  await s.issuer.rotate('ES256', true)
  await s.clock.advance(600_000)
  assert.equal(await s.verify(old), 'is old', 'it is asked for in the background')
  for (let tries = 0; tries < 100 && (await s.verify(old)) === 'is old'; tries++)
    await new Promise(resolve => setTimeout(resolve, 100))
  assert.match(await s.verify(old), /no such key/)
})

test('a flood of unknown keys asks the issuer once in half a minute', async () => {
  await using s = await setup()
  assert.equal(await s.verify(await s.token()), 'is somebody')
  const asked = s.issuer.asked.length
  const flood = async () => {
    for (let i = 0; i < 100; i++)
      assert.match(await s.verify(await s.token({}, { kid: `made-up-${i}` })), /no such key/)
  }
  await flood()
  assert.equal(s.issuer.asked.length, asked)
  await s.clock.advance(30_000)
  await flood()
  assert.equal(s.issuer.asked.length, asked + 2, 'the discovery document and the keys, once')
})

test('while the issuer is down known keys hold, and an unknown one is refused in words', async () => {
  await using s = await setup()
  const known = await s.token({ sub: 'known' })
  assert.equal(await s.verify(known), 'is known')
  s.issuer.mood = 'down'
  await s.clock.advance(700_000)
  assert.equal(await s.verify(known), 'is known')
  assert.equal(await s.verify(await s.token({ sub: 'another' })), 'is another')
  const unknown = await s.token({}, { kid: 'new' })
  assert.match(
    await s.verify(unknown),
    /its key is not known, and its issuer cannot be asked now \(http.*\); send it again/,
  )
  s.issuer.mood = 'up'
  await s.issuer.rotate('ES256')
  const fresh = await s.token({ sub: 'fresh' })
  await s.clock.advance(5_000)
  assert.equal(await s.verify(fresh), 'is fresh', 'after a failure it is asked again soon')
})

test('an issuer that never answered, answers rubbish, or goes on for ever costs its senders a word, and no more', async () => {
  for (const mood of ['down', 'broken', 'endless'] as const) {
    await using s = await setup()
    s.issuer.mood = mood
    assert.match(await s.verify(await s.token()), /its key is not known, and its issuer cannot be asked now/, mood)
  }
})

test('an issuer that does not answer is given up after five seconds, and whoever waits is told', async () => {
  let aborted = 0
  const fetch: FetchDocument = (_url, signal) => {
    signal.addEventListener('abort', () => aborted++)
    return new Promise(() => {})
  }
  await using s = await setup({ fetch })
  const token = await s.token()
  const told = s.verify(token)
  for (let i = 0; i < 1000 && s.clock.pending === 0; i++) await new Promise(resolve => setTimeout(resolve, 10))
  await s.clock.advance(5_000)
  assert.match(await told, /did not answer within 5 s/)
  assert.equal(aborted, 1)
})

test('more than a few hundred tokens that wait for an issuer are not taken on', async () => {
  await using s = await setup({ fetch: () => new Promise(() => {}) })
  const tokens = await Promise.all(Array.from({ length: 257 }, (_, i) => s.token({ sub: `s${i}` })))
  const found = tokens.map(token => s.verifier.verify(token, HERE))
  assert.deepEqual(found.at(-1), { kind: 'busy' })
  assert.ok(found.slice(0, -1).every(one => one instanceof Promise))
})

test('an issuer may be asked under another name than its tokens have, as an API server is', async () => {
  await using s = await setup()
  s.issuer.discovery = { issuer: 'https://kubernetes.default.svc.cluster.local' }
  assert.equal(await s.verify(await s.token({ iss: 'https://kubernetes.default.svc.cluster.local' })), 'is somebody')
  assert.match(await s.verify(await s.token({ iss: 'https://other' })), /issuer is not one/)
})

test('keys of an https issuer are not fetched over an open line', async () => {
  const asked: string[] = []
  const fetch: FetchDocument = async url => {
    asked.push(url)
    return { issuer: 'https://issuer.test', jwks_uri: 'http://issuer.test/keys' }
  }
  await using s = await setup({ fetch, issuers: () => ['https://issuer.test/'] })
  assert.match(await s.verify(await s.token({ iss: 'https://issuer.test' })), /which is no https address/)
  assert.deepEqual(asked, ['https://issuer.test/.well-known/openid-configuration'])
})
