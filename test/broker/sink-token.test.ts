import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TokenSource } from '../../contract/tokens.ts'
import { openClient, requestTo } from '../support/deliverer.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openRunning, routes, trigger } from '../support/running-broker.ts'
import { answering, answerOk, eventually, openSubscriber } from '../support/subscriber.ts'

const never = new AbortController().signal
const CANARY = 'canary-of-a-token'
const trust = { audience: 'orders', subject: 'system:serviceaccount:shop:t' }

/** Tokens that are counted: `<subject> for <audience> <how often it was renewed>`. */
function openSource(later = false): TokenSource & { readonly refreshed: string[] } {
  const refreshed: string[] = []
  return {
    refreshed,
    token(audience, subject = 'weir') {
      const token = `${CANARY} ${subject} for ${audience} ${refreshed.length}`
      return later ? Promise.resolve(token) : token
    },
    refresh: (audience, subject = 'weir') => void refreshed.push(`${subject} for ${audience}`),
  }
}

test('a sink with an audience gets a token for it that speaks for the Trigger, other sinks get none', async () => {
  await using peer = await openSubscriber()
  for (const later of [false, true]) {
    await using client = openClient({ tokens: openSource(later) })
    assert.equal((await client.deliver(requestTo(peer.origin, { trust }), never)).kind, 'delivered')
    const anybody = { audience: 'orders' }
    await client.deliver(requestTo(peer.origin, { trust: anybody, wantsReply: false }), never)
    await client.deliver(requestTo(peer.origin), never)
    await client.deliver(requestTo(peer.origin, { trust: {} }), never)
  }
  const bearers = peer.received.map(({ headers }) => headers.authorization)
  const mine = `Bearer ${CANARY} system:serviceaccount:shop:t for orders 0`
  const ours = `Bearer ${CANARY} weir for orders 0`
  assert.deepEqual(bearers, [mine, ours, undefined, undefined, mine, ours, undefined, undefined])
})

test('nothing is sent without a token, and the words say what to do', async () => {
  await using peer = await openSubscriber()
  const none: TokenSource = { token: () => undefined, refresh() {} }
  const soon: TokenSource = { token: async () => undefined, refresh() {} }
  for (const tokens of [undefined, none, soon]) {
    await using client = openClient({ tokens })
    const result = await client.deliver(requestTo(peer.origin, { trust }), never)
    assert(result.kind === 'unreachable' && result.cause === 'token', JSON.stringify(result))
    assert.match(result.reason, /audience orders\), and .*: turn OIDC on .*, or take the audience from the sink/)
  }
  assert.equal(peer.received.length, 0)
})

test('a token that does not come is waited for until the deadline, and not beyond the signal', async () => {
  await using peer = await openSubscriber()
  const clock = new ManualClock()
  const hanging: TokenSource = { token: () => new Promise(() => {}), refresh() {} }
  await using client = openClient({ clock, tokens: hanging })
  const late = client.deliver(requestTo(peer.origin, { trust, timeoutMs: 1000 }), never)
  await clock.advance(1000)
  const result = await late
  assert(result.kind === 'unreachable' && result.cause === 'token' && result.tookMs === 1000, JSON.stringify(result))
  const stop = new AbortController()
  const given = client.deliver(requestTo(peer.origin, { trust }), stop.signal)
  stop.abort()
  assert.equal((await given).kind, 'abandoned')
  assert.equal((await client.deliver(requestTo(peer.origin, { trust }), stop.signal)).kind, 'abandoned')
  assert.equal(clock.pending, 0)
  assert.equal(peer.received.length, 0)
})

test('what a token took counts: the answer has the rest of the time', async () => {
  await using peer = await openSubscriber(() => {})
  const clock = new ManualClock()
  const { promise, resolve } = Promise.withResolvers<string>()
  await using client = openClient({ clock, tokens: { token: () => promise, refresh() {} } })
  const attempt = client.deliver(requestTo(peer.origin, { trust, timeoutMs: 1000 }), never)
  await clock.advance(600)
  resolve('t')
  await peer.reached(1)
  await clock.advance(400)
  const result = await attempt
  assert(result.kind === 'unreachable' && result.cause === 'timeout' && result.tookMs === 1000, JSON.stringify(result))
})

test('a token that the sink does not take is renewed once, within the attempt', async () => {
  await using peer = await openSubscriber((received, response) => {
    const renewed = String(received.headers.authorization).endsWith(' 1')
    if (renewed) answerOk(received, response)
    else response.writeHead(401).end()
  })
  for (const later of [false, true]) {
    const tokens = openSource(later)
    await using client = openClient({ tokens })
    const results = [1, 2].map(() => client.deliver(requestTo(peer.origin, { trust }), never))
    for (const result of await Promise.all(results)) assert.equal(result.kind, 'delivered', JSON.stringify(result))
    assert.deepEqual(tokens.refreshed, ['system:serviceaccount:shop:t for orders'])
  }
})

test('a sink that takes no token at all is asked twice and answers 401', async () => {
  await using peer = await openSubscriber(answering(401, {}, 'no'))
  await using client = openClient({ tokens: openSource() })
  const result = await client.deliver(requestTo(peer.origin, { trust }), never)
  assert.ok(result.kind === 'answered' && result.status === 401 && result.excerpt === 'no')
  assert.equal(peer.received.length, 2)
  // The same token once more would change nothing.
  await using stubborn = openClient({ tokens: { token: () => 't', refresh() {} } })
  await stubborn.deliver(requestTo(peer.origin, { trust }), never)
  assert.equal(peer.received.length, 3)
})

test('no new token after a 401 is no verdict of the sink: the attempt can be made again', async () => {
  await using peer = await openSubscriber(answering(401))
  let given = 0
  const tokens: TokenSource = { token: () => (given++ === 0 ? 't' : undefined), refresh() {} }
  await using client = openClient({ tokens })
  const result = await client.deliver(requestTo(peer.origin, { trust }), never)
  assert.ok(result.kind === 'unreachable' && result.cause === 'token', JSON.stringify(result))
})

test('a 401 without an audience renews nothing', async () => {
  await using peer = await openSubscriber(answering(401))
  const tokens = openSource()
  await using client = openClient({ tokens })
  const result = await client.deliver(requestTo(peer.origin), never)
  assert.ok(result.kind === 'answered' && result.status === 401)
  assert.deepEqual([peer.received.length, tokens.refreshed.length], [1, 0])
})

test('a token goes to its sink and nowhere else, and is told to nobody', async () => {
  await using elsewhere = await openSubscriber()
  await using sink = await openSubscriber()
  await using peer = await openSubscriber(answering(307, { location: elsewhere.origin }, 'moved'))
  const told: unknown[] = []
  await using running = await openRunning({}, { tokens: openSource() })
  const route = trigger(
    't',
    { kind: 'url', address: peer.origin, trust },
    {
      deadLetter: { kind: 'url', address: sink.origin, trust: { audience: 'letters' } },
    },
  )
  await running.broker.apply(routes([route]))
  running.broker.journal.watch(changed => void told.push(...changed))
  await running.post()
  await sink.reached(1)
  await eventually(() => told.length > 0, 'the journal tells it')
  assert.match(String(peer.received[0]?.headers.authorization), /for orders/)
  assert.match(String(sink.received[0]?.headers.authorization), /weir for letters/)
  assert.equal(elsewhere.received.length, 0)
  const { authorization, ...rest } = sink.received[0]?.headers ?? {}
  const everything = JSON.stringify([told, running.logged, running.broker.backlog.read(), rest])
  assert.doesNotMatch(everything, new RegExp(CANARY))
  assert.ok(authorization !== undefined)
})
