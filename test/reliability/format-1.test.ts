import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { checksumOf, seedOf } from '../../broker/stores/sqlite/checksum.ts'
import { PARKED, RETRYING, WAITING } from '../../broker/stores/sqlite/protocol.ts'
import { openRunning, routes, trigger } from '../support/running-broker.ts'
import { storePlace } from '../support/sqlite-store.ts'
import { eventually, openSubscriber } from '../support/subscriber.ts'
import { patchedBroker, startBroker } from './child-broker.ts'

/** The tables as format 1 had them: no keys of order, no attempts, no Trigger that catches up. */
const FORMAT_1 = `
CREATE TABLE event (
  seq INTEGER PRIMARY KEY, accepted INTEGER NOT NULL, broker INTEGER NOT NULL, hops INTEGER NOT NULL, mode INTEGER NOT NULL,
  crc INTEGER NOT NULL, matched TEXT NOT NULL, attributes TEXT NOT NULL, body BLOB NOT NULL,
  type TEXT GENERATED ALWAYS AS (attributes ->> '$.type') VIRTUAL,
  source TEXT GENERATED ALWAYS AS (attributes ->> '$.source') VIRTUAL,
  id TEXT GENERATED ALWAYS AS (attributes ->> '$.id') VIRTUAL
) STRICT;
CREATE TABLE delivery (
  trigger INTEGER NOT NULL, seq INTEGER NOT NULL, state INTEGER NOT NULL, due INTEGER NOT NULL, attempt INTEGER NOT NULL,
  dead_letter INTEGER NOT NULL, failure TEXT, PRIMARY KEY (trigger, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (trigger, due, seq) WHERE state = ${RETRYING};
CREATE TABLE trigger (
  key INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, id TEXT NOT NULL, broker TEXT NOT NULL,
  dropped INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE broker (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE meta (watermark INTEGER NOT NULL) STRICT;
`
const ACCEPTED_MS = Date.now() - 60_000
/** Written down as owed up to here; what is above is owed to all that it matched. */
const WATERMARK = 4

/**
 * A store as a broker of format 1 leaves it when it is killed: e1 done, e2 waiting, e3 about to be retried, e4 parked,
 * e5 and e6 just accepted.
 */
function writeFormat1(dir: string, broker: string, triggerId: string): void {
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'format.json'), '{"format":1}\n')
  const db = new DatabaseSync(join(dir, 'store.sqlite'))
  db.exec(`PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; ${FORMAT_1}`)
  db.prepare('INSERT INTO meta VALUES (?)').run(WATERMARK)
  db.prepare('INSERT INTO broker VALUES (1, ?)').run(broker)
  db.prepare('INSERT INTO trigger (key, uid, id, broker) VALUES (1, ?, ?, ?)').run('uid-orders', triggerId, broker)
  const event = db.prepare(
    'INSERT INTO event (seq, accepted, broker, hops, mode, crc, matched, attributes, body) VALUES (?, ?, 1, 255, 0, ?, ?, ?, ?)',
  )
  for (let seq = 1; seq <= 6; seq++) {
    const attributes = JSON.stringify({ specversion: '1.0', id: `e${seq}`, source: '/old', type: 't' })
    const body = Buffer.from(`body of e${seq}`)
    const crc = checksumOf(Buffer.from(attributes), body, seedOf(seq, ACCEPTED_MS, 1, 255, 0, [1]))
    event.run(seq, ACCEPTED_MS, crc, '[1]', attributes, body)
  }
  const delivery = db.prepare('INSERT INTO delivery VALUES (1, ?, ?, ?, ?, 0, ?)')
  delivery.run(2, WAITING, 0, 0, null)
  delivery.run(3, RETRYING, ACCEPTED_MS, 1, null)
  delivery.run(4, PARKED, 0, 4, JSON.stringify({ destination: 'http://gone', code: 500, data: '' }))
  db.close()
}

test('a store of format 1 is upgraded in place, delivers what it held, and goes on', async () => {
  await using subscriber = await openSubscriber()
  await using place = await storePlace()
  const orders = trigger('orders', subscriber.origin)
  writeFormat1(place.dir, 'shop/main', orders.id)
  {
    await using running = await openRunning({ dataDir: place.dir })
    await running.broker.apply(routes([orders]))
    await subscriber.reached(4)
    assert.equal(await running.post({ id: 'new' }), 202)
    await subscriber.reached(5)
    await eventually(() => running.broker.backlog.read()[0]?.inFlight === 0)
    assert.equal(running.broker.backlog.read()[0]?.parked, 1)
    assert.deepEqual(running.fatal, [])
  }
  const came = subscriber.received.map(({ headers, body }) => `${headers['ce-id']}: ${body}`)
  const old = ['e2', 'e3', 'e5', 'e6'].map(id => `${id}: body of ${id}`)
  assert.deepEqual(came.toSorted(), [...old, 'new: {}'].toSorted())
  assert.equal(JSON.parse(readFileSync(join(place.dir, 'format.json'), 'utf8')).format, 2)

  // Once more: nothing of it is owed any longer.
  await using again = await openRunning({ dataDir: place.dir })
  await again.broker.apply(routes([orders]))
  assert.equal(await again.post({ id: 'last' }), 202)
  await subscriber.reached(6)
  assert.equal(subscriber.received.at(-1)?.headers['ce-id'], 'last')
})

test('the test sees the mistake of tables that are not upgraded', async () => {
  using patched = patchedBroker([{ file: 'broker/stores/sqlite/tables.ts', from: '      upgrade(db)\n', to: '' }])
  await using place = await storePlace()
  const orders = trigger('orders', 'http://127.0.0.1:9')
  writeFormat1(place.dir, 'shop/main', orders.id)
  await assert.rejects(
    startBroker(place.dir, { base: patched.base, routes: routes([orders]), quiet: true }),
    /the broker ended/,
  )
})
