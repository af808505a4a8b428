import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fetchDocument } from '../../../broker/auth/fetch-document.ts'
import { openVerifier } from '../../../broker/auth/verifier.ts'
import type { BrokerConfig } from '../../../broker/config.ts'
import { brokerId } from '../../../contract/ids.ts'
import { type Access, type AccessPolicy, PLAIN_BROKER } from '../../../contract/routes.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { answers, exchange } from '../../support/raw-http.ts'
import { openRunning, type Running, routes } from '../../support/running-broker.ts'
import { openTokenIssuer, type TokenIssuer } from '../../support/token-issuer.ts'

const AUDIENCE = 'eventing.knative.dev/broker/shop/main'
const OURS = 'system:serviceaccount:shop:orders'

interface Guarded extends AsyncDisposable {
  readonly running: Running
  readonly issuer: TokenIssuer
  /** Posts one event with these headers; status, challenge and the problem. */
  post(headers?: Record<string, string>, type?: string): Promise<Told>
  /** With a token for the Broker. */
  postAs(sub: string, type?: string): Promise<Told>
  apply(access: Access | undefined): Promise<void>
}

interface Told {
  readonly status: number
  readonly challenge: string | null
  readonly code: string | undefined
  readonly detail: string
}

async function openGuarded(
  access: Partial<Access> = {},
  over: Partial<BrokerConfig> = {},
  verifies = true,
): Promise<Guarded> {
  const issuer = await openTokenIssuer()
  const deps = { clock: systemClock, log: silentLog, fetch: fetchDocument, issuers: () => [issuer.url] }
  const running = await openRunning(over, verifies ? { verifier: openVerifier(deps) } : {})
  const apply = (given: Access | undefined) =>
    running.broker.apply({
      brokers: [
        { id: brokerId('shop', 'main'), uid: 'u', store: 'durable', triggers: [], ...PLAIN_BROKER, access: given },
      ],
      endpoints: {},
    })
  await apply({ audience: AUDIENCE, policies: [], otherwise: 'allow-same-namespace', ...access })
  const post = async (headers: Record<string, string> = {}, type = 'order') => {
    const attributes = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': type }
    return told(
      await fetch(`${running.broker.origin}/shop/main`, {
        method: 'POST',
        headers: { ...attributes, ...headers },
        body: 'x',
      }),
    )
  }
  return {
    running,
    issuer,
    post,
    postAs: async (sub, type) => post(bearer(await issuer.token({ sub, aud: AUDIENCE })), type),
    apply,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]()
      await issuer[Symbol.asyncDispose]()
    },
  }
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` }
}

async function told(response: Response): Promise<Told> {
  const text = await response.text()
  const { code, detail = '' } = text === '' ? {} : JSON.parse(text)
  return { status: response.status, challenge: response.headers.get('www-authenticate'), code, detail }
}

function accepted({ running }: Guarded): number {
  return running.broker.counters()[0]?.accepted ?? 0
}

test('a sender that is known and may send is answered 202, and its event is stored', async () => {
  await using door = await openGuarded()
  assert.equal((await door.postAs(OURS)).status, 202)
  assert.equal((await door.postAs(OURS)).status, 202)
  assert.equal(accepted(door), 2)
})

test('without a token the answer is 401 and names the audience that a token needs', async () => {
  await using door = await openGuarded()
  const { status, challenge, code, detail } = await door.post()
  assert.equal(status, 401)
  assert.equal(code, 'unauthorized')
  assert.equal(challenge, `Bearer realm="${AUDIENCE}"`)
  assert.match(detail, /Authorization: Bearer/)
  assert.equal(accepted(door), 0)
})

test('each wrong token is answered 401 with what is wrong, and no token is in the answer', async () => {
  await using door = await openGuarded()
  const { issuer } = door
  const nowS = Math.floor(Date.now() / 1000)
  const token = (claims: Record<string, unknown>) => issuer.token({ sub: OURS, aud: AUDIENCE, ...claims })
  const rows: [name: string, authorization: string, error: string, reason: RegExp][] = [
    ['expired', `Bearer ${await token({ exp: nowS - 60 })}`, 'invalid_token', /expired/],
    ['not yet valid', `Bearer ${await token({ nbf: nowS + 3600 })}`, 'invalid_token', /not valid yet/],
    ['wrong audience', `Bearer ${await token({ aud: 'other' })}`, 'invalid_token', /not for the audience/],
    ['foreign issuer', `Bearer ${await token({ iss: 'https://x.test' })}`, 'invalid_token', /issuer is not one/],
    ['no JWT', 'Bearer abc', 'invalid_token', /no signed JWT/],
    ['huge', `Bearer ${'a'.repeat(9000)}`, 'invalid_request', /more than 8192 characters/],
    ['another scheme', 'Basic dXNlcjpwYXNz', 'invalid_request', /not `Bearer` and one token/],
    ['empty', 'Bearer', 'invalid_request', /not `Bearer` and one token/],
    ['two tokens', 'Bearer a b', 'invalid_request', /not `Bearer` and one token/],
  ]
  for (const [name, authorization, error, reason] of rows) {
    const { status, challenge, detail } = await door.post({ authorization })
    assert.equal(status, 401, name)
    assert.match(
      challenge ?? '',
      new RegExp(`^Bearer realm="${AUDIENCE}", error="${error}", error_description="`),
      name,
    )
    assert.match(detail, reason, name)
    const secret = authorization.split(' ')[1]
    if (secret !== undefined && secret.length > 3) assert.ok(!`${detail}${challenge}`.includes(secret), name)
  }
  assert.equal(accepted(door), 0)
  assert.equal(door.running.broker.counters()[0]?.refused, rows.length)
})

test('the scheme is read without regard to case, and two Authorization headers are none', async () => {
  await using door = await openGuarded()
  const token = await door.issuer.token({ sub: OURS, aud: AUDIENCE })
  assert.equal((await door.post({ authorization: `bearer  ${token}` })).status, 202)
  const port = Number(new URL(door.running.broker.origin).port)
  const head = ['POST /shop/main HTTP/1.1', 'host: x', 'connection: close', 'content-length: 0']
  const event = ['ce-specversion: 1.0', 'ce-id: 1', 'ce-source: /s', 'ce-type: t']
  const twice = [`authorization: Bearer ${token}`, `authorization: Bearer ${token}`]
  const [answer] = answers(await exchange(port, `${[...head, ...event, ...twice].join('\r\n')}\r\n\r\n`, 10_000))
  assert.equal(answer?.status, 401)
  assert.match(answer?.body ?? '', /more than one Authorization header/)
})

test('a sender that is known and may not send is answered 403, and told whether it is who or what', async () => {
  const policies: AccessPolicy[] = [
    { name: 'EventPolicy/shop/a', subjects: [OURS], filters: [{ exact: { type: 'order' } }] },
  ]
  await using door = await openGuarded({ policies, otherwise: 'allow-all' })
  assert.equal((await door.postAs(OURS)).status, 202)
  const filtered = await door.postAs(OURS, 'other')
  assert.equal(filtered.status, 403)
  assert.equal(filtered.code, 'forbidden')
  assert.match(filtered.detail, /orders is let in by EventPolicy\/shop\/a, but not with this event/)
  const stranger = await door.postAs('system:serviceaccount:other:x')
  assert.equal(stranger.status, 403)
  assert.match(stranger.detail, /system:serviceaccount:other:x is named by no EventPolicy of this Broker/)
  assert.equal(stranger.challenge, null)
  assert.equal(accepted(door), 1)
})

test('without a policy the default mode decides', async () => {
  await using door = await openGuarded()
  assert.equal((await door.postAs('system:serviceaccount:other:x')).status, 403)
  await door.apply({ audience: AUDIENCE, policies: [], otherwise: 'allow-all' })
  assert.equal((await door.postAs('system:serviceaccount:other:x')).status, 202)
  await door.apply({ audience: AUDIENCE, policies: [], otherwise: 'deny-all' })
  assert.equal((await door.postAs(OURS)).status, 403)
  await door.apply(undefined)
  assert.equal((await door.post()).status, 202, 'OIDC was switched off')
})

test('a broken event is told first, then the Broker that is not there, then who sends', async () => {
  await using door = await openGuarded()
  assert.equal((await door.post({ 'ce-id': '' })).status, 400)
  const nobody = await fetch(`${door.running.broker.origin}/shop/nobody`, {
    method: 'POST',
    headers: { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' },
  })
  assert.equal(nobody.status, 404)
  const looping = { 'ce-knativebrokerttl': '0' }
  assert.equal((await door.post(looping)).status, 401)
  const token = await door.issuer.token({ sub: OURS, aud: AUDIENCE })
  assert.equal((await door.post({ ...looping, ...bearer(token) })).status, 400)
})

test('of a batch all events must be allowed, or none is stored', async () => {
  const policies: AccessPolicy[] = [{ name: 'p', subjects: [OURS], filters: [{ exact: { type: 'order' } }] }]
  await using door = await openGuarded({ policies })
  const batch = async (...types: string[]) => {
    const events = types.map((type, i) => ({ specversion: '1.0', id: String(i), source: '/s', type }))
    const token = await door.issuer.token({ sub: OURS, aud: AUDIENCE })
    const headers = { 'content-type': 'application/cloudevents-batch+json', ...bearer(token) }
    const url = `${door.running.broker.origin}/shop/main`
    return told(await fetch(url, { method: 'POST', headers, body: JSON.stringify(events) }))
  }
  assert.equal((await batch('order', 'other', 'order')).status, 403)
  assert.equal(accepted(door), 0)
  assert.equal((await batch('order', 'order')).status, 202)
  assert.equal(accepted(door), 2)
})

test('a Broker with access in a process that knows no issuer lets nobody in', async () => {
  await using door = await openGuarded({ otherwise: 'allow-all' }, {}, false)
  const { status, code } = await door.postAs(OURS)
  assert.equal(status, 500)
  assert.equal(code, 'no-issuer')
  assert.equal(accepted(door), 0)
})

test('an issuer that cannot be asked makes an unknown key 401 with words, and known keys hold', async () => {
  await using door = await openGuarded()
  assert.equal((await door.postAs(OURS)).status, 202)
  door.issuer.mood = 'down'
  assert.equal((await door.postAs('system:serviceaccount:shop:another')).status, 202)
  await using late = await openGuarded()
  late.issuer.mood = 'down'
  const { status, detail } = await late.postAs(OURS)
  assert.equal(status, 401)
  assert.match(detail, /its issuer cannot be asked now/)
})

test('events that wait for an issuer are held within the bytes that may be on their way', async () => {
  await using door = await openGuarded({}, { inFlightMaxBytes: 3000 })
  door.issuer.mood = 'hang'
  const post = async (sub: string, bytes: number) => {
    const attributes = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' }
    const headers = { ...attributes, ...bearer(await door.issuer.token({ sub, aud: AUDIENCE })) }
    const url = `${door.running.broker.origin}/shop/main`
    return told(await fetch(url, { method: 'POST', headers, body: 'x'.repeat(bytes) }))
  }
  const waiting = post('a', 2500)
  for (let i = 0; i < 500 && door.issuer.asked.length === 0; i++) await new Promise(resolve => setTimeout(resolve, 20))
  const { status, code } = await post('b', 2500)
  assert.equal(status, 503)
  assert.equal(code, 'overloaded')
  assert.equal((await waiting).status, 401)
  door.issuer.mood = 'up'
})

test('nothing of a token is logged', async () => {
  await using door = await openGuarded()
  await door.post(bearer('secret.secret.secret'))
  await door.postAs('system:serviceaccount:other:x')
  assert.ok(!JSON.stringify(door.running.logged).includes('secret'))
})

test('a Broker without access does not look at the Authorization header', async () => {
  await using running = await openRunning()
  await running.broker.apply(routes([]))
  assert.equal(await running.post({ headers: { authorization: 'Bearer nonsense' } }), 202)
})
