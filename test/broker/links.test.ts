import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openVerifier } from '../../broker/auth/verifier.ts'
import type { TriggerRoute, Trust } from '../../contract/routes.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { openIssuer } from '../../standalone/issuer.ts'
import { openClient, plainEvent, requestTo } from '../support/deliverer.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openRunning, type Running, routes, trigger } from '../support/running-broker.ts'
import { answering, answerOk, eventually, openSubscriber, type Received } from '../support/subscriber.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
/** As for a Trigger without `delivery`; the timeout is longer than a step of the clock. */
const ABOUT_A_DAY = {
  ...trigger('t', '').delivery,
  retries: 155,
  backoffMs: 200,
  backoffMaxMs: 10 * MINUTE_MS,
  timeoutMs: 30 * MINUTE_MS,
}

function doorOf({ broker }: Running): string {
  return `${broker.origin}/shop/main`
}

async function accepted(...brokers: readonly Running[]): Promise<number> {
  return brokers.flatMap(({ broker }) => broker.counters()).reduce((sum, one) => sum + one.accepted, 0)
}

test('a link to another Broker that is down for a day brings everything afterwards, in order per key', async () => {
  await using subscriber = await openSubscriber()
  const clock = new ManualClock()
  await using near = await openRunning({}, { clock })
  const before = await openRunning()
  const { port } = new URL(before.broker.origin)
  const link = trigger('link', doorOf(before), { order: 'partitionkey', delivery: ABOUT_A_DAY, concurrency: 4 })
  await before[Symbol.asyncDispose]()
  await near.broker.apply(routes([link]))

  const keys = ['a', 'b', 'c']
  const reading = () => near.broker.backlog.read()[0]
  const pass = async (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += MINUTE_MS) {
      await eventually(() => reading()?.inFlight === 0, 'attempts end')
      await clock.advance(MINUTE_MS)
    }
  }
  for (let i = 0; i < 15; i++) {
    const headers = { 'ce-partitionkey': keys[i % keys.length] ?? '' }
    assert.equal(await near.post({ id: String(i), headers }), 202)
    // Retries of what came earlier and of what came later are out of step from now on.
    await pass(19 * MINUTE_MS)
  }
  await pass(DAY_MS - 15 * 19 * MINUTE_MS)
  assert.ok((reading()?.failed ?? 0) > 100, 'it was tried all day')

  await using far = await openRunning({ port: Number(port) })
  await far.broker.apply(routes([trigger('t', subscriber.origin, { order: 'partitionkey' })]))
  await pass(10 * MINUTE_MS)
  await eventually(() => reading()?.delivered === 15 && subscriber.received.length >= 15, 'everything arrives')
  for (const [at, key] of keys.entries()) {
    const ids = subscriber.received.filter(one => one.headers['ce-partitionkey'] === key).map(idOf)
    assert.deepEqual(
      ids,
      [0, 3, 6, 9, 12].map(i => String(i + at)),
    )
  }
  assert.deepEqual([reading()?.parked, reading()?.delivered], [0, 15])
})

function idOf({ headers }: Received): string {
  return String(headers['ce-id'])
}

test('a Broker that takes events from known senders only takes those of a Trigger that names its audience', async () => {
  await using subscriber = await openSubscriber()
  using issuer = openIssuer({ clock: systemClock, keyFile: undefined, say() {}, onReady() {} })
  issuer.at('http://127.0.0.1:1')
  issuer.prepare()
  const issuers = () => (issuer.url === undefined ? [] : [issuer.url])
  const fetch = async (url: string) => issuer.document(url)
  const verifier = openVerifier({ clock: systemClock, log: silentLog, issuers, fetch })
  await using far = await openRunning({}, { verifier })
  const subject = 'system:serviceaccount:shop:link'
  const policies = [{ name: 'EventPolicy/shop/links', subjects: [subject], filters: [] }]
  const access = { audience: 'far', policies, otherwise: 'deny-all' } as const
  const [broker] = routes([trigger('t', subscriber.origin)]).brokers
  assert.ok(broker !== undefined)
  await far.broker.apply({ brokers: [{ ...broker, access }], endpoints: {} })

  await using near = await openRunning({}, { tokens: issuer })
  const to = (trust?: Trust) => ({ kind: 'url', address: doorOf(far), ...(trust && { trust }) }) as const
  const links = [to(), to({ audience: 'another', subject }), to({ audience: 'far' }), to({ audience: 'far', subject })]
  await near.broker.apply(routes(links.map((target, i) => trigger(`link-${i}`, target))))
  await near.post({ id: 'once' })
  await subscriber.reached(1)
  const settled = () => near.broker.backlog.read().filter(({ parked, delivered }) => parked + delivered === 1)
  await eventually(() => settled().length === links.length, 'every link is settled')
  const errors = near.broker.backlog.read().map(({ lastError }) => lastError?.slice(0, 3))
  assert.deepEqual(errors, ['401', '401', '403', undefined])
  assert.deepEqual(subscriber.received.map(idOf), ['once'])
  assert.equal(subscriber.received[0]?.headers.authorization, undefined)
})

test('an event that runs in a circle of two Brokers comes to an end, and somebody can see it', async () => {
  await using one = await openRunning()
  await using two = await openRunning()
  const link = (to: Running, over: Partial<TriggerRoute> = {}) => routes([trigger('link', doorOf(to), over)])
  await one.broker.apply(link(two))
  await two.broker.apply(link(one))
  await one.post()
  const parked = () => [one, two].reduce((sum, { broker }) => sum + (broker.backlog.read()[0]?.parked ?? 0), 0)
  await eventually(() => parked() === 1, 'the circle ends', 120_000)
  const passes = await accepted(one, two)
  // Each learns with its first answer that the other one is a Broker: until then the count begins anew.
  assert.ok(passes > 100 && passes <= 2 * 255, `${passes} passes`)
  const errors = [one, two].map(({ broker }) => broker.backlog.read()[0]?.lastError ?? '')
  assert.ok(
    errors.some(error => error.startsWith('400')),
    errors.join(),
  )
})

test('a batch that runs in a circle comes to an end too', async () => {
  await using one = await openRunning()
  const batch = { maxEvents: 2, maxWaitMs: 1, maxBytes: 1 << 16 }
  await one.broker.apply(routes([trigger('self', doorOf(one), { batch })]))
  await one.post()
  await eventually(() => one.broker.backlog.read()[0]?.parked === 1, 'the circle ends', 120_000)
  assert.ok((await accepted(one)) <= 2 * 255)
})

test('what is told to Brokers is told to nobody else', async () => {
  const doors = [
    [answering(202, { allow: 'POST, OPTIONS' }), '7'],
    [answering(200, { allow: 'POST, OPTIONS' }), undefined],
    [answering(202, { allow: 'POST' }), undefined],
    [answering(202), undefined],
    [answerOk, undefined],
  ] as const
  for (const [answer, hops] of doors) {
    await using peer = await openSubscriber(answer)
    await using client = openClient()
    for (let i = 0; i < 2; i++) {
      await client.deliver(requestTo(peer.origin, { hops: 7 }), new AbortController().signal)
    }
    const seen = peer.received.map(({ headers }) => headers['ce-knativebrokerttl'])
    assert.deepEqual(seen, [undefined, hops])
  }
  assert.equal('knativebrokerttl' in plainEvent.attributes, false)
})

test('an address stays that of a Broker while its connections come and go', async () => {
  await using peer = await openSubscriber(answering(202, { allow: 'POST, OPTIONS' }))
  const clock = new ManualClock()
  await using client = openClient({ clock })
  const send = () => client.deliver(requestTo(peer.origin, { hops: 7 }), new AbortController().signal)
  await send()
  await clock.advance(10 * MINUTE_MS)
  await send()
  assert.equal(peer.received[1]?.headers['ce-knativebrokerttl'], '7')
})
