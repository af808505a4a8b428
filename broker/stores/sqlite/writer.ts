import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Checkpoints } from './checkpoints.ts'
import { checksum, seedOf } from './checksum.ts'
import { BALLAST_BYTES, dropBallast, loadBallast } from './folder.ts'
import {
  type Change,
  type CommitRequest,
  type Committed,
  FATES,
  HEAD,
  type Key,
  RETRYING,
  type RouteRequest,
  type StoredAttempt,
  WAITING,
} from './protocol.ts'
import { freeBytes, numberOf, tryTransaction, watermark } from './tables.ts'
import { Young, type YoungEvent } from './young.ts'

/** Attempts kept of one delivery. */
const FIRST_KEPT = 5
const LAST_KEPT = 15

/** A WAL, and the largest group in it. */
const SLACK_BYTES = 12 << 20

/** Writes groups. All state of this thread that is not in the database is here. */
export class Writer {
  readonly #db: DatabaseSync
  readonly #dir: string
  readonly #checkpoints: Checkpoints
  /** By seq above the watermark: whom the event is still owed to. */
  readonly #young = new Young()
  /** Triggers that exist. Others are owed nothing. */
  readonly #live: Set<Key>
  #watermark: number
  #newest = 0
  #behind = false
  #ballast: boolean
  /** What the ballast leaves free. It once left too little. */
  #slackBytes = 0
  /** Up to here nothing is kept that is owed to nobody: what is settled there is deleted with its last delivery. */
  retainedTo = 0
  readonly #insert: StatementSync
  readonly #change: StatementSync
  readonly #attempt: StatementSync
  readonly #forget: StatementSync
  readonly #deleteAttempts: StatementSync
  readonly #owe: StatementSync
  readonly #settle: StatementSync
  readonly #owed: StatementSync
  readonly #delete: StatementSync
  readonly #age: StatementSync
  readonly #broker: StatementSync

  constructor(db: DatabaseSync, dir: string, checkpoints: Checkpoints, live: Iterable<Key>) {
    this.#db = db
    this.#dir = dir
    this.#checkpoints = checkpoints
    this.#ballast = loadBallast(dir, 0) === 'whole'
    this.#live = new Set(live)
    this.#watermark = watermark(db)
    // The attributes are bound as the bytes they came in: no string is made of them on this thread.
    this.#insert = db.prepare(`INSERT INTO event (seq, accepted, broker, hops, mode, crc, matched, attributes, body)
      VALUES (?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT), ?)`)
    this.#change = db.prepare(`INSERT OR REPLACE INTO delivery
      (trigger, seq, state, due, attempt, dead_letter, failure, order_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#attempt = db.prepare('INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
    this.#forget = db.prepare('DELETE FROM attempt WHERE seq = ? AND trigger = ? AND dead_letter = ? AND number = ?')
    this.#owe = db.prepare(`INSERT OR IGNORE INTO delivery
      (trigger, seq, state, due, attempt, dead_letter) VALUES (?, ?, ?, 0, 0, 0)`)
    this.#settle = db.prepare('DELETE FROM delivery WHERE trigger = ? AND seq = ?')
    this.#owed = db.prepare('SELECT 1 FROM delivery WHERE trigger = ? AND seq = ?')
    this.#delete = db.prepare('DELETE FROM event WHERE seq = ?')
    this.#deleteAttempts = db.prepare('DELETE FROM attempt WHERE seq = ?')
    this.#age = db.prepare('UPDATE meta SET watermark = ?')
    this.#broker = db.prepare('INSERT OR IGNORE INTO broker VALUES (?, ?)')
  }

  get live(): ReadonlySet<Key> {
    return this.#live
  }

  get watermark(): number {
    return this.#watermark
  }

  /** Settlements found no room and will come again; until then the rows of `delivery` may not be relied upon. */
  get isBehind(): boolean {
    return this.#behind
  }

  /** Whether the event is owed to `trigger` without a row that says so. */
  isYoung(seq: number, trigger: Key): boolean {
    return seq > this.#watermark && this.#young.has(seq, trigger)
  }

  commit(request: CommitRequest): Committed {
    const committed = this.#commit(request)
    this.#behind = !committed.settled
    return committed
  }

  #commit(request: CommitRequest): Committed {
    const { heads, bytes, done } = request
    const answer = { kind: 'committed', heads, bytes, done } as const
    if (request.events === 0 || this.#hasRoom()) {
      if (this.#try(() => this.#write(request, true))) {
        this.#checkpoints.afterCommit(bytes.byteLength)
        return { ...answer, outcome: 'stored', settled: true }
      }
    }
    // What is settled frees room sooner or later, so it must find some itself: the ballast's, if need be.
    if (this.#try(() => this.#write(request, false))) return { ...answer, outcome: 'full', settled: true }
    this.makeRoom()
    const settled = this.#try(() => this.#write(request, false))
    return { ...answer, outcome: 'full', settled }
  }

  /** Gives up the ballast and empties the WAL. */
  makeRoom(): void {
    dropBallast(this.#dir)
    this.#ballast = false
    this.#slackBytes = SLACK_BYTES
    this.#checkpoints.now('TRUNCATE')
  }

  /** A disk without room for the ballast is full. Part of it will do while the database has free pages of its own to grow into. */
  #hasRoom(): boolean {
    if (this.#ballast) return true
    const ballast = loadBallast(this.#dir, this.#slackBytes)
    this.#ballast = ballast === 'whole'
    return this.#ballast || (ballast === 'part' && freeBytes(this.#db) >= BALLAST_BYTES)
  }

  /** Rows for everything that is owed and has none yet. False when there is no room. */
  ageAll(): boolean {
    return this.#newest <= this.#watermark || this.#try(() => this.#ageTo(this.#newest))
  }

  /** Keys in the order of the request, or undefined when there is no room. */
  route({ triggers }: RouteRequest): Key[] | undefined {
    const known = this.#db.prepare('SELECT key, broker FROM trigger WHERE uid = ? AND id = ?')
    const move = this.#db.prepare('UPDATE trigger SET broker = ? WHERE key = ?')
    const insert = this.#db.prepare('INSERT INTO trigger (uid, id, broker, caught) VALUES (?, ?, ?, ?) RETURNING key')
    // Another name, so that a Trigger of the same uid that comes later begins with nothing.
    const dropped = `dropped = 1, uid = uid || ' dropped ' || key`
    const drop = this.#db.prepare(`UPDATE trigger SET ${dropped} WHERE key = ?`)
    const dropUid = this.#db.prepare(`UPDATE trigger SET ${dropped} WHERE uid = ?`)
    const keyOf = ({ uid, id, broker, catchesUp }: RouteRequest['triggers'][number]): Key => {
      const old = known.get(uid, id)
      if (old === undefined) {
        dropUid.run(uid)
        return numberOf(insert.get(uid, id, broker, catchesUp === true ? 0 : null)?.key)
      }
      const key = numberOf(old.key)
      if (old.broker !== broker) move.run(broker, key)
      return key
    }
    let keys: Key[] = []
    const work = () => {
      keys = triggers.map(keyOf)
      const named = new Set(keys)
      for (const key of this.#live) if (!named.has(key)) drop.run(key)
      return () => {
        this.#live.clear()
        for (const key of keys) this.#live.add(key)
      }
    }
    if (this.#try(work)) return keys
    this.makeRoom()
    return this.#try(work) ? keys : undefined
  }

  /** What is postponed is due earlier by as much. One statement: it is rare, and half of it would be wrong. */
  setBack(byMs: number): void {
    const work = () => {
      this.#db.prepare(`UPDATE delivery SET due = due - ? WHERE state = ${RETRYING}`).run(byMs)
      return () => {}
    }
    if (this.#try(work)) return
    this.makeRoom()
    this.#try(work)
  }

  /** False when there was no room and nothing was written. What `work` returns is done once it is on disk. */
  #try(work: () => () => void): boolean {
    let then = () => {}
    const written = tryTransaction(this.#db, () => {
      then = work()
    })
    if (written) then()
    return written
  }

  #write(request: CommitRequest, withEvents: boolean): () => void {
    for (const [key, id] of request.brokers) this.#broker.run(key, id)
    for (const change of request.changes) this.#apply(change)
    for (const attempt of request.attempts) this.#note(attempt)
    this.#settleAll(request)
    const aged = this.#ageTo(request.ageTo)
    const added = withEvents ? this.#insertAll(request) : []
    return () => {
      // Only now: an event that is young and in nobody's row would be lost by the next ageing.
      for (const { seq, trigger } of request.changes) this.#young.forget(seq, trigger)
      aged()
      for (const event of added) this.#young.add(event)
      this.#newest = added.at(-1)?.seq ?? this.#newest
    }
  }

  /** The first attempts and the last ones are kept: a day of failures must not fill the disk with words about them. */
  #note({ trigger, seq, deadLetter, attempt, atMs, tookMs, status, fate, words }: StoredAttempt): void {
    if (!this.#live.has(trigger)) return
    const stage = deadLetter ? 1 : 0
    this.#attempt.run(seq, trigger, atMs, stage, attempt, tookMs, status ?? null, FATES.indexOf(fate), words)
    if (attempt >= FIRST_KEPT + LAST_KEPT) this.#forget.run(seq, trigger, stage, attempt - LAST_KEPT)
  }

  #apply({ trigger, seq, state, dueMs, attempt, deadLetter, failure, orderKey }: Change): void {
    if (!this.#live.has(trigger)) return
    this.#change.run(
      trigger,
      seq,
      state,
      dueMs,
      attempt,
      deadLetter ? 1 : 0,
      failure === undefined ? null : JSON.stringify(failure),
      orderKey ?? null,
    )
  }

  #settleAll({ done, doneLength, changes }: CommitRequest): void {
    const bare: number[] = []
    for (let i = 0; i < doneLength; i += 2) {
      const trigger = done[i] ?? 0
      const seq = done[i + 1] ?? 0
      // What is young has no row, unless this very group gave it one.
      if (this.#young.forget(seq, trigger) && changes.length === 0) continue
      this.#settle.run(trigger, seq)
      if (seq <= this.retainedTo) bare.push(seq)
    }
    for (const seq of bare) {
      if (this.#isOwed(seq)) continue
      this.#delete.run(seq)
      this.#deleteAttempts.run(seq)
    }
  }

  #isOwed(seq: number): boolean {
    for (const key of this.#live) if (this.#owed.get(key, seq) !== undefined) return true
    return false
  }

  #ageTo(seq: number): () => void {
    if (seq <= this.#watermark) return () => {}
    for (const { seq: young, keys } of this.#young.upTo(seq)) {
      for (const key of keys) if (this.#live.has(key)) this.#owe.run(key, young, WAITING)
    }
    this.#age.run(seq)
    return () => {
      this.#young.dropUpTo(seq)
      this.#watermark = seq
    }
  }

  #insertAll({ events, heads, bytes }: CommitRequest): YoungEvent[] {
    const added: YoungEvent[] = []
    let head = 0
    let at = 0
    for (let i = 0; i < events; i++) {
      const seq = heads[head] ?? 0
      const accepted = heads[head + 1] ?? 0
      const broker = heads[head + 2] ?? 0
      const hops = heads[head + 3] ?? 0
      const mode = heads[head + 4] ?? 0
      const textBytes = heads[head + 5] ?? 0
      const bodyBytes = heads[head + 6] ?? 0
      const end = head + HEAD + (heads[head + 7] ?? 0)
      const keys: Key[] = []
      for (let k = head + HEAD; k < end; k++) keys.push(heads[k] ?? 0)
      const both = new Uint8Array(bytes.buffer, at, textBytes + bodyBytes)
      const crc = checksum(both, seedOf(seq, accepted, broker, hops, mode, keys))
      const text = new Uint8Array(bytes.buffer, at, textBytes)
      const body = new Uint8Array(bytes.buffer, at + textBytes, bodyBytes)
      this.#insert.run(seq, accepted, broker, hops, mode, crc, `[${keys}]`, text, body)
      added.push({ seq, keys })
      head = end
      at += textBytes + bodyBytes
    }
    return added
  }
}
