import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import type { EventStore } from '../../../broker/store.ts'
import { audit, eventOf, leaseSoon, only, orders, routingOf, shop } from '../../conformance/event-store.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { storePlace } from '../../support/sqlite-store.ts'

const HOUR_MS = 3_600_000
const failure = { destination: '', code: 500, data: '' }

/** Lets the store look for what need not be kept, a few times over. */
async function tidy(store: EventStore, clock: ManualClock): Promise<void> {
  for (let i = 0; i < 8; i++) {
    await clock.advance(1000)
    await store.flush()
  }
}

function kept(dir: string): { readonly ids: unknown[]; readonly pages: number; readonly deliveries: number } {
  using db = new DatabaseSync(join(dir, 'store.sqlite'), { readOnly: true })
  const one = (sql: string) => Number(Object.values(db.prepare(sql).get() ?? {})[0])
  return {
    ids: db
      .prepare('SELECT id FROM events ORDER BY seq')
      .all()
      .map(row => row.id),
    pages: one('PRAGMA page_count') - one('PRAGMA freelist_count'),
    deliveries: one('SELECT count(*) FROM delivery'),
  }
}

test('delivered and unmatched events go when they are old; what is owed or parked stays', async () => {
  await using place = await storePlace()
  const clock = new ManualClock()
  {
    await using store = await place.open(clock, { retentionMs: HOUR_MS })
    await store.route(routingOf([audit, 'uid-1']))
    for (const id of ['unmatched']) await store.append(shop, eventOf(id), 255)
    for (const id of ['delivered', 'parked', 'retrying', 'waiting']) await store.append(shop, eventOf(id, 'audit'), 255)
    const [delivered, parked, retrying] = await leaseSoon(store, audit, 3)
    assert.ok(delivered && parked && retrying)
    store.settle(delivered, { kind: 'done' })
    store.settle(parked, { kind: 'parked', failure })
    store.settle(retrying, { kind: 'postponed', dueMs: clock.nowMs() + 100 * HOUR_MS, attempt: 1 })
    await clock.advance(HOUR_MS - 60_000)
    await store.append(shop, eventOf('young'), 255)
    await tidy(store, clock)
    assert.equal(store.counts(audit)?.parked, 1)
  }
  assert.deepEqual(kept(place.dir).ids, ['unmatched', 'delivered', 'parked', 'retrying', 'waiting', 'young'])
  {
    await using store = await place.open(clock, { retentionMs: HOUR_MS })
    await store.route(routingOf([audit, 'uid-1']))
    await clock.advance(120_000)
    await tidy(store, clock)
  }
  assert.deepEqual(kept(place.dir).ids, ['parked', 'retrying', 'waiting', 'young'])
})

test('an event that was owed for longer than the retention goes with its last delivery', async () => {
  await using place = await storePlace()
  const clock = new ManualClock()
  {
    await using store = await place.open(clock, { retentionMs: HOUR_MS })
    await store.route(routingOf([orders, 'uid-1'], [audit, 'uid-2']))
    await store.append(shop, eventOf('old', 'audit'), 255)
    await clock.advance(2 * HOUR_MS)
    await tidy(store, clock)
    store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'done' })
    await tidy(store, clock)
    const last = only(await leaseSoon(store, audit, 1)) // still owed to this one
    store.settle(last, { kind: 'done' })
    await tidy(store, clock)
  }
  assert.deepEqual(kept(place.dir), { ids: [], pages: kept(place.dir).pages, deliveries: 0 })
})

test('above the size, the oldest that are owed to nobody go first', async () => {
  await using place = await storePlace()
  const clock = new ManualClock()
  const max = 4 << 20
  {
    await using store = await place.open(clock, { retentionMs: HOUR_MS, retentionMaxBytes: max })
    await store.route(routingOf([orders, 'uid-1']))
    await store.append(shop, eventOf('owed'), 255)
    const owed = only(await leaseSoon(store, orders, 1))
    for (let i = 0; i < 300; i++) {
      await store.append(shop, eventOf(`e${i}`, 'x', 'x'.repeat(50_000)), 255)
      for (const lease of store.lease(orders, 9)) store.settle(lease, { kind: 'done' })
      if (i % 20 === 0) await tidy(store, clock)
    }
    await tidy(store, clock)
    store.settle(owed, { kind: 'returned' })
  }
  const { ids, pages } = kept(place.dir)
  assert.equal(ids[0], 'owed')
  assert.equal(ids.at(-1), 'e299')
  assert.ok(pages * (16 << 10) <= max + (2 << 20), `${pages} pages`)
})

test('events that only a dropped Trigger was owed go too', async () => {
  await using place = await storePlace()
  const clock = new ManualClock()
  {
    await using store = await place.open(clock, { retentionMs: HOUR_MS })
    await store.route(routingOf([orders, 'uid-1'], [audit, 'uid-2']))
    await store.append(shop, eventOf('for orders'), 255)
    await store.append(shop, eventOf('for both', 'audit'), 255)
    await clock.advance(2 * HOUR_MS)
    await tidy(store, clock)
    assert.equal((await store.route(routingOf([audit, 'uid-2'])))[0]?.events, 2)
    await tidy(store, clock)
  }
  assert.deepEqual({ ...kept(place.dir), pages: 0 }, { ids: ['for both'], deliveries: 1, pages: 0 })
})
