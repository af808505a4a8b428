import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { OpenProblem } from './protocol.ts'

/** The layout of the tables. A larger number in the folder was written by a newer Weir. */
export const FORMAT = 2
/** The oldest that is brought up to it. */
const FORMAT_OLDEST = 1

const DATABASE = 'store.sqlite'
const FORMAT_FILE = 'format.json'
const LOCK = 'lock.sqlite'
const OWNER = 'owner.pid'
const BALLAST = 'ballast'

/**
 * Given up when the disk is full, so that the WAL can be written back, and what is settled be written down and deleted.
 * As large as the WAL becomes; see `Checkpoints`.
 */
export const BALLAST_BYTES = 16 << 20
/** Less of it is of no use. */
const BALLAST_LEAST_BYTES = 4 << 20
/** Of what `stat` counts in. */
const BLOCK_BYTES = 512

/** The folder cannot be used as it is; nothing in it was changed. */
export class FolderError extends Error {
  readonly code: OpenProblem
  constructor(code: OpenProblem, message: string) {
    super(message)
    this.code = code
  }
}

/** A folder that this process owns until `release`. */
export interface Folder {
  readonly database: string
  release(): void
}

/**
 * Takes the folder for this process. The lock is SQLite's own on a file of its own, so the kernel gives it back when the
 * process ends in whatever way. The format is checked before SQLite sees the database, because opening rewrites it.
 * @throws {FolderError} another process owns it, or its format is not ours.
 */
export function takeFolder(dir: string): Folder {
  mkdirSync(dir, { recursive: true })
  const lock = lockFolder(dir)
  try {
    checkFormat(dir)
    noteOwner(dir)
  } catch (error) {
    lock.close()
    throw error
  }
  return {
    database: join(dir, DATABASE),
    release() {
      rmSync(join(dir, OWNER), { force: true })
      lock.close()
    },
  }
}

function lockFolder(dir: string): DatabaseSync {
  const lock = new DatabaseSync(join(dir, LOCK), { timeout: 0 })
  try {
    // Nothing is ever written here, so a full disk is no reason not to lock.
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    return lock
  } catch (error) {
    lock.close()
    if (!isBusy(error)) throw error
    const owner = existsSync(join(dir, OWNER)) ? readFileSync(join(dir, OWNER), 'utf8').trim() : 'unknown'
    throw new FolderError(
      'store-locked',
      `The store in ${dir} is in use by another process (pid ${owner}). Stop it, or choose another folder.`,
    )
  }
}

function checkFormat(dir: string): void {
  const file = join(dir, FORMAT_FILE)
  if (!existsSync(file)) {
    if (existsSync(join(dir, DATABASE))) {
      throw new FolderError(
        'store-format',
        `${dir} has a ${DATABASE} but no ${FORMAT_FILE}: it is not known to be ours and was left as it is. Choose another folder.`,
      )
    }
    writeDurably(dir, FORMAT_FILE, `${JSON.stringify({ format: FORMAT })}\n`)
    return
  }
  const format = formatOf(readFileSync(file, 'utf8'))
  if (format === FORMAT) return
  if (format !== undefined && Number.isInteger(format) && format >= FORMAT_OLDEST && format < FORMAT) {
    // First of all, so that an older Weir never meets tables that are half of this format. The tables follow; see `openTables`.
    writeDurably(dir, FORMAT_FILE, `${JSON.stringify({ format: FORMAT })}\n`)
    return
  }
  const what = format === undefined ? `${FORMAT_FILE} cannot be read` : `its format is ${format}`
  throw new FolderError(
    'store-format',
    `The store in ${dir} was not opened and not changed: ${what}, and this Weir knows format ${FORMAT}. Use the Weir that wrote it, or another folder.`,
  )
}

/** For the message of the next one who comes; the lock itself is elsewhere, so a full disk is no reason to stop. */
function noteOwner(dir: string): void {
  try {
    writeFileSync(join(dir, OWNER), `${process.pid}\n`)
  } catch (error) {
    if (!isNoSpace(error)) throw error
  }
}

function formatOf(text: string): number | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('format' in value)) return undefined
    return typeof value.format === 'number' ? value.format : undefined
  } catch {
    return undefined
  }
}

/** The file is there whole or not at all, and survives a power cut. */
function writeDurably(dir: string, name: string, text: string): void {
  const temporary = join(dir, `${name}.new`)
  const file = openSync(temporary, 'w')
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, join(dir, name))
  syncFolder(dir)
}

export function syncFolder(dir: string): void {
  const folder = openSync(dir, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/**
 * Makes sure that the ballast is there, as much of it as fits beside `slackBytes` that stay free. What was given up may not come
 * back whole: the WAL was written back into the database meanwhile, whose file does not shrink.
 */
export function loadBallast(dir: string, slackBytes: number): 'whole' | 'part' | 'none' {
  const path = join(dir, BALLAST)
  const there = (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK_BYTES
  if (there >= BALLAST_BYTES) return 'whole'
  const { bavail, bsize } = statfsSync(dir)
  const most = slackBytes === 0 ? BALLAST_BYTES : Math.min(BALLAST_BYTES, there + bavail * bsize - slackBytes)
  if (there >= BALLAST_LEAST_BYTES && most < BALLAST_BYTES) return 'part'
  rmSync(path, { force: true })
  if (most < BALLAST_LEAST_BYTES) return 'none'
  try {
    const file = openSync(path, 'w')
    try {
      // Bytes that no file system can keep as a hole. They are not synced: what counts is that they have their blocks.
      const bytes = Buffer.alloc(1 << 20, 'weir')
      for (let written = 0; written < most; )
        written += writeSync(file, bytes, 0, Math.min(bytes.length, most - written))
    } finally {
      closeSync(file)
    }
    return most === BALLAST_BYTES ? 'whole' : 'part'
  } catch (error) {
    rmSync(path, { force: true })
    if (isNoSpace(error)) return 'none'
    throw error
  }
}

export function dropBallast(dir: string): void {
  rmSync(join(dir, BALLAST), { force: true })
}

/** SQLite's primary result codes: https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5
const SQLITE_FULL = 13

function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined
  return error.errcode & 0xff
}

export function isFull(error: unknown): boolean {
  return primaryCode(error) === SQLITE_FULL
}

function isBusy(error: unknown): boolean {
  return primaryCode(error) === SQLITE_BUSY
}

function isNoSpace(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}
