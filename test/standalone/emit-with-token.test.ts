import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openHttpSink } from '../../adapters/http-sink.ts'
import { openVerifier } from '../../broker/auth/verifier.ts'
import { brokerId } from '../../contract/ids.ts'
import { PLAIN_BROKER } from '../../contract/routes.ts'
import { noAttributes } from '../../event/attributes.ts'
import { writeHttpEvent } from '../../event/http.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { openIssuer } from '../../standalone/issuer.ts'
import { openRunning } from '../support/running-broker.ts'

test('what an adapter of this process sends with a token of the local issuer is taken by the Broker', async () => {
  const audience = 'eventing.knative.dev/broker/shop/main'
  const issuer = openIssuer({ clock: systemClock, keyFile: undefined, say() {}, onReady() {} })
  issuer.at('http://127.0.0.1:1') // Nobody listens there: its documents need no network.
  const fetch = async (url: string) => issuer.document(url)
  const verifier = openVerifier({
    clock: systemClock,
    log: silentLog,
    fetch,
    issuers: () => (issuer.url === undefined ? [] : [issuer.url]),
  })
  await using running = await openRunning({}, { verifier })
  const subjects = ['system:serviceaccount:shop:orders']
  const access = { audience, policies: [{ name: 'p', subjects, filters: [] }], otherwise: 'deny-all' as const }
  const id = brokerId('shop', 'main')
  await running.broker.apply({
    brokers: [{ id, uid: 'u', store: 'durable', triggers: [], ...PLAIN_BROKER, access }],
    endpoints: {},
  })
  const open = (subject: string) =>
    openHttpSink(`${running.broker.origin}/shop/main`, {
      clock: systemClock,
      random: () => 0,
      log: silentLog,
      onTrouble() {},
      credential: {
        token: () => issuer.token(audience, subject),
        refresh: () => issuer.refresh(audience, subject),
      },
    })
  const attributes = Object.assign(noAttributes(), { specversion: '1.0', id: '1', source: '/s', type: 't' })
  const event = { mode: 'binary', attributes, body: Buffer.from('x') } as const
  const message = { ...writeHttpEvent(event, undefined), id: '1' }
  const once = { attempts: 1, delayMs: () => 0, timeoutMs: 30_000, retryAfterMaxMs: 0 }
  const { signal } = new AbortController()
  await using known = open('system:serviceaccount:shop:orders')
  assert.deepEqual(await known.offer(message, once, signal), { kind: 'stored' })
  await using stranger = open('system:serviceaccount:shop:another')
  const refused = await stranger.offer(message, once, signal)
  assert.equal(refused.kind === 'refused' && refused.status, 403)
})
