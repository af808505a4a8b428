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

/** A text that is in a file, and what a mistake would make of it. */
export interface Patch {
  readonly file: string
  readonly from: string
  readonly to: string
}

export function loadShipped(): Promise<Subject> {
  return load(root)
}

/**
 * The shipped broker with patches, loaded from a copy that is removed again.
 * @throws when a text to be replaced is not there exactly once: a patch must not rot.
 */
export async function loadPatched(patches: readonly Patch[]): Promise<Subject> {
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
    return await load(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function load(base: string): Promise<Subject> {
  const from = (name: string) => import(pathToFileURL(join(base, 'broker', name)).href)
  const modules = ['accept.ts', 'delivery.ts', 'endpoints.ts', 'budget.ts', 'journal.ts', 'store.ts'].map(from)
  return Object.assign({}, ...(await Promise.all(modules)))
}
