import type { DatabaseSync } from 'node:sqlite'
import type { EventQuery } from '../../archive.ts'
import { says } from '../said.ts'
import type { Answer, Ask, AttemptRow, DeliveryRow, EventRow } from './archive-protocol.ts'
import { BLOCKED, FATES, type Key, PARKED, RETRYING, WAITING } from './protocol.ts'
import { failureOf } from './reader.ts'
import { isIntact, numberOf, type Row, tryTransaction } from './tables.ts'
import type { Writer } from './writer.ts'

/** Rows of events looked at in one slice: a few milliseconds of the thread that also commits. */
const SLICE = 2000
/** Of what is answered at once. */
const ANSWER_BYTES = 2 << 20

/** Answers what people ask about what is kept. On the thread of the database, in slices. */
export class Archivist {
  readonly #db: DatabaseSync
  readonly #writer: Writer

  constructor(db: DatabaseSync, writer: Writer) {
    this.#db = db
    this.#writer = writer
  }

  answer(ask: Ask): Answer {
    switch (ask.kind) {
      case 'events':
        return this.#events(ask)
      case 'event':
        return this.#event(ask.seq)
      case 'deliveries':
        return this.#deliveries(ask)
      case 'owe':
        return this.#owe(ask)
      case 'discard':
        return this.#discard(ask)
      case 'catch-up':
        return this.#catchUp(ask)
      case 'caught-up':
        return this.#caughtUp(ask)
      default:
        return ask satisfies never
    }
  }

  #events({ query, broker, from }: Ask & { kind: 'events' }): Answer {
    const up = query.after !== undefined
    const sql = `SELECT seq, accepted, broker, hops, mode, crc, matched, attributes, body FROM event
      WHERE seq ${up ? '>' : '<'} ? ORDER BY seq ${up ? 'ASC' : 'DESC'} LIMIT ${SLICE}`
    const events: EventRow[] = []
    let looked = 0
    let bytes = 0
    let last = from
    for (const row of this.#db.prepare(sql).iterate(from)) {
      looked++
      last = numberOf(row.seq)
      // Seqs ascend with time, but clocks jump: a minute of doubt is looked through.
      const acceptedMs = numberOf(row.accepted)
      if (!up && query.sinceMs !== undefined && acceptedMs < query.sinceMs - DOUBT_MS)
        return { kind: 'events', events, to: undefined }
      if (up && query.untilMs !== undefined && acceptedMs >= query.untilMs + DOUBT_MS)
        return { kind: 'events', events, to: undefined }
      if (!fits(row, query, broker)) continue
      const event = eventRow(row)
      events.push(event)
      bytes += event.body.byteLength + (event.head?.length ?? 0)
      if (events.length >= query.limit || bytes >= ANSWER_BYTES) return { kind: 'events', events, to: last }
    }
    return { kind: 'events', events, to: looked < SLICE ? undefined : last }
  }

  #event(seq: number): Answer {
    const row = this.#db.prepare('SELECT * FROM event WHERE seq = ?').get(seq)
    if (row === undefined) return { kind: 'event', event: undefined, deliveries: [] }
    const event = eventRow(row)
    const named = this.#db
      .prepare(
        'SELECT trigger FROM delivery WHERE seq = ?1 AND trigger IN (SELECT key FROM trigger WHERE NOT dropped) UNION SELECT trigger FROM attempt WHERE seq = ?1',
      )
      .all(seq)
      .map(({ trigger }) => numberOf(trigger))
    const triggers = new Set([...event.matched, ...named])
    return { kind: 'event', event, deliveries: [...triggers].map(trigger => this.#delivery(trigger, seq)) }
  }

  #deliveries({ query, trigger, from }: Ask & { kind: 'deliveries' }): Answer {
    const seqs =
      query.state === 'dead-lettered'
        ? `SELECT DISTINCT seq FROM attempt WHERE trigger = ? AND fate = ${FATES.indexOf('dead-lettered')} AND seq > ? ORDER BY seq LIMIT ${SLICE}`
        : `SELECT seq FROM delivery WHERE trigger = ? AND seq > ? AND state = ${query.state === 'parked' ? PARKED : RETRYING} ORDER BY seq LIMIT ${SLICE}`
    const one = this.#db.prepare(
      'SELECT seq, accepted, broker, hops, mode, crc, matched, attributes, body FROM event WHERE seq = ?',
    )
    const deliveries: DeliveryRow[] = []
    const events: EventRow[] = []
    let looked = 0
    let bytes = 0
    let last = from
    for (const { seq } of this.#db.prepare(seqs).iterate(trigger, from)) {
      looked++
      last = numberOf(seq)
      const row = one.get(last)
      if (row !== undefined && !fits(row, query, undefined)) continue
      const delivery = this.#delivery(trigger, last)
      if (!says(delivery, query.text)) continue
      const event = row === undefined ? lostRow(last) : eventRow(row)
      deliveries.push(delivery)
      events.push(event)
      bytes += event.body.byteLength + (event.head?.length ?? 0)
      if (deliveries.length >= query.limit || bytes >= ANSWER_BYTES)
        return { kind: 'deliveries', deliveries, events, to: last }
    }
    return { kind: 'deliveries', deliveries, events, to: looked < SLICE ? undefined : last }
  }

  #delivery(trigger: Key, seq: number): DeliveryRow {
    const row = this.#db.prepare('SELECT * FROM delivery WHERE trigger = ? AND seq = ?').get(trigger, seq)
    const attempts = this.#db
      .prepare('SELECT * FROM attempt WHERE seq = ? AND trigger = ? ORDER BY at, dead_letter, number')
      .all(seq, trigger)
      .map(attemptRow)
    return {
      trigger,
      seq,
      // What is young is owed without a row.
      state: row === undefined ? (this.#writer.isYoung(seq, trigger) ? WAITING : undefined) : numberOf(row.state),
      dueMs: row === undefined ? 0 : numberOf(row.due),
      deadLetter: row?.dead_letter === 1,
      attempt: row === undefined ? 0 : numberOf(row.attempt),
      failure: failureOf(row?.failure),
      attempts,
    }
  }

  #owe({ trigger, seqs, busy, nowMs }: Ask & { kind: 'owe' }): Answer {
    const state = this.#db.prepare('SELECT state FROM delivery WHERE trigger = ? AND seq = ?')
    const event = this.#db.prepare('SELECT * FROM event WHERE seq = ?')
    const put = this.#db.prepare(`INSERT OR REPLACE INTO delivery
      (trigger, seq, state, due, attempt, dead_letter) VALUES (?, ?, ${RETRYING}, ?, 0, 0)`)
    // It stays the head of its key, if it is one.
    const again = this.#db.prepare(`UPDATE delivery SET due = ?, attempt = 0, dead_letter = 0, failure = NULL
      WHERE trigger = ? AND seq = ?`)
    let [events, fromParked, fromRetrying] = [0, 0, 0]
    let oldestMs: number | undefined
    const work = () => {
      for (const seq of seqs) {
        const was = state.get(trigger, seq)?.state
        if (busy.has(seq) || was === WAITING || was === BLOCKED || this.#writer.isYoung(seq, trigger)) continue
        const row = event.get(seq)
        if (row === undefined || !isIntact(row)) continue
        if (was === RETRYING) again.run(nowMs, trigger, seq)
        else put.run(trigger, seq, nowMs)
        events++
        if (was === PARKED) fromParked++
        if (was === RETRYING) fromRetrying++
        oldestMs = Math.min(oldestMs ?? Number.POSITIVE_INFINITY, numberOf(row.accepted))
      }
    }
    if (!this.#writer.live.has(trigger)) return { kind: 'owed', events: 0, fromParked: 0, fromRetrying: 0, oldestMs }
    return tryTransaction(this.#db, work)
      ? { kind: 'owed', events, fromParked, fromRetrying, oldestMs }
      : { kind: 'full' }
  }

  #catchUp({ trigger, to }: Ask & { kind: 'catch-up' }): Answer {
    const say = this.#db.prepare(
      'UPDATE trigger SET created = ? WHERE key = ? AND caught IS NOT NULL AND created IS NULL',
    )
    if (!tryTransaction(this.#db, () => void say.run(to, trigger))) return { kind: 'full' }
    const row = this.#db
      .prepare('SELECT created, caught FROM trigger WHERE key = ? AND caught IS NOT NULL')
      .get(trigger)
    if (row === undefined) return { kind: 'catch-up', catchUp: undefined }
    return { kind: 'catch-up', catchUp: { from: numberOf(row.caught), to: numberOf(row.created) } }
  }

  #caughtUp({ trigger, seq }: Ask & { kind: 'caught-up' }): Answer {
    const say = this.#db.prepare(
      'UPDATE trigger SET caught = CASE WHEN created <= ?1 THEN NULL ELSE ?1 END WHERE key = ?2',
    )
    const written = tryTransaction(this.#db, () => void say.run(seq, trigger))
    return written ? { kind: 'catch-up', catchUp: undefined } : { kind: 'full' }
  }

  #discard({ trigger, seqs, nowMs }: Ask & { kind: 'discard' }): Answer {
    const remove = this.#db.prepare(`DELETE FROM delivery WHERE trigger = ? AND seq = ? AND state = ${PARKED}`)
    const note = this.#db.prepare('INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, 0, 0, 0, NULL, ?, ?)')
    let events = 0
    const work = () => {
      for (const seq of seqs) {
        if (remove.run(trigger, seq).changes === 0) continue
        events++
        note.run(seq, trigger, nowMs, FATES.indexOf('discarded'), 'discarded by hand')
      }
      // It may be old enough to go, and retention has been here before.
      this.#writer.retainedTo = Math.min(this.#writer.retainedTo, ...seqs.map(seq => seq - 1))
    }
    return tryTransaction(this.#db, work) ? { kind: 'discarded', events } : { kind: 'full' }
  }
}

/** How far apart the clocks of neighbouring events may be. */
const DOUBT_MS = 60_000

type Wanted = Pick<EventQuery, 'id' | 'source' | 'type' | 'subject' | 'sinceMs' | 'untilMs'>

function fits(row: Row, query: Wanted, broker: Key | undefined): boolean {
  if (broker !== undefined && row.broker !== broker) return false
  const acceptedMs = Number(row.accepted)
  if (query.sinceMs !== undefined && acceptedMs < query.sinceMs) return false
  if (query.untilMs !== undefined && acceptedMs >= query.untilMs) return false
  const names = (['id', 'source', 'type', 'subject'] as const).filter(name => query[name] !== undefined)
  if (names.length === 0) return true
  const text = String(row.attributes)
  // Cheaper than reading every head: most do not even have the text somewhere.
  if (!names.every(name => text.includes(JSON.stringify(query[name])))) return false
  const attributes: Record<string, unknown> = JSON.parse(text)
  return names.every(name => attributes[name] === query[name])
}

function eventRow(row: Row): EventRow {
  const { seq, accepted, broker, mode, attributes, body, matched } = row
  const head = { seq: numberOf(seq), broker: Number(broker), acceptedMs: Number(accepted), structured: mode === 1 }
  if (!isIntact(row) || typeof attributes !== 'string' || !(body instanceof Uint8Array)) {
    return { ...head, head: undefined, body: new Uint8Array(), matched: [] }
  }
  return { ...head, head: attributes, body: new Uint8Array(body), matched: JSON.parse(String(matched)) }
}

/** What is owed without an event to be found is damaged too. */
function lostRow(seq: number): EventRow {
  return { seq, broker: 0, acceptedMs: 0, structured: false, head: undefined, body: new Uint8Array(), matched: [] }
}

function attemptRow(row: Row): AttemptRow {
  return {
    atMs: numberOf(row.at),
    tookMs: numberOf(row.took),
    status: typeof row.status === 'number' ? row.status : undefined,
    words: String(row.words),
    deadLetter: row.dead_letter === 1,
    attempt: numberOf(row.number),
    fate: FATES[numberOf(row.fate)] ?? 'again',
  }
}
