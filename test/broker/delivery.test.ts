import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Attempt } from '../../broker/attempt.ts'
import { openMemoryStore } from '../../broker/stores/memory.ts'
import { workloadId } from '../../contract/ids.ts'
import { asleep, failed, ok, openDeliveries as open, ready, refused, worker } from '../support/deliveries.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { FAST, trigger, url } from '../support/running-broker.ts'

test('no more than the concurrency is in flight, and the next one starts when one ends', async () => {
  const it = await open([trigger('t', 'http://a', { concurrency: 2 })])
  await it.append(5)
  assert.equal(it.open.length, 2)
  for (let left = 4; left >= 0; left--) {
    await it.end(ok)
    assert.equal(it.open.length, Math.min(2, left))
  }
  assert.equal(it.delivery.backlog()[0]?.delivered, 5)
})

test('a retry begins when it is due, and not before', async () => {
  const it = await open([trigger('t', 'http://a', { delivery: { ...FAST, backoffMs: 1000 } })])
  await it.append(1)
  await it.end(failed)
  await it.clock.advance(999)
  assert.equal(it.open.length, 0)
  await it.clock.advance(1)
  assert.equal(it.open.length, 1)
})

test('a retry that becomes due while there is no replica tells the autoscaler', async () => {
  const it = await open([trigger('t', asleep, { concurrency: 1, delivery: { ...FAST, backoffMs: 1000 } })])
  it.scale(ready)
  await it.append(1)
  it.scale({})
  await it.end(failed)
  assert.deepEqual(it.held, [])
  assert.equal(it.delivery.backlog()[0]?.retrying, 1)
  await it.clock.advance(1000)
  assert.deepEqual(it.held, ['shop/t'])
  it.scale(ready)
  assert.equal(it.open.length, 1)
})

test('what is held says so once, and again only when more comes', async () => {
  const it = await open([trigger('t', asleep)])
  await it.append(1)
  const first = it.held.length
  assert.ok(first >= 1)
  await it.clock.advance(100_000)
  it.delivery.replicasChanged([worker])
  assert.equal(it.held.length, first)
  await it.append(1)
  assert.equal(it.held.length, first + 1)
})

test('dead letters go to their sink while the subscriber sleeps, without waking it', async () => {
  const it = await open([trigger('t', asleep, { concurrency: 1, deadLetter: url('http://sink') })])
  it.scale(ready)
  await it.append(1)
  it.scale({})
  await it.end(refused)
  const told = it.held.length
  const request = await it.end(ok)
  assert.equal(request.url, 'http://sink')
  assert.equal(it.delivery.backlog()[0]?.deadLettered, 1)
  assert.equal(told, 0)
})

test('a sink that is a workload at zero waits without an attempt, and the lane does not spin', async () => {
  const sink = { ...asleep, workload: workloadId('Deployment', 'shop', 'sink') }
  const it = await open([trigger('t', 'http://a', { deadLetter: sink })])
  await it.append(1)
  await it.end(refused)
  assert.equal(it.open.length, 0)
  assert.equal(it.delivery.backlog()[0]?.retrying, 1)
  it.endpoints.apply({ [sink.workload]: [{ id: 's0', origin: 'http://s0', state: 'ready' }] })
  await it.clock.advance(5000)
  assert.equal((await it.end(ok)).url, 'http://s0/in')
})

test('a sink that hangs holds its own Trigger only, at its concurrency', async () => {
  const it = await open([trigger('t', asleep, { concurrency: 2, deadLetter: url('http://sink') })])
  it.scale(ready)
  await it.append(6)
  for (;;) {
    const at = it.open.findIndex(one => one.request.url !== 'http://sink')
    if (at < 0) break
    it.open.splice(at, 1)[0]?.end(refused)
    await settle()
  }
  assert.equal(it.open.length, 2)
  assert.ok((it.delivery.backlog()[0]?.waiting ?? 0) >= 3)
})

test('bytes in flight are bounded, and a Trigger with nothing in flight goes on all the same', async () => {
  const all = [trigger('a', 'http://a', { concurrency: 100 }), trigger('b', 'http://b', { concurrency: 100 })]
  const it = await open(all, 1000)
  await it.append(100, 600)
  const at = (address: string) => it.open.filter(one => one.request.url === address).length
  assert.ok(it.open.length < 100, `${it.open.length} in flight`)
  assert.ok(at('http://a') >= 1)
  assert.ok(at('http://b') >= 1)
  while (it.open.length > 0) await it.end(ok)
  for (const one of it.delivery.backlog()) assert.equal(one.delivered, 100)
})

test('Triggers that share replicas take turns', async () => {
  const it = await open([trigger('x', asleep, { concurrency: 1 }), trigger('y', asleep, { concurrency: 1 })])
  it.scale(ready)
  await it.append(10)
  for (let i = 0; i < 10; i++) await it.end(ok)
  const [x, y] = it.delivery.backlog()
  assert.ok((x?.delivered ?? 0) >= 4 && (y?.delivered ?? 0) >= 4, `${x?.delivered} and ${y?.delivered}`)
})

test('the sink taken away while an event is on its way to it: the event is parked with its reasons', async () => {
  const one = trigger('t', 'http://a', { deadLetter: url('http://sink') })
  const it = await open([one])
  await it.append(1)
  await it.end(refused)
  await it.end(failed)
  const [spec] = it.specs
  assert.ok(spec !== undefined)
  it.delivery.apply([{ ...spec, route: { ...one, deadLetter: undefined } }])
  await it.clock.advance(1000)
  assert.equal(it.open.length, 0)
  assert.equal(it.delivery.backlog()[0]?.parked, 1)
})

test('what is in flight for a Trigger that is gone ends without a trace', async () => {
  const it = await open([trigger('t', 'http://a')])
  await it.append(2)
  await it.store.route({ triggers: [], match: () => [] })
  it.delivery.apply([])
  await it.end(ok)
  await it.end(failed)
  assert.deepEqual(it.broken, [])
  assert.deepEqual(it.delivery.backlog(), [])
})

test('draining ends when the last attempt ends, also of a Trigger that is gone', async () => {
  const it = await open([trigger('t', 'http://a')])
  await it.append(1)
  it.delivery.apply([])
  let drained = false
  void it.delivery.drain(10_000).then(() => {
    drained = true
  })
  await settle()
  assert.equal(drained, false)
  await it.end(ok)
  assert.equal(drained, true)
  assert.equal(it.clock.pending, 0)
})

test('a reply that cannot be stored fails its attempt: the subscriber is called again, and it is no fault of the subscriber', async () => {
  const clock = new ManualClock()
  const circuit = { failures: 1, waitMs: 60_000 }
  const limits = { total: undefined, perSecond: undefined, adaptive: false, circuit }
  const route = trigger('t', 'http://a', { limits, delivery: { ...FAST, retries: 1, backoffMs: 1000 } })
  const it = await open([route], 1 << 20, clock, openMemoryStore(clock, 1000))
  await it.append(1)
  const reply = (bytes: number): Attempt => {
    const attributes = { specversion: '1.0', id: 'r', source: '/a', type: 'reply' }
    return { ...ok, kind: 'delivered', reply: { mode: 'binary', attributes, body: Buffer.alloc(bytes) } } as Attempt
  }
  await it.end(reply(2000))
  const [backlog] = it.delivery.backlog()
  assert.match(backlog?.lastError ?? '', /^503: the reply could not be stored/)
  assert.deepEqual([backlog?.delivered, backlog?.failed, backlog?.retrying, backlog?.stopped], [0, 1, 1, undefined])
  await clock.advance(1000)
  await it.end(reply(10))
  assert.equal(it.delivery.backlog()[0]?.delivered, 1)
  assert.equal(it.open[0]?.request.event.attributes.type, 'reply', 'it is an event of the Broker now')
})
