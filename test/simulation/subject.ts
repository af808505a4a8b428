import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The parts of the broker under simulation, from wherever they were loaded. */
export interface Subject {
  readonly accept: typeof import('../../broker/accept.ts').accept
  readonly Delivery: typeof import('../../broker/delivery.ts').Delivery
  readonly Endpoints: typeof import('../../broker/endpoints.ts').Endpoints
  readonly Budget: typeof import('../../broker/budget.ts').Budget
  readonly openJournal: typeof import('../../broker/journal.ts').openJournal
  readonly StoreFullError: typeof import('../../broker/store.ts').StoreFullError
}

/** The durable store, and the parts of it that its thread is made of. */
export interface StoreSubject {
  readonly openSqliteStore: typeof import('../../broker/stores/sqlite.ts').openSqliteStore
  readonly Checkpoints: typeof import('../../broker/stores/sqlite/checkpoints.ts').Checkpoints
  readonly Reader: typeof import('../../broker/stores/sqlite/reader.ts').Reader
  readonly stalled: typeof import('../../broker/stores/sqlite/reader.ts').stalled
  readonly Writer: typeof import('../../broker/stores/sqlite/writer.ts').Writer
  readonly lastMs: typeof import('../../broker/stores/sqlite/tables.ts').lastMs
  readonly lastSeq: typeof import('../../broker/stores/sqlite/tables.ts').lastSeq
  readonly openTables: typeof import('../../broker/stores/sqlite/tables.ts').openTables
  readonly recover: typeof import('../../broker/stores/sqlite/tables.ts').recover
  readonly storedTriggers: typeof import('../../broker/stores/sqlite/tables.ts').storedTriggers
}

/** A text that is in a file, and what a mistake would make of it. */
export interface Patch {
  readonly file: string
  readonly from: string
  readonly to: string
}

export function loadShipped(): Promise<Subject> {
  return load(root, PARTS)
}

/** The shipped store, but whoever opens it brings the way to its database, which is in no folder. */
const WITHOUT_THREAD: readonly Patch[] = [
  { file: 'broker/stores/sqlite.ts', from: 'await Link.open(options.dir)', to: 'await options.open()' },
  {
    file: 'broker/stores/sqlite/writer.ts',
    from: "this.#ballast = loadBallast(dir, 0) === 'whole'",
    to: 'this.#ballast = true',
  },
]

/** The broker and its durable store, with patches. @throws as `loadPatched`. */
export async function loadWithStore(patches: readonly Patch[]): Promise<Subject & StoreSubject> {
  return copied([...WITHOUT_THREAD, ...patches], [...PARTS, ...STORE_PARTS])
}

/**
 * The shipped broker with patches, loaded from a copy that is removed again.
 * @throws when a text to be replaced is not there exactly once: a patch must not rot.
 */
export async function loadPatched(patches: readonly Patch[]): Promise<Subject> {
  return copied(patches, PARTS)
}

async function copied<Parts>(patches: readonly Patch[], parts: readonly string[]): Promise<Parts> {
  const parent = join(root, '.weir')
  mkdirSync(parent, { recursive: true })
  const dir = mkdtempSync(join(parent, 'patched-'))
  try {
    cpSync(join(root, 'broker'), join(dir, 'broker'), { recursive: true })
    for (const folder of ['contract', 'event', 'runtime']) symlinkSync(join(root, folder), join(dir, folder))
    for (const { file, from, to } of patches) {
      const path = join(dir, file)
      const text = readFileSync(path, 'utf8')
      const found = text.split(from).length - 1
      if (found !== 1) throw new Error(`${file} has this text ${found} times, not once:\n${from}`)
      writeFileSync(
        path,
        text.replace(from, () => to),
      )
    }
    return await load(dir, parts)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const PARTS = ['accept.ts', 'delivery.ts', 'endpoints.ts', 'budget.ts', 'journal.ts', 'store.ts']
const STORE_PARTS = [
  'stores/sqlite.ts',
  ...['checkpoints.ts', 'reader.ts', 'writer.ts', 'tables.ts'].map(name => `stores/sqlite/${name}`),
]

async function load<Parts>(base: string, parts: readonly string[]): Promise<Parts> {
  const modules = parts.map(name => import(pathToFileURL(join(base, 'broker', name)).href))
  return Object.assign({}, ...(await Promise.all(modules)))
}
