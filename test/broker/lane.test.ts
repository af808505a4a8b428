import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attempt } from '../../broker/attempt.ts'
import { asleep, failed, ok, openDeliveries as open, ready, refused } from '../support/deliveries.ts'
import { settle } from '../support/manual-clock.ts'
import { FAST, trigger, url } from '../support/running-broker.ts'

const NONE = { total: undefined, perSecond: undefined, adaptive: false, circuit: undefined } as const
const patient = { ...FAST, retries: 100, backoffMs: 10 }
const tooMuch: Attempt = { kind: 'answered', status: 503, tookMs: 1, retryAfterMs: 5000, excerpt: 'later' }

test('no more requests than the total are open, whatever the concurrency', async () => {
  const it = await open([trigger('t', 'http://a', { concurrency: 10, limits: { ...NONE, total: 3 } })])
  await it.append(8)
  assert.equal(it.open.length, 3)
  await it.end(ok)
  assert.equal(it.open.length, 3)
})

test('requests begin at the rate, and a lane that stopped leaves no timer behind', async () => {
  const it = await open([trigger('t', 'http://a', { concurrency: 100, limits: { ...NONE, perSecond: 2 } })])
  await it.append(10)
  assert.equal(it.open.length, 2)
  await it.clock.advance(499)
  assert.equal(it.open.length, 2)
  await it.clock.advance(1)
  assert.equal(it.open.length, 3)
  await it.clock.advance(1000)
  assert.equal(it.open.length, 5)
  while (it.open.length > 0) await it.end(ok)
  await it.delivery.drain(0)
  await it.clock.advance(10_000)
  assert.equal(it.open.length, 0)
})

test('an adaptive lane halves what it has open when that is too much, and heeds Retry-After for all of its events', async () => {
  const it = await open([
    trigger('t', 'http://a', { concurrency: 8, delivery: patient, limits: { ...NONE, adaptive: true } }),
  ])
  await it.append(20)
  assert.equal(it.open.length, 8)
  for (let i = 0; i < 8; i++) await it.end(tooMuch)
  assert.equal(it.open.length, 0)
  assert.deepEqual(it.delivery.backlog()[0]?.stopped, { by: 'asked-to-wait', forMs: 5000 })
  await it.clock.advance(4999)
  assert.equal(it.open.length, 0)
  await it.clock.advance(1)
  assert.equal(it.open.length, 4)
})

test('a subscriber that fails and fails is asked by a tenth as many at once, until it answers with sense', async () => {
  const it = await open([trigger('t', 'http://a', { concurrency: 20, delivery: patient })])
  await it.append(300)
  assert.equal(it.open.length, 20)
  for (let i = 0; i < 99; i++) await it.end(failed)
  await it.end({ kind: 'abandoned', tookMs: 1 })
  assert.equal(it.open.length, 20)
  for (let i = 0; i < 30; i++) await it.end(failed)
  assert.equal(it.open.length, 2)
  await it.end(refused)
  assert.equal(it.open.length, 20)
})

test('an open circuit spares the subscriber, costs no event an attempt, and closes after one that works', async () => {
  const circuit = { failures: 3, waitMs: 60_000 }
  const it = await open([
    trigger('t', 'http://a', { concurrency: 1, delivery: { ...patient, retries: 3 }, limits: { ...NONE, circuit } }),
  ])
  await it.append(5)
  for (let i = 0; i < 3; i++) {
    await it.end(failed)
    if (i < 2) await it.clock.advance(50)
  }
  assert.equal(it.delivery.backlog()[0]?.stopped?.by, 'circuit')
  await it.clock.advance(59_900)
  assert.equal(it.open.length, 0)
  await it.clock.advance(100)
  assert.equal(it.open.length, 1, 'one probe')
  await it.end(failed)
  await it.clock.advance(30_000)
  assert.equal(it.open.length, 0)
  await it.clock.advance(30_000)
  for (let i = 0; i < 5; i++) await it.end(ok)
  const backlog = it.delivery.backlog()[0]
  assert.deepEqual([backlog?.delivered, backlog?.parked, backlog?.stopped], [5, 0, undefined])
})

test('an event that is refused for its own sake opens no circuit', async () => {
  const circuit = { failures: 1, waitMs: 60_000 }
  const it = await open([trigger('t', 'http://a', { concurrency: 1, limits: { ...NONE, circuit } })])
  await it.append(3)
  for (let i = 0; i < 3; i++) await it.end(refused)
  assert.equal(it.delivery.backlog()[0]?.parked, 3)
})

test('dead letters reach their sink while the circuit of the subscriber is open', async () => {
  const circuit = { failures: 1, waitMs: 60_000 }
  const it = await open([
    trigger('t', 'http://a', {
      deadLetter: url('http://sink'),
      delivery: { ...FAST, retries: 0 },
      limits: { ...NONE, circuit },
    }),
  ])
  await it.append(1)
  assert.equal((await it.end(failed)).url, 'http://a')
  assert.equal(it.open[0]?.request.url, 'http://sink')
  assert.equal(it.delivery.backlog()[0]?.stopped?.by, 'circuit')
})

test('a paused Trigger attempts nothing and wakes nobody; what was in flight ends, and resuming takes effect at once', async () => {
  const route = trigger('t', 'http://a', { concurrency: 1 })
  const it = await open([route])
  await it.append(3)
  const apply = (paused: boolean) =>
    it.delivery.apply(it.specs.map(spec => ({ ...spec, route: { ...spec.route, paused } })))
  apply(true)
  await it.end(ok)
  assert.equal(it.open.length, 0)
  assert.deepEqual(it.delivery.backlog()[0]?.stopped, { by: 'pause', forMs: undefined })
  assert.equal(it.delivery.backlog()[0]?.waiting, 2)
  apply(false)
  assert.equal(it.open.length, 1)

  const sleeping = await open([trigger('t', asleep, { paused: true })])
  await sleeping.append(1)
  assert.deepEqual(sleeping.held, [])
})

test('an event with deliverafter goes when its time has come, without an attempt before, and wakes nobody before', async () => {
  const it = await open([trigger('t', asleep, { deliverAfter: 'honour' })])
  await it.append(1, 2, { deliverafter: 'PT1H' })
  assert.deepEqual(it.held, [])
  assert.equal(it.delivery.backlog()[0]?.retrying, 1)
  await it.clock.advance(3_599_000)
  assert.deepEqual(it.held, [])
  await it.clock.advance(61_000)
  assert.deepEqual(it.held, ['shop/t'])
  it.scale(ready)
  assert.equal(it.open.length, 1)
  await it.end(ok)
  assert.equal(it.delivery.backlog()[0]?.failed, 0)
})

test('an expired event is not attempted any more, is counted, and wakes nobody', async () => {
  const it = await open([trigger('t', asleep, { expiry: 'discard' })])
  await it.append(2, 2, { expirytime: '1970-01-01T00:00:00Z' })
  assert.deepEqual(it.held, [])
  assert.equal(it.delivery.readings()[0]?.tally.expired, 2)
  assert.equal(it.store.counts(it.specs[0]?.route.id ?? ('' as never))?.waiting, 0)
})

test('a retry never comes after the event has expired', async () => {
  const delivery = { ...FAST, retries: 5, backoffMs: 60_000 }
  const it = await open([trigger('t', 'http://a', { delivery, expiry: 'dead-letter', deadLetter: url('http://sink') })])
  const soon = new Date(it.clock.nowMs() + 1000).toISOString()
  await it.append(1, 2, { expirytime: soon })
  await it.end(failed)
  await it.clock.advance(1000)
  const sent = it.open[0]?.request
  assert.equal(sent?.url, 'http://sink')
  assert.equal(sent?.event.attributes.knativeerrorcode, '410')
})

const batch = { maxEvents: 4, maxWaitMs: 1000, maxBytes: 1 << 20 }
const batched = (over = {}) => trigger('t', 'http://a', { concurrency: 1, batch, delivery: FAST, ...over })
const idsOf = (request: { readonly batch: readonly { attributes: Readonly<Record<string, string>> }[] | undefined }) =>
  request.batch?.map(event => event.attributes.id)

test('a batch goes when it is full, or when its first event has waited long enough', async () => {
  const it = await open([batched()])
  await it.append(3)
  assert.equal(it.open.length, 0)
  await it.clock.advance(999)
  assert.equal(it.open.length, 0)
  await it.clock.advance(1)
  assert.deepEqual(idsOf(await it.end(ok)), ['0', '1', '2'])
  await it.append(5)
  assert.deepEqual(idsOf(await it.end(ok)), ['0', '1', '2', '3'])
  assert.equal(it.open.length, 0)
  await it.clock.advance(1000)
  assert.deepEqual(idsOf(await it.end(ok)), ['4'])
  assert.equal(it.delivery.backlog()[0]?.delivered, 8)
})

test('a batch is no larger than its bytes allow, and an event that is larger goes alone', async () => {
  const it = await open([batched({ batch: { ...batch, maxBytes: 1000 } })])
  await it.append(1, 5000)
  await it.append(3, 200)
  assert.deepEqual(idsOf(await it.end(ok)), ['0'])
  await it.clock.advance(1000)
  assert.equal(idsOf(await it.end(ok))?.length, 2)
})

test('a batch that is refused is halved until the bad event is alone: the others are delivered, it alone is parked', async () => {
  const it = await open([batched({ batch: { ...batch, maxEvents: 8 } })])
  await it.append(8)
  const sizes: number[] = []
  while (it.open.length > 0) {
    const ids = idsOf(it.open[0]?.request ?? { batch: undefined }) ?? []
    sizes.push(ids.length)
    await it.end(ids.includes('5') ? refused : ok)
  }
  assert.deepEqual(
    sizes,
    [8, 4, 4, 2, 2, 1, 1].sort((a, b) => b - a),
  )
  const backlog = it.delivery.backlog()[0]
  assert.deepEqual([backlog?.delivered, backlog?.parked, backlog?.inFlight], [7, 1, 0])
})

test('a batch that cannot be delivered now is retried as one; each time in smaller company', async () => {
  const it = await open([batched({ delivery: { ...FAST, retries: 9, backoffMs: 100 } })])
  await it.append(4)
  await it.end(failed)
  assert.equal(it.open.length, 0)
  await it.clock.advance(2000)
  assert.equal(idsOf(await it.end(failed))?.length, 2)
  assert.equal(idsOf(await it.end(ok))?.length, 2)
  await it.clock.advance(3000)
  assert.equal(idsOf(await it.end(ok))?.length, 1)
  assert.equal(idsOf(await it.end(ok))?.length, 1)
  assert.equal(it.delivery.backlog()[0]?.delivered, 4)
})

test('events that are not equally far do not share a request', async () => {
  const delivery = { ...FAST, retries: 9, backoffMs: 100 }
  const it = await open([batched({ batch: { ...batch, maxEvents: 8 }, delivery })])
  await it.append(2)
  await it.clock.advance(1000)
  await it.end(failed)
  await it.append(3)
  await it.clock.advance(2000)
  const sizes: (number | undefined)[] = []
  while (it.open.length > 0) sizes.push(idsOf(await it.end(ok))?.length)
  assert.deepEqual(sizes, [2, 3])
})

test('halves that were not sent yet go back to the store when the broker stops', async () => {
  const it = await open([batched()])
  await it.append(4)
  const draining = it.delivery.drain(1000)
  await it.end(refused)
  await draining
  const halved = await open([batched()])
  await halved.append(4)
  await halved.end(refused)
  const last = halved.delivery.drain(1000)
  await halved.end(ok)
  await last
  assert.deepEqual([halved.delivery.backlog()[0]?.inFlight, halved.delivery.backlog()[0]?.waiting], [0, 2])
  assert.deepEqual([it.delivery.backlog()[0]?.inFlight, it.delivery.backlog()[0]?.waiting], [0, 4])
})

test('a Trigger that no longer asks for batches gets its events one by one, those of a halved batch included', async () => {
  const it = await open([batched()])
  await it.append(4)
  it.delivery.apply(it.specs.map(spec => ({ ...spec, route: { ...spec.route, batch: undefined } })))
  await it.end(refused)
  let requests = 0
  while (it.open.length > 0) {
    requests++
    await it.end(ok)
  }
  await it.append(1)
  assert.equal((await it.end(ok)).batch, undefined)
  assert.equal(it.delivery.backlog()[0]?.delivered, 5)
  assert.ok(requests >= 2)
})

test('an expired event goes to its sink while the subscriber sleeps, and wakes nobody', async () => {
  const it = await open([trigger('t', asleep, { expiry: 'dead-letter', deadLetter: url('http://sink') })])
  await it.append(3, 2, { expirytime: '1970-01-01T00:00:00Z' })
  for (let i = 0; i < 3; i++) assert.equal((await it.end(ok)).url, 'http://sink')
  assert.deepEqual(it.held, [])
  assert.equal(it.delivery.backlog()[0]?.deadLettered, 3)
  await it.append(1)
  assert.ok(it.held.length >= 1)
})

test('a time that cannot be read is said once, and its event goes at once', async () => {
  const it = await open([trigger('t', 'http://a', { deliverAfter: 'honour' })])
  await it.append(1)
  assert.equal(it.delivery.backlog()[0]?.notice, undefined)
  await it.append(1, 2, { deliverafter: 'tomorrow' })
  assert.equal(it.open.length, 2)
  assert.match(it.delivery.backlog()[0]?.notice ?? '', /deliverafter "tomorrow"/)
})

test('who asks what is held is not told of a Trigger that is paused', async () => {
  const it = await open([trigger('t', asleep)])
  await it.append(1)
  const told = it.held.length
  assert.ok(told >= 1)
  const apply = (paused: boolean) =>
    it.delivery.apply(it.specs.map(spec => ({ ...spec, route: { ...spec.route, paused } })))
  apply(true)
  await it.append(1)
  const late: string[] = []
  it.delivery.onHeld(id => late.push(id))
  await settle()
  assert.deepEqual([it.held.length, late], [told, []])
  apply(false)
  assert.deepEqual(late, ['shop/t'])
})

test('halves of a batch go back to wait when their Trigger is paused', async () => {
  const it = await open([batched()])
  await it.append(4)
  await it.end(refused)
  const apply = (paused: boolean) =>
    it.delivery.apply(it.specs.map(spec => ({ ...spec, route: { ...spec.route, paused } })))
  apply(true)
  assert.deepEqual([it.delivery.backlog()[0]?.inFlight, it.delivery.backlog()[0]?.waiting], [2, 2])
  await it.end(refused)
  assert.deepEqual([it.delivery.backlog()[0]?.inFlight, it.delivery.backlog()[0]?.waiting], [0, 4])
  apply(false)
  assert.equal(it.open.length, 1)
})

test('a deferral is no attempt: nothing is counted as failed, nothing is kept of it, and the event comes back', async () => {
  const it = await open([trigger('t', 'http://a', { delivery: { ...FAST, retries: 0 } })])
  await it.append(1)
  for (let i = 0; i < 3; i++) {
    await it.end({ ...failed, verdict: 'defer', retryAfterMs: 2000 } as Attempt)
    await it.clock.advance(1999)
    assert.equal(it.open.length, 0)
    await it.clock.advance(1)
  }
  const { tally } = it.delivery.readings()[0] ?? {}
  assert.deepEqual([tally?.failed, tally?.lastError, tally?.attempts.deferred], [0, undefined, 3])
  assert.deepEqual((await it.store.archive.event(1))?.deliveries[0]?.attempts, [])
  await it.end(ok)
  assert.equal(it.delivery.backlog()[0]?.delivered, 1)
})

test('failures that come in after the circuit opened neither prolong its pause nor let a second probe out', async () => {
  const circuit = { failures: 2, waitMs: 10_000 }
  const it = await open([trigger('t', 'http://a', { concurrency: 4, delivery: patient, limits: { ...NONE, circuit } })])
  await it.append(4)
  await it.end(failed)
  await it.end(failed)
  await it.clock.advance(9000)
  await it.end(failed)
  await it.clock.advance(1000)
  assert.equal(it.open.length, 2, 'one from before, and the probe')
  await it.end(failed)
  await it.clock.advance(60_000)
  assert.equal(it.open.length, 1, 'the probe')
  assert.equal(it.delivery.readings()[0]?.tally.circuitOpened, 1)
})
