import type { DatabaseSync } from 'node:sqlite'
import type { RetainRequest } from './protocol.ts'
import { numberOf, tryTransaction, usedBytes } from './tables.ts'
import type { Writer } from './writer.ts'

/** Rows looked at in one slice: a few milliseconds of this thread. */
const SLICE = 1024

interface Old {
  readonly seq: number
  readonly acceptedMs: number
  readonly bytes: number
}

/** Deletes what is owed to nobody and old enough, and what was owed to Triggers that are gone. */
export class Retention {
  readonly #db: DatabaseSync
  readonly #writer: Writer

  constructor(db: DatabaseSync, writer: Writer) {
    this.#db = db
    this.#writer = writer
  }

  /** One slice. Returns how many events were deleted, and whether another slice is due at once. */
  slice(request: RetainRequest): { readonly events: number; readonly more: boolean } {
    const dropped = this.#db.prepare('SELECT key FROM trigger WHERE dropped LIMIT 1').get()?.key
    if (typeof dropped === 'number') return { events: 0, more: this.#erase(dropped) }
    const oldest = this.#oldest()
    const [first, last] = [oldest[0], oldest.at(-1)]
    if (first === undefined || last === undefined) return { events: 0, more: false }
    const owed = this.#owed(first.seq, last.seq)
    const candidates = this.#candidates(oldest, owed, request)
    const end = candidates.at(-1)
    if (end === undefined) return { events: 0, more: false }
    const free = candidates.filter(seq => !owed.has(seq))
    const remove = this.#db.prepare('DELETE FROM event WHERE seq BETWEEN ? AND ?')
    const forget = this.#db.prepare('DELETE FROM attempt WHERE seq BETWEEN ? AND ?')
    const work = () => {
      for (const [from, to] of runs(candidates, owed)) {
        remove.run(from, to)
        forget.run(from, to)
      }
    }
    if (!tryTransaction(this.#db, work)) {
      this.#writer.makeRoom()
      if (!tryTransaction(this.#db, work)) return { events: 0, more: false }
    }
    this.#writer.retainedTo = end
    return { events: free.length, more: candidates.length === SLICE }
  }

  #oldest(): Old[] {
    const rows = this.#db.prepare(`SELECT seq, accepted, length(body) + octet_length(attributes) AS bytes FROM event
      WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`)
    return rows.all(this.#writer.retainedTo, this.#writer.watermark, SLICE).map(row => ({
      seq: numberOf(row.seq),
      acceptedMs: numberOf(row.accepted),
      bytes: numberOf(row.bytes),
    }))
  }

  /** Those of the oldest that may go, owed or not: the old ones, and as many more as the size asks for. */
  #candidates(oldest: readonly Old[], owed: ReadonlySet<number>, { beforeMs, maxBytes }: RetainRequest): number[] {
    let excess = usedBytes(this.#db) - maxBytes
    const seqs: number[] = []
    for (const { seq, acceptedMs, bytes } of oldest) {
      if (acceptedMs >= beforeMs && excess <= 0) break
      seqs.push(seq)
      if (!owed.has(seq)) excess -= bytes
    }
    return seqs
  }

  #owed(from: number, to: number): Set<number> {
    const rows = this.#db.prepare('SELECT seq FROM delivery WHERE trigger = ? AND seq BETWEEN ? AND ?')
    const owed = new Set<number>()
    for (const key of this.#writer.live) for (const row of rows.all(key, from, to)) owed.add(numberOf(row.seq))
    return owed
  }

  /** A slice of what a Trigger that is gone was owed. False when there was no room. */
  #erase(key: number): boolean {
    const erase = this.#db.prepare(
      'DELETE FROM delivery WHERE trigger = ? AND seq IN (SELECT seq FROM delivery WHERE trigger = ? LIMIT ?)',
    )
    const forget = this.#db.prepare('DELETE FROM trigger WHERE key = ?')
    // Events that were kept only for it are met again.
    this.#writer.retainedTo = 0
    return tryTransaction(this.#db, () => {
      if (erase.run(key, key, SLICE).changes === 0) forget.run(key)
    })
  }
}

/** Runs of neighbouring `seqs` that are not in `owed`, as first and last. */
function runs(seqs: readonly number[], owed: ReadonlySet<number>): [number, number][] {
  const found: [number, number][] = []
  let run: [number, number] | undefined
  for (const seq of seqs) {
    if (owed.has(seq)) {
      run = undefined
      continue
    }
    if (run === undefined) {
      run = [seq, seq]
      found.push(run)
    } else run[1] = seq
  }
  return found
}
