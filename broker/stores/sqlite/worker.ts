/** The thread that owns the database. Requests come in order and are answered in order; whatever fails ends it. */
import type { DatabaseSync } from 'node:sqlite'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { Archivist } from './archivist.ts'
import { Checkpoints } from './checkpoints.ts'
import { dropBallast, FolderError, isFull, takeFolder } from './folder.ts'
import type { Reply, Request } from './protocol.ts'
import { Reader, stalled } from './reader.ts'
import { Retention } from './retention.ts'
import { lastMs, lastSeq, numberOf, openTables, recover, storedTriggers } from './tables.ts'
import { Writer } from './writer.ts'

if (parentPort !== null) run(parentPort, String(workerData))

function run(port: MessagePort, dir: string): void {
  const answer = (reply: Reply, transfer: ArrayBuffer[] = []) => port.postMessage(reply, transfer)
  let store: ReturnType<typeof openStore>
  try {
    store = openStore(dir)
  } catch (error) {
    const code = error instanceof FolderError ? error.code : 'store-unusable'
    const message =
      error instanceof FolderError ? error.message : `The store in ${dir} cannot be opened: ${wordsOf(error)}`
    answer({ kind: 'refused', code, message })
    port.close()
    return
  }
  answer(store.opened)
  port.on('message', (request: Request) => {
    try {
      store.work(request, answer)
      if (request.kind === 'close') port.close()
    } catch (error) {
      // What was not written stays unwritten: after a failed fsync nobody can say what a second one would mean.
      answer({ kind: 'failed', message: `The store in ${dir} failed at ${request.kind}: ${wordsOf(error)}` })
      port.close()
    }
  })
}

function openStore(dir: string) {
  const folder = takeFolder(dir)
  try {
    const { db, damaged } = openWithRoom(folder.database, dir)
    const triggers = storedTriggers(db)
    const checkpoints = new Checkpoints(db)
    const keys = triggers.map(({ key }) => key)
    const writer = new Writer(db, dir, checkpoints, keys)
    const reader = new Reader(db)
    const retention = new Retention(db, writer)
    const archivist = new Archivist(db, writer)
    const brokers = db.prepare('SELECT key, id FROM broker').all()
    const opened: Reply = {
      kind: 'opened',
      lastSeq: lastSeq(db),
      lastMs: lastMs(db),
      brokers: brokers.map(row => [numberOf(row.key), String(row.id)] as const),
      triggers,
      damaged,
    }
    const close = (): string | undefined => {
      const aged = writer.ageAll()
      const written = checkpoints.now('TRUNCATE')
      db.close()
      folder.release()
      return aged && written ? undefined : 'The disk is full: some deliveries may be repeated after the next start.'
    }
    return {
      opened,
      work(request: Request, answer: (reply: Reply, transfer?: ArrayBuffer[]) => void): void {
        switch (request.kind) {
          case 'commit': {
            const done = writer.commit(request)
            answer(done, [done.heads.buffer, done.bytes.buffer, done.done.buffer])
            break
          }
          case 'load': {
            // What was never in memory may have no row yet; what was postponed has one.
            const ready = !writer.isBehind && (request.what === 'due' || writer.ageAll())
            const loaded = ready ? reader.load(request) : stalled(request)
            answer(
              loaded,
              loaded.events.map(({ body }) => body.buffer),
            )
            break
          }
          case 'route':
            answer({ kind: 'routed', keys: writer.route(request) })
            break
          case 'ask':
            answer({ kind: 'answer', answer: writer.isBehind ? { kind: 'full' } : archivist.answer(request.ask) })
            break
          case 'retain':
            answer({ kind: 'retained', ...retention.slice(request) })
            break
          case 'back':
            writer.setBack(request.byMs)
            answer(request)
            break
          case 'close':
            answer({ kind: 'closed', problem: close() })
            break
          default:
            request satisfies never
        }
      },
    }
  } catch (error) {
    folder.release()
    throw error
  }
}

/** Opening writes, and the disk may be full: the ballast is there for that. */
function openWithRoom(path: string, dir: string): { readonly db: DatabaseSync; readonly damaged: number[] } {
  try {
    return openAndRecover(path)
  } catch (error) {
    if (!isFull(error)) throw error
    dropBallast(dir)
    return openAndRecover(path)
  }
}

function openAndRecover(path: string): { readonly db: DatabaseSync; readonly damaged: number[] } {
  const db = openTables(path)
  try {
    return { db, damaged: recover(db) }
  } catch (error) {
    db.close()
    throw error
  }
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'errcode' in error ? ` (SQLite ${String(error.errcode)})` : ''
  const cause = error.cause === undefined ? '' : `: ${wordsOf(error.cause)}`
  return `${error.message}${code}${cause}`
}
