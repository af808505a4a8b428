import type { DatabaseSync } from 'node:sqlite'
import { isFull } from './folder.ts'
import { numberOf } from './tables.ts'

/** The WAL is written back when it has this much. */
const CHECKPOINT_BYTES = 8 << 20
/** How many commits may pass before its size is looked at. */
const LOOK_EVERY = 16
const LOOK_BYTES = 1 << 20

/** Decides when the WAL is written back into the database, and checks that it was. */
export class Checkpoints {
  readonly #db: DatabaseSync
  readonly #pageBytes: number
  #commits = 0
  #bytes = 0

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#pageBytes = numberOf(db.prepare('PRAGMA page_size').get()?.page_size)
  }

  /** @throws when a write or an fsync fails, unless it is a full disk: then the WAL still has everything. */
  afterCommit(bytes: number): void {
    this.#bytes += bytes
    if (++this.#commits < LOOK_EVERY && this.#bytes < LOOK_BYTES) return
    this.#commits = 0
    this.#bytes = 0
    if (this.#run('NOOP').frames * this.#pageBytes >= CHECKPOINT_BYTES) this.now('PASSIVE')
  }

  /** False when the disk is full. @throws as `afterCommit`. */
  now(kind: 'PASSIVE' | 'TRUNCATE'): boolean {
    try {
      const { busy, frames, written } = this.#run(kind)
      if (busy !== 0 || written < frames) throw new Error(`${written} of ${frames} frames were written, busy ${busy}`)
      return true
    } catch (cause) {
      if (isFull(cause)) return false
      throw new Error('a checkpoint failed', { cause })
    }
  }

  #run(kind: 'NOOP' | 'PASSIVE' | 'TRUNCATE'): { busy: number; frames: number; written: number } {
    const row = this.#db.prepare(`PRAGMA wal_checkpoint(${kind})`).get()
    return { busy: numberOf(row?.busy), frames: numberOf(row?.log), written: numberOf(row?.checkpointed) }
  }
}
