import assert from 'node:assert/strict'
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import type { EventStore } from '../../../broker/store.ts'
import { noAttributes } from '../../../event/attributes.ts'
import {
  eventOf,
  eventStoreConformance,
  ids,
  leaseSoon,
  only,
  orders,
  routingOf,
  shop,
  until,
} from '../../conformance/event-store.ts'
import { startStoreChild } from '../../support/killed-store.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'
import { openStoreIn, recordingLog, storePlace } from '../../support/sqlite-store.ts'

eventStoreConformance('The SQLite store', 'durable', async () => {
  const place = await storePlace()
  return { open: clock => place.open(clock), [Symbol.asyncDispose]: () => place[Symbol.asyncDispose]() }
})

const routing = routingOf([orders, 'uid-1'])

function contents(dir: string): Record<string, string> {
  return Object.fromEntries(globSync('*', { cwd: dir }).map(name => [name, readFileSync(join(dir, name), 'base64')]))
}

/** The store does not open. Should it open after all, it is closed again. */
function refused(
  opening: Promise<EventStore>,
  why: { readonly code: string; readonly message?: RegExp },
): Promise<void> {
  return assert.rejects(
    opening.then(store => store[Symbol.asyncDispose]()),
    why,
  )
}

test('a newer format is refused with a clear message, and every byte stays as it is', async () => {
  await using place = await storePlace()
  await (await place.open(new ManualClock()))[Symbol.asyncDispose]()
  writeFileSync(join(place.dir, 'format.json'), '{"format":3,"by":"weir 9"}\n')
  const before = contents(place.dir)
  await refused(place.open(new ManualClock()), {
    code: 'store-format',
    message: /its format is 3.*knows format 2/,
  })
  assert.deepEqual(contents(place.dir), before)
})

test('a database without its format file is not ours to open', async () => {
  await using place = await storePlace()
  await (await place.open(new ManualClock()))[Symbol.asyncDispose]()
  rmSync(join(place.dir, 'format.json'))
  const before = contents(place.dir)
  await refused(place.open(new ManualClock()), { code: 'store-format' })
  assert.deepEqual(contents(place.dir), before)
})

test('a folder that cannot be a store is refused in words', async () => {
  await using place = await storePlace()
  writeFileSync(join(place.dir, 'file'), '')
  await refused(openStoreIn(join(place.dir, 'file'), new ManualClock()), { code: 'store-unusable' })
  writeFileSync(join(place.dir, 'format.json'), '{"format":1}')
  writeFileSync(
    join(place.dir, 'store.sqlite'),
    'this is no database, but it is long enough to look like one '.repeat(20),
  )
  await refused(place.open(new ManualClock()), {
    code: 'store-unusable',
    message: /cannot be opened.*not a database/,
  })
})

test('a second opener is refused and told who owns the store', async () => {
  await using place = await storePlace()
  await using store = await place.open(new ManualClock())
  await refused(place.open(new ManualClock()), {
    code: 'store-locked',
    message: new RegExp(`pid ${process.pid}`),
  })
  await store.route(routing)
  await store.append(shop, eventOf('a'), 255)
})

test('the lock of a process that was killed does not stand in the way', async () => {
  await using place = await storePlace()
  await using child = await startStoreChild(place.dir)
  await refused(place.open(new ManualClock()), { code: 'store-locked', message: new RegExp(`pid ${child.pid}`) })
  await child.kill()
  await using store = await place.open(new ManualClock())
  await store.route(routing)
})

test('a retry goes on with its attempt and due time when the process died between two attempts', async () => {
  await using place = await storePlace()
  await using copy = await storePlace()
  const clock = new ManualClock()
  {
    await using store = await place.open(clock)
    await store.route(routing)
    await store.append(shop, eventOf('a'), 255)
    store.settle(only(await leaseSoon(store, orders, 1)), {
      kind: 'postponed',
      dueMs: clock.nowMs() + 9000,
      attempt: 7,
    })
    await store.flush()
    cpSync(place.dir, copy.dir, { recursive: true }) // as it is now, the process never closed it
  }
  await using store = await copy.open(clock)
  await store.route(routing)
  assert.equal(store.counts(orders)?.nextDueMs, clock.nowMs() + 9000)
  await clock.advance(9000)
  assert.equal(only(await leaseSoon(store, orders, 1)).attempt, 7)
})

test('an event that was delivered at the second attempt, soon after it came, stays delivered', async () => {
  await using place = await storePlace()
  await using copy = await storePlace()
  const clock = new ManualClock()
  await using store = await place.open(clock)
  await store.route(routing)
  await store.append(shop, eventOf('a'), 255)
  store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'postponed', dueMs: clock.nowMs(), attempt: 1 })
  await store.append(shop, eventOf('b'), 255) // its group takes the postponement along
  const [again] = await leaseSoon(store, orders, 1)
  assert.equal(again?.attempt, 1)
  if (again !== undefined) store.settle(again, { kind: 'done' })
  await store.flush()
  cpSync(place.dir, copy.dir, { recursive: true })
  await using afterCrash = await copy.open(clock)
  await afterCrash.route(routing)
  assert.deepEqual(ids(await leaseSoon(afterCrash, orders, 5)), ['b'])
})

test('hostile attribute names and values come back from disk as they were', async () => {
  await using place = await storePlace()
  const clock = new ManualClock()
  const attributes = Object.assign(noAttributes(), {
    ['__proto__']: 'x',
    constructor: '',
    toString: '\u0000\u2028\ud83c\udf88"\\',
    lone: '\ud800',
    id: "'); DROP TABLE event; --",
    source: '/',
    type: 't',
    specversion: '1.0',
  })
  Object.defineProperty(attributes, '__proto__', { value: 'x', enumerable: true })
  const event = { mode: 'binary', attributes, body: Buffer.from([1, 2, 3]) } as const
  {
    await using store = await place.open(clock)
    await store.route(routing)
    await store.append(shop, event, 255)
  }
  await using store = await place.open(clock)
  await store.route(routing)
  const back = only(await leaseSoon(store, orders, 2)).event
  assert.equal('hasOwnProperty' in back.attributes, false)
  assert.deepEqual(Object.entries(back.attributes), Object.entries(attributes))
})

test('people can ask the database about events by type, source and id', async () => {
  await using place = await storePlace()
  {
    await using store = await place.open(new ManualClock())
    await store.route(routing)
    await store.append(shop, eventOf('a'), 255)
    await store.append(shop, eventOf('b', 'other'), 255)
  }
  using db = new DatabaseSync(join(place.dir, 'store.sqlite'), { readOnly: true })
  const rows = db.prepare(`SELECT id, source, type, matched FROM events WHERE type = 'other'`).all()
  assert.deepEqual({ ...rows[0] }, { id: 'b', source: '/test', type: 'other', matched: '[1]' })
})

test('more than the memory allows waits on disk, and comes back whole, in order, while more comes', async () => {
  await using place = await storePlace()
  await using store = await place.open(new ManualClock(), { cacheMaxBytes: 50_000 })
  await store.route(routing)
  const total = 600
  let made = 0
  const append = (count: number) =>
    Promise.all(
      Array.from({ length: count }, () => store.append(shop, eventOf(`e${made++}`, 'x', 'x'.repeat(10_000)), 255)),
    )
  await append(200)
  assert.equal(store.counts(orders)?.waiting, 200)
  const seen: (string | undefined)[] = []
  const giveUpAt = performance.now() + 30_000
  while (seen.length < total) {
    assert.ok(performance.now() < giveUpAt, `only ${seen.length} of ${made} came`)
    const leases = store.lease(orders, 7)
    seen.push(...ids(leases))
    for (const lease of leases) store.settle(lease, { kind: 'done' })
    if (made < total) await append(5)
    await settle()
  }
  assert.deepEqual(
    seen,
    Array.from({ length: total }, (_, i) => `e${i}`),
  )
})

test('thousands of retries due at once are all counted as waiting, and all come', async () => {
  await using place = await storePlace()
  const clock = new ManualClock()
  await using store = await place.open(clock)
  await store.route(routing)
  const total = 3000
  await Promise.all(Array.from({ length: total }, (_, i) => store.append(shop, eventOf(`e${i}`), 255)))
  const dueMs = clock.nowMs() + 1000
  for (let n = 0; n < total; ) {
    for (const lease of await leaseSoon(store, orders, 500)) {
      store.settle(lease, { kind: 'postponed', dueMs, attempt: 1 })
      n++
    }
  }
  assert.deepEqual([store.counts(orders)?.waiting, store.counts(orders)?.retrying], [0, total])
  await clock.advance(1000)
  await until(() => store.counts(orders)?.waiting === total)
  assert.equal(store.counts(orders)?.retrying, 0)
  const seqs = new Set<number>()
  for (let got = -1; seqs.size !== got; ) {
    got = seqs.size
    for (const lease of await leaseSoon(store, orders, 500)) {
      assert.equal(lease.attempt, 1)
      seqs.add(lease.seq)
      store.settle(lease, { kind: 'done' })
    }
  }
  assert.equal(seqs.size, total)
  assert.equal(store.counts(orders)?.waiting, 0)
})

test('a damaged event is never delivered: it is reported with its seq, parked and counted', async () => {
  await using place = await storePlace()
  const clock = new ManualClock()
  {
    await using store = await place.open(clock)
    await store.route(routing)
    for (const id of ['a', 'b', 'c', 'd']) await store.append(shop, eventOf(id), 255)
  }
  {
    using db = new DatabaseSync(join(place.dir, 'store.sqlite'))
    db.exec(`UPDATE event SET body = CAST('Body of b' AS BLOB) WHERE seq = 2`)
    db.exec('DELETE FROM event WHERE seq = 3')
  }
  const { lines, log } = recordingLog()
  await using store = await place.open(clock, { log })
  await store.route(routing)
  assert.deepEqual(ids(await leaseSoon(store, orders, 9)), ['a', 'd'])
  const { waiting, inFlight, parked } = store.counts(orders) ?? {}
  assert.deepEqual([waiting, inFlight, parked], [0, 2, 2])
  assert.deepEqual(
    lines.map(({ level, facts }) => [level, facts]),
    [2, 3].map(seq => ['error', { seq, trigger: orders }]),
  )
})
