import { DatabaseSync } from 'node:sqlite'
import { checksumOf, seedOf } from './checksum.ts'
import { isFull } from './folder.ts'
import { BLOCKED, FATES, type Key, PARKED, RETRYING, type StoredTrigger, WAITING } from './protocol.ts'

/** Large pages: an event of 1 KiB costs a third of the writes that it costs with pages of 4 KiB. */
const PAGE_BYTES = 16 << 10
const CACHE_KIB = 16 << 10

/**
 * `event` is the log; `delivery` says what is owed of it. Up to the watermark (`meta`), what has no row in `delivery` is
 * owed to nobody; events above it are owed to all of `matched`, which happy deliveries never need to write down. `attempt` has
 * the attempts that did not end a delivery at once, for people, as long as their event is kept.
 * `events` is for people who ask: `type`, `source` and `id` read out of the attributes. As generated columns of the table
 * they would be evaluated at every insert, to check their type.
 */
const SCHEMA = `
CREATE TABLE IF NOT EXISTS event (
  seq INTEGER PRIMARY KEY,
  accepted INTEGER NOT NULL,
  broker INTEGER NOT NULL,
  hops INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  matched TEXT NOT NULL,
  attributes TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE VIEW IF NOT EXISTS events AS
  SELECT seq, accepted, attributes ->> '$.type' AS type, attributes ->> '$.source' AS source, attributes ->> '$.id' AS id,
    matched, attributes, body FROM event;
CREATE TABLE IF NOT EXISTS delivery (
  trigger INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  state INTEGER NOT NULL,
  due INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  dead_letter INTEGER NOT NULL,
  failure TEXT,
  order_key TEXT,
  PRIMARY KEY (trigger, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (trigger, due, seq) WHERE state = ${RETRYING};
CREATE TABLE IF NOT EXISTS attempt (
  seq INTEGER NOT NULL,
  trigger INTEGER NOT NULL,
  at INTEGER NOT NULL,
  dead_letter INTEGER NOT NULL,
  number INTEGER NOT NULL,
  took REAL NOT NULL,
  status INTEGER,
  fate INTEGER NOT NULL,
  words TEXT NOT NULL,
  PRIMARY KEY (seq, trigger, at, dead_letter, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempt_fate ON attempt (trigger, fate, seq) WHERE fate >= ${FATES.indexOf('dead-lettered')};
CREATE TABLE IF NOT EXISTS trigger (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE,
  id TEXT NOT NULL,
  broker TEXT NOT NULL,
  dropped INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS broker (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS meta (watermark INTEGER NOT NULL) STRICT;
INSERT INTO meta SELECT 0 WHERE NOT EXISTS (SELECT * FROM meta);
`

/** Opens the database for this thread alone. Whoever calls owns the folder. */
export function openTables(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  try {
    // Exclusive: SQLite keeps its index of the WAL in memory instead of a mapped file, which a full disk would turn into SIGBUS.
    db.exec(`
      PRAGMA page_size = ${PAGE_BYTES};
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = 0;
      PRAGMA cell_size_check = ON;
      PRAGMA temp_store = MEMORY;
      PRAGMA cache_size = -${CACHE_KIB};
    `)
    transaction(db, () => {
      db.exec(SCHEMA)
      upgrade(db)
    })
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/**
 * What a store of an earlier format lacks. Idempotent. Of a Trigger that catches up, `caught` says how far it is and `created`
 * how far it goes; `caught` is null where it does not, or has.
 */
function upgrade(db: DatabaseSync): void {
  const columns = db.prepare('SELECT name FROM pragma_table_info(?)').all('delivery')
  if (!columns.some(({ name }) => name === 'order_key')) db.exec('ALTER TABLE delivery ADD COLUMN order_key TEXT')
  const known = db.prepare('SELECT name FROM pragma_table_info(?)').all('trigger')
  if (!known.some(({ name }) => name === 'caught')) {
    db.exec('ALTER TABLE trigger ADD COLUMN created INTEGER; ALTER TABLE trigger ADD COLUMN caught INTEGER')
  }
  db.exec(`CREATE INDEX IF NOT EXISTS delivery_behind ON delivery (trigger, order_key, seq) WHERE state = ${BLOCKED}`)
}

/** Runs `work` in one transaction, which is gone when it throws. */
export function transaction(db: DatabaseSync, work: () => void): void {
  db.exec('BEGIN IMMEDIATE')
  try {
    work()
    db.exec('COMMIT')
  } catch (error) {
    // A full disk may have rolled it back already.
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

/** The same, but false when there was no room for it, and nothing was written. */
export function tryTransaction(db: DatabaseSync, work: () => void): boolean {
  try {
    transaction(db, work)
    return true
  } catch (error) {
    if (isFull(error)) return false
    throw error
  }
}

/** Bytes in use, and bytes that are free within the file. */
export function usedBytes(db: DatabaseSync): number {
  return pragma(db, 'page_count') * pragma(db, 'page_size') - freeBytes(db)
}

export function freeBytes(db: DatabaseSync): number {
  return pragma(db, 'freelist_count') * pragma(db, 'page_size')
}

function pragma(db: DatabaseSync, name: string): number {
  return numberOf(db.prepare(`PRAGMA ${name}`).get()?.[name])
}

export function watermark(db: DatabaseSync): number {
  return numberOf(db.prepare('SELECT watermark FROM meta').get()?.watermark)
}

export function lastSeq(db: DatabaseSync): number {
  const highest = db.prepare('SELECT max(seq) AS seq FROM event').get()?.seq
  return Math.max(watermark(db), typeof highest === 'number' ? highest : 0)
}

/** When the last event was accepted, wall ms. */
export function lastMs(db: DatabaseSync): number | undefined {
  const accepted = db.prepare('SELECT accepted FROM event ORDER BY seq DESC LIMIT 1').get()?.accepted
  return typeof accepted === 'number' ? accepted : undefined
}

/**
 * Writes rows for everything above the watermark, as after a crash. An event that fails its checksum cannot say who it is
 * owed to: it is parked for every Trigger of its Broker, or for all where the Broker is not known either.
 * Returns the seqs of those.
 */
export function recover(db: DatabaseSync): number[] {
  const damaged: number[] = []
  transaction(db, () => {
    const owe = db.prepare(`INSERT OR IGNORE INTO delivery (trigger, seq, state, due, attempt, dead_letter, failure)
      SELECT key, :seq, :state, 0, 0, 0, :failure FROM trigger WHERE key = :key AND NOT dropped`)
    const young = db.prepare('SELECT * FROM event WHERE seq > ? ORDER BY seq')
    for (const row of young.iterate(watermark(db))) {
      const seq = numberOf(row.seq)
      const keys = isIntact(row) ? keysOf(row.matched) : undefined
      for (const key of keys ?? []) owe.run({ seq, key, state: WAITING, failure: null })
      if (keys !== undefined) continue
      damaged.push(seq)
      for (const key of suspects(db, row.broker)) owe.run({ seq, key, state: PARKED, failure: DAMAGED })
    }
    // Order is made anew as they are read again, by seq.
    db.exec(`UPDATE delivery SET state = ${WAITING} WHERE state = ${BLOCKED}`)
    const last = lastSeq(db)
    if (last > watermark(db)) db.prepare('UPDATE meta SET watermark = ?').run(last)
  })
  return damaged
}

/** The failure text of an event that cannot be delivered because it is not what was accepted. */
export const DAMAGED = JSON.stringify({
  destination: '',
  code: 500,
  data: 'The stored event is damaged: its checksum does not match. It was not delivered.',
})

function suspects(db: DatabaseSync, broker: unknown): number[] {
  const ofBroker = db.prepare(
    'SELECT trigger.key FROM trigger JOIN broker ON broker.id = trigger.broker WHERE broker.key = ?',
  )
  const found = typeof broker === 'number' ? ofBroker.all(broker) : []
  const all = found.length > 0 ? found : db.prepare('SELECT key FROM trigger').all()
  return all.map(row => numberOf(row.key))
}

export type Row = Record<string, unknown>

/** Whether what is in the row of `event` is what was written there. */
export function isIntact(row: Row): boolean {
  const { seq, accepted, broker, hops, mode, crc, matched, attributes, body } = row
  const keys = keysOf(matched)
  if (keys === undefined || typeof attributes !== 'string' || !(body instanceof Uint8Array)) return false
  const numbers = [seq, accepted, broker, hops, mode].map(value => (typeof value === 'number' ? value : Number.NaN))
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = numbers
  return crc === checksumOf(Buffer.from(attributes), body, seedOf(a, b, c, d, e, keys))
}

function keysOf(matched: unknown): number[] | undefined {
  if (typeof matched !== 'string' || !/^\[(\d+(,\d+)*)?\]$/.test(matched)) return undefined
  return matched === '[]' ? [] : matched.slice(1, -1).split(',').map(Number)
}

/** What is owed to each Trigger, counted. */
export function storedTriggers(db: DatabaseSync): StoredTrigger[] {
  const rows = db.prepare('SELECT key, uid, id FROM trigger WHERE NOT dropped ORDER BY key').all()
  const count = db.prepare(
    'SELECT state, count(*) AS n, min(seq) AS seq FROM delivery WHERE trigger = ? GROUP BY state',
  )
  const due = db.prepare(`SELECT min(due) AS due FROM delivery WHERE trigger = ? AND state = ${RETRYING}`)
  const busy = db.prepare(`SELECT DISTINCT order_key FROM delivery
    WHERE trigger = ? AND state = ${RETRYING} AND dead_letter = 0 AND order_key IS NOT NULL`)
  const accepted = db.prepare('SELECT accepted FROM event WHERE seq >= ? ORDER BY seq LIMIT 1')
  return rows.map(row => {
    const key: Key = numberOf(row.key)
    const states = new Map(count.all(key).map(({ state, n, seq }) => [state, { n: numberOf(n), seq: numberOf(seq) }]))
    const owed = [states.get(WAITING)?.seq, states.get(RETRYING)?.seq].filter(seq => seq !== undefined)
    const oldest = owed.length > 0 ? accepted.get(Math.min(...owed))?.accepted : undefined
    const nextDue = due.get(key)?.due
    return {
      key,
      uid: String(row.uid),
      id: String(row.id),
      waiting: states.get(WAITING)?.n ?? 0,
      retrying: states.get(RETRYING)?.n ?? 0,
      parked: states.get(PARKED)?.n ?? 0,
      oldestMs: typeof oldest === 'number' ? oldest : undefined,
      nextDueMs: typeof nextDue === 'number' ? nextDue : undefined,
      busyKeys: busy.all(key).map(row => String(row.order_key)),
    }
  })
}

export function numberOf(value: unknown): number {
  if (typeof value !== 'number') throw new TypeError(`The database has ${typeof value} where a number belongs.`)
  return value
}
