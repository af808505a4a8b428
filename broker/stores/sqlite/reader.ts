import type { DatabaseSync } from 'node:sqlite'
import type { Failure } from '../../store.ts'
import {
  BEHIND_EVENTS,
  BLOCKED,
  type Loaded,
  type LoadedEvent,
  type LoadRequest,
  PARKED,
  RETRYING,
  WAITING,
} from './protocol.ts'
import { DAMAGED, isIntact, numberOf, type Row, tryTransaction } from './tables.ts'

/** What is due on disk is counted up to here: more than anybody scales by. */
const COUNTED_MOST = 20_000

const COLUMNS = `delivery.seq, delivery.due, delivery.attempt, delivery.dead_letter, delivery.failure, delivery.order_key,
  event.seq AS event_seq, accepted, broker, hops, mode, crc, matched, attributes, body`
const JOINED = 'delivery LEFT JOIN event ON event.seq = delivery.seq'

/** Brings events back from disk, and never one that is not what was accepted. */
export class Reader {
  readonly #db: DatabaseSync

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  load(request: LoadRequest): Loaded {
    const { trigger, what, exclude, orderKeys } = request
    const events: LoadedEvent[] = []
    const damaged: number[] = []
    let bytes = 0
    let left = false
    for (const row of this.#rows(request)) {
      const seq = numberOf(row.seq)
      if (exclude.has(seq)) continue
      if (events.length >= request.limit || bytes >= request.limitBytes) {
        left = true
        break
      }
      const event = loadedEvent(row)
      if (event === undefined) damaged.push(seq)
      else {
        events.push(event)
        bytes += event.body.byteLength + event.attributes.length
      }
    }
    if (damaged.length > 0 && !this.#park(trigger, damaged)) return stalled(request)
    if (damaged.length > 0 && what === 'blocked') {
      // Which keys they were of is not asked: without them, the answer counts what there is of each key.
      const again = this.load(request)
      return { ...again, damaged: [...damaged, ...again.damaged] }
    }
    const counted = left && what === 'due' ? this.#countDue(request, events.length) : Number(left)
    const nextDueMs = this.#nextDueMs(request)
    return { kind: 'loaded', stalled: false, trigger, what, orderKeys, events, damaged, left: counted, nextDueMs }
  }

  #rows(request: LoadRequest): Iterable<Row> {
    const { trigger, what, afterSeq, nowMs, orderKeys } = request
    if (what === 'blocked') return this.#behind(trigger, orderKeys)
    if (what === 'waiting') {
      const sql = `SELECT ${COLUMNS} FROM ${JOINED}
        WHERE delivery.trigger = ? AND delivery.seq > ? AND delivery.state = ${WAITING} ORDER BY delivery.seq`
      return this.#db.prepare(sql).iterate(trigger, afterSeq)
    }
    const sql = `SELECT ${COLUMNS} FROM ${JOINED}
      WHERE delivery.trigger = ? AND delivery.state = ${RETRYING} AND due <= ? ORDER BY due, delivery.seq`
    return this.#db.prepare(sql).iterate(trigger, nowMs)
  }

  *#behind(trigger: number, orderKeys: readonly string[] | undefined): Iterable<Row> {
    const blocked = `SELECT ${COLUMNS} FROM ${JOINED} WHERE delivery.trigger = ? AND delivery.state = ${BLOCKED}`
    if (orderKeys === undefined) {
      yield* this.#db.prepare(`${blocked} ORDER BY delivery.seq`).iterate(trigger)
      return
    }
    const ofKey = this.#db.prepare(`${blocked} AND order_key = ? ORDER BY delivery.seq LIMIT ${BEHIND_EVENTS}`)
    for (const key of orderKeys) yield* ofKey.all(trigger, key)
  }

  #countDue({ trigger, nowMs, exclude }: LoadRequest, loaded: number): number {
    const sql = `SELECT count(*) AS n FROM (
      SELECT 1 FROM delivery WHERE trigger = ? AND state = ${RETRYING} AND due <= ? LIMIT ${COUNTED_MOST})`
    const due = numberOf(this.#db.prepare(sql).get(trigger, nowMs)?.n)
    return Math.max(1, due - loaded - exclude.size)
  }

  #nextDueMs({ trigger, what, nowMs }: LoadRequest): number | undefined {
    if (what !== 'due') return undefined
    const sql = `SELECT due FROM delivery WHERE trigger = ? AND state = ${RETRYING} AND due > ? ORDER BY due LIMIT 1`
    const row = this.#db.prepare(sql).get(trigger, nowMs)
    return row === undefined ? undefined : numberOf(row.due)
  }

  /** False when there was no room. */
  #park(trigger: number, seqs: readonly number[]): boolean {
    const park = this.#db.prepare(`UPDATE delivery SET state = ${PARKED}, failure = ? WHERE trigger = ? AND seq = ?`)
    return tryTransaction(this.#db, () => {
      for (const seq of seqs) park.run(DAMAGED, trigger, seq)
    })
  }
}

/** The answer when the disk is full. */
export function stalled({ trigger, what, orderKeys }: LoadRequest): Loaded {
  return {
    kind: 'loaded',
    stalled: true,
    trigger,
    what,
    orderKeys,
    events: [],
    damaged: [],
    left: 1,
    nextDueMs: undefined,
  }
}

/** Undefined when the event is not there, or not as it was written. */
function loadedEvent(row: Row): LoadedEvent | undefined {
  const { event_seq: seq, accepted, hops, mode, attributes, body, attempt, dead_letter, failure, order_key } = row
  if (!isIntact({ ...row, seq })) return undefined
  if (typeof attributes !== 'string' || !(body instanceof Uint8Array)) return undefined
  return {
    seq: numberOf(seq),
    acceptedMs: numberOf(accepted),
    hops: numberOf(hops),
    structured: mode === 1,
    attributes,
    body: new Uint8Array(body),
    attempt: numberOf(attempt),
    deadLetter: dead_letter === 1,
    failure: failureOf(failure),
    orderKey: typeof order_key === 'string' ? order_key : undefined,
  }
}

export function failureOf(text: unknown): Failure | undefined {
  if (typeof text !== 'string') return undefined
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) return undefined
  const { destination, code, data } = value as Partial<Failure>
  return { destination: String(destination), code: Number(code), data: String(data) }
}
