import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMemoryStore } from '../../../broker/stores/memory.ts'
import { eventOf, eventStoreConformance, only, orders, routingOf, shop } from '../../conformance/event-store.ts'
import { ManualClock } from '../../support/manual-clock.ts'

eventStoreConformance('The memory store', 'transient', async () => ({
  open: async clock => openMemoryStore(clock),
  async [Symbol.asyncDispose]() {},
}))

test('a full memory store refuses what somebody wants, and takes it again when there is room', async () => {
  const store = openMemoryStore(new ManualClock(), 1000)
  await store.route(routingOf([orders, 'uid-1']))
  await store.append(shop, eventOf('a', 'x', 'x'.repeat(600)), 255)
  await assert.rejects(store.append(shop, eventOf('b', 'x', 'x'.repeat(600)), 255), { code: 'store-full' })
  const lease = only(store.lease(orders, 9))
  store.settle(lease, { kind: 'done' })
  await store.append(shop, eventOf('c', 'x', 'x'.repeat(600)), 255)
})

test('a jump of the wall clock makes a retry at most a minute late', async () => {
  const clock = new ManualClock()
  const store = openMemoryStore(clock)
  await store.route(routingOf([orders, 'uid-1']))
  await store.append(shop, eventOf('a'), 255)
  const day = 24 * 3_600_000
  store.settle(only(store.lease(orders, 1)), { kind: 'postponed', dueMs: clock.nowMs() + day, attempt: 1 })
  clock.jump(day)
  await clock.advance(60_000)
  assert.equal(store.lease(orders, 1).length, 1)
})
