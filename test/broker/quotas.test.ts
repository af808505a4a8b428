import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NamespaceQuota } from '../../broker/quotas.ts'
import { brokerId, workloadId } from '../../contract/ids.ts'
import { PLAIN_BROKER, type Quota } from '../../contract/routes.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openRunning, routes, trigger, url } from '../support/running-broker.ts'
import { eventually, openSubscriber } from '../support/subscriber.ts'

const NONE: Quota = { eventsPerSecond: undefined, bytesPerSecond: undefined, backlog: undefined }

const nothing = () => ({ events: 0, triggers: 1 })

test('events above the rate are told how long to wait, and fit then', async () => {
  const clock = new ManualClock()
  const quota = new NamespaceQuota('shop', { ...NONE, eventsPerSecond: 10 }, clock, nothing)
  assert.equal(quota.take(10, 1), undefined)
  assert.deepEqual(quota.take(1, 1), { namespace: 'shop', what: 'events-per-second', limit: 10, waitMs: 100 })
  clock.jump(3_600_000)
  assert.equal(quota.take(1, 1)?.waitMs, 100, 'a wall clock that jumps gives nothing')
  await clock.advance(100)
  assert.equal(quota.take(1, 1), undefined)
})

test('an edit that leaves a rate as it is gives nothing back', () => {
  const quota = new NamespaceQuota('shop', { ...NONE, eventsPerSecond: 1 }, new ManualClock(), nothing)
  assert.equal(quota.take(1, 1), undefined)
  quota.update({ ...NONE, eventsPerSecond: 1, backlog: 5 })
  assert.equal(quota.take(1, 1)?.what, 'events-per-second')
})

test('bytes count too, and what is larger than a second’s worth goes when nothing is used', async () => {
  const clock = new ManualClock()
  const quota = new NamespaceQuota('shop', { ...NONE, bytesPerSecond: 1000 }, clock, nothing)
  assert.equal(quota.take(1, 5000), undefined)
  assert.equal(Math.round(quota.take(1, 1)?.waitMs ?? 0), 4001)
  await clock.advance(5000)
  assert.equal(quota.take(1, 1), undefined)
})

test('what one limit refuses is not counted by the others', async () => {
  const clock = new ManualClock()
  let full = true
  const owed = () => ({ events: full ? 9 : 0, triggers: 1 })
  const limits = { eventsPerSecond: 1, bytesPerSecond: 10, backlog: 9 }
  const quota = new NamespaceQuota('shop', limits, clock, owed)
  assert.equal(quota.take(1, 10)?.what, 'backlog')
  full = false
  await clock.advance(50)
  assert.equal(quota.take(1, 10), undefined, 'neither rate was used by what the backlog refused')
  assert.equal(quota.take(1, 10)?.what, 'events-per-second')
})

test('a backlog is refused from its limit on, whatever the batches and the Triggers', () => {
  const counts = fc.record({ backlog: fc.integer({ min: 1, max: 500 }), triggers: fc.integer({ min: 1, max: 5 }) })
  const batches = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(counts, batches, ({ backlog, triggers }, sizes) => {
      let events = 0
      const quota = new NamespaceQuota('shop', { ...NONE, backlog }, new ManualClock(), () => ({ events, triggers }))
      for (const size of sizes) {
        const before = events
        if (quota.take(size, 1) === undefined) {
          assert.ok(before < backlog, `${before} of ${backlog} were owed already`)
          events += size * triggers
        } else assert.ok(before >= backlog)
      }
    }),
  )
})

test('a full backlog is not counted for everybody who asks', async () => {
  const clock = new ManualClock()
  let counted = 0
  const owed = () => ({ events: ++counted && 5, triggers: 1 })
  const quota = new NamespaceQuota('shop', { ...NONE, backlog: 5 }, clock, owed)
  for (let i = 0; i < 1000; i++) assert.equal(quota.take(1, 1)?.what, 'backlog')
  assert.equal(counted, 1)
  await clock.advance(50)
  quota.take(1, 1)
  assert.equal(counted, 2)
})

test('the door answers 429 with the time to wait, and other namespaces are not concerned', async () => {
  await using running = await openRunning()
  const document = routes([trigger('t', url('http://127.0.0.1:1/'))])
  const quota = { ...NONE, eventsPerSecond: 2 }
  await running.broker.apply({ ...document, brokers: document.brokers.map(one => ({ ...one, quota })) })
  const statuses: number[] = []
  for (let i = 0; i < 4; i++) statuses.push(await running.post())
  assert.deepEqual(statuses.slice(0, 2), [202, 202])
  assert.ok(statuses.includes(429), String(statuses))
  const response = await fetch(`${running.broker.origin}/shop/main`, {
    method: 'POST',
    headers: { 'content-type': 'application/cloudevents-batch+json' },
    body: JSON.stringify([1, 2, 3].map(id => ({ specversion: '1.0', id: String(id), source: '/s', type: 't' }))),
  })
  assert.equal(response.status, 429)
  assert.match(response.headers.get('retry-after') ?? '', /^[1-9]\d*$/)
  assert.match(
    await response.text(),
    /over-quota.*Namespace shop may send 2 events per second.*weir\.dev\/quota-events-per-second/,
  )
  assert.ok((running.broker.counters()[0]?.overQuota ?? 0) >= 2)
  await running.broker.apply(document)
  for (let i = 0; i < 5; i++) assert.equal(await running.post(), 202)
})

test('what waits counts in every Broker of the namespace; a reply is taken although the backlog is full', async () => {
  const held: (() => void)[] = []
  await using subscriber = await openSubscriber((_received, response) => {
    const headers = { 'content-type': 'application/cloudevents+json' }
    held.push(() =>
      response.writeHead(200, headers).end('{"specversion":"1.0","id":"r","source":"/r","type":"answer"}'),
    )
  })
  await using running = await openRunning()
  const none = { kind: 'workload', address: '', workload: workloadId('Deployment', 'shop', 'none'), path: '/' } as const
  const asks = trigger('asks', url(subscriber.origin), { filters: [{ exact: { type: 'ask' } }] })
  const keeps = trigger('keeps', none, { filters: [{ not: { exact: { type: 'ask' } } }] })
  const quota = { ...NONE, backlog: 3 }
  const brokers = routes([asks, keeps]).brokers.map(one => ({ ...one, quota }))
  const other = {
    ...PLAIN_BROKER,
    id: brokerId('shop', 'other'),
    uid: 'o',
    store: 'durable',
    triggers: [],
    quota,
  } as const
  await running.broker.apply({ brokers: [...brokers, other], endpoints: {} })
  const waiting = () => running.broker.backlog.read().find(one => one.trigger === keeps.id)?.waiting

  for (const type of ['ask', 't', 't']) assert.equal(await running.post({ type }), 202)
  await subscriber.reached(1)
  const headers = { 'ce-specversion': '1.0', 'ce-id': '9', 'ce-source': '/s', 'ce-type': 'x' }
  const refused = await fetch(`${running.broker.origin}/shop/other`, { method: 'POST', headers })
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '5'])
  assert.match(await refused.text(), /has its 3 events waiting/)
  held[0]?.()
  await eventually(() => waiting() === 3)
})
