import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, jwtVerify } from 'jose'
import { type LocalIssuer, openIssuer, type SigningIssuer } from '../../standalone/issuer.ts'
import { IssuerKeyError } from '../../standalone/issuer-key.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { tempFolder } from './local.ts'

const ORIGIN = 'http://127.0.0.1:9080'
const KEYS = '/openid/v1/jwks'
const DISCOVERY = '/.well-known/openid-configuration'

function open(keyFile?: string, at: string | undefined = ORIGIN) {
  const clock = new ManualClock()
  const said: string[] = []
  const ready: SigningIssuer[] = []
  const issuer = openIssuer({ clock, keyFile, say: text => said.push(text), onReady: one => ready.push(one) })
  if (at !== undefined && at !== '') issuer.at(at)
  return { clock, said, ready, issuer }
}

function read(issuer: LocalIssuer, path: string): Record<string, unknown> | undefined {
  const answer = issuer.documents[path]?.()
  return answer?.kind === 'json' ? (answer.value as Record<string, unknown>) : undefined
}

function keysOf(issuer: LocalIssuer): JSONWebKeySet {
  return read(issuer, KEYS) as unknown as JSONWebKeySet
}

test('a token is that of a ServiceAccount, and another library checks it with the published key', async () => {
  const { issuer, clock } = open()
  const token = await issuer.token('shop-audience', 'system:serviceaccount:shop:orders')
  assert.ok(token !== undefined)
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(keysOf(issuer)), {
    issuer: ORIGIN,
    audience: 'shop-audience',
    currentDate: new Date(clock.nowMs()),
    requiredClaims: ['exp', 'iat', 'nbf', 'sub'],
  })
  assert.equal(payload.sub, 'system:serviceaccount:shop:orders')
  assert.equal(Number(payload.exp) - Number(payload.iat), 3600)
  assert.deepEqual(payload['kubernetes.io'], { namespace: 'shop', serviceaccount: { name: 'orders' } })
  assert.equal(protectedHeader.alg, 'ES256')
  assert.ok(!JSON.stringify(keysOf(issuer)).includes('"d"'), 'only the public part is published')
})

test('the discovery document leads to the keys', async () => {
  const { issuer } = open()
  issuer.prepare()
  const found = read(issuer, DISCOVERY)
  assert.equal(found?.issuer, ORIGIN)
  assert.equal(found?.jwks_uri, `${ORIGIN}${KEYS}`)
  assert.deepEqual(issuer.document(`${ORIGIN}${KEYS}`), read(issuer, KEYS))
  assert.equal(issuer.document('http://elsewhere.test/keys'), undefined)
})

test('where nobody needs tokens there is no key and no document', () => {
  const { issuer, ready } = open()
  assert.equal(issuer.documents[KEYS]?.().kind, 'refused')
  assert.equal(ready.length, 0)
})

test('a token is kept until five minutes before its end, and made anew when it was refused', async () => {
  const { issuer, clock } = open()
  const first = issuer.token('a', 's')
  assert.equal(issuer.token('a', 's'), first)
  assert.notEqual(issuer.token('a', 'another'), first)
  assert.notEqual(issuer.token('b', 's'), first)
  clock.jump(54 * 60_000)
  assert.equal(issuer.token('a', 's'), first)
  clock.jump(2 * 60_000)
  const second = issuer.token('a', 's')
  assert.notEqual(second, first)
  clock.jump(1000)
  issuer.refresh('a', 's')
  assert.notEqual(issuer.token('a', 's'), second)
})

test('a clock that is set back makes no token from the future', () => {
  const { issuer, clock } = open()
  issuer.token('a', 's')
  clock.jump(-86_400_000)
  const token = issuer.token('a', 's')
  assert.ok(typeof token === 'string')
  assert.equal(decodeJwt(token).iat, clock.nowMs() / 1000)
})

test('however many audiences there are, a bounded number of tokens is kept', () => {
  const { issuer, clock } = open()
  const first = issuer.token('audience-0')
  for (let i = 1; i <= 1000; i++) issuer.token(`audience-${i}`)
  clock.jump(1000)
  assert.notEqual(issuer.token('audience-0'), first, 'the oldest went')
  assert.equal(issuer.token('audience-1000'), issuer.token('audience-1000'))
})

test('who asks before the issuer has an address waits for it, and is let go when there will be none', async () => {
  const early = open(undefined, '')
  const token = early.issuer.token('a')
  assert.ok(token instanceof Promise)
  early.issuer.at(ORIGIN)
  assert.equal(decodeJwt((await token) ?? '').iss, ORIGIN)
  assert.equal(early.ready.length, 1)
  const never = open(undefined, '')
  const waiting = never.issuer.token('a')
  never.issuer[Symbol.dispose]()
  assert.equal(await waiting, undefined)
})

test('a key that is kept signs after a restart too, and only its owner can read it', async t => {
  const file = join(tempFolder(t), 'issuer.jwk')
  const before = open(file)
  assert.ok(!existsSync(file), 'it is made when it is needed')
  const token = await before.issuer.token('a')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const after = open(file)
  after.issuer.prepare()
  const { clock } = after
  await jwtVerify(token ?? '', createLocalJWKSet(keysOf(after.issuer)), { currentDate: new Date(clock.nowMs()) })
})

test('a key file that holds no key is an error that names it, and stays as it is', t => {
  const file = join(tempFolder(t), 'issuer.jwk')
  for (const text of ['', '{', '{}', '{"kty":"oct","k":"AAAA"}', '{"kty":"EC","crv":"P-384","x":"","y":"","d":""}']) {
    writeFileSync(file, text)
    assert.throws(
      () => open(file),
      (error: unknown) => error instanceof IssuerKeyError && error.message.includes(file),
    )
    assert.equal(readFileSync(file, 'utf8'), text)
  }
})

test('a folder that cannot be written costs the key after a restart, and says so', async t => {
  const { issuer, said } = open(join(tempFolder(t), 'missing', 'issuer.jwk'))
  assert.ok(await issuer.token('a'))
  assert.match(said.join(), /cannot be kept.*ENOENT/)
})
