import { type FSWatcher, watch } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, extname, join, resolve } from 'node:path'
import { type Notice, parseManifest, type Resource } from '../crds/manifest.ts'
import { type Mistake, resourceKey } from '../crds/resource.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'

/** Everything that the files say, together. Where there is a mistake, `resources` is not to be used. */
export interface Loaded {
  readonly resources: readonly Resource[]
  readonly mistakes: readonly Mistake[]
  readonly notices: readonly Notice[]
  readonly files: readonly string[]
}

const EXTENSIONS = new Set(['.yaml', '.yml', '.json'])
const MAX_FILES = 1_000
const MAX_FILE_BYTES = 4 << 20

/** A burst of writes counts as one edit once it has been quiet for this long. */
const QUIET_MS = 100
/** A file that never gets quiet (something appends to it) must not hide the edits of others: then it is read as it is. */
const RESTLESS_LOOKS = 20
/** Not every file system tells of changes (network, containers), so the files are also looked at now and then. */
const LOOK_MS = 1_000

/** Reads what `paths` (files, and folders with all below them) hold, relative to `cwd`. Never throws for what it finds. */
export async function loadFiles(paths: readonly string[], cwd: string): Promise<Loaded> {
  const found = await listFiles(paths, cwd)
  const mistakes: Mistake[] = [...found.mistakes]
  const notices: Notice[] = []
  const resources = new Map<string, Resource>()
  const files: string[] = []
  for (const { path, named } of found.files) {
    const text = await readText(path, cwd)
    if (typeof text !== 'string') {
      mistakes.push(text)
      continue
    }
    // A folder may hold JSON that is nobody's resource, such as a package.json.
    if (!named && extname(path) === '.json' && !/"apiVersion"\s*:/.test(text)) continue
    files.push(path)
    const manifest = parseManifest(text, path)
    mistakes.push(...manifest.mistakes)
    notices.push(...manifest.notices)
    for (const resource of manifest.resources) {
      const twin = resources.get(resourceKey(resource))
      if (twin !== undefined) mistakes.push(twiceMistake(resource, twin))
      else resources.set(resourceKey(resource), resource)
    }
  }
  return { resources: [...resources.values()], mistakes, notices, files }
}

function twiceMistake(resource: Resource, twin: Resource): Mistake {
  const { kind, metadata, where } = resource
  const first = `${twin.where.file}:${twin.where.line}`
  return {
    ...where,
    message: `${kind} ${metadata.namespace}/${metadata.name} is already at ${first}; remove one of the two`,
  }
}

interface Found {
  /** `named`: given by the person, not found in a folder. */
  readonly files: readonly { readonly path: string; readonly named: boolean }[]
  readonly mistakes: readonly Mistake[]
  /** Absolute; where a change would show. */
  readonly folders: ReadonlySet<string>
}

async function listFiles(paths: readonly string[], cwd: string): Promise<Found> {
  const files = new Map<string, { path: string; named: boolean }>()
  const mistakes: Mistake[] = []
  const folders = new Set<string>()

  const addFolder = async (folder: string): Promise<void> => {
    folders.add(resolve(cwd, folder))
    const entries = await readdir(resolve(cwd, folder), { withFileTypes: true }).catch(() => [])
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (files.size >= MAX_FILES) return
      const path = join(folder, entry.name)
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
      if (entry.isDirectory()) await addFolder(path)
      else if (EXTENSIONS.has(extname(entry.name)) && !files.has(resolve(cwd, path)))
        files.set(resolve(cwd, path), { path, named: false })
    }
  }
  for (const path of paths) {
    const found = await stat(resolve(cwd, path)).catch(() => undefined)
    if (found === undefined) mistakes.push(fileMistake(path, 'there is no such file or folder'))
    if (found?.isDirectory()) await addFolder(path)
    else {
      folders.add(dirname(resolve(cwd, path)))
      if (found !== undefined) files.set(resolve(cwd, path), { path, named: true })
    }
  }
  if (files.size >= MAX_FILES)
    mistakes.push(fileMistake(paths[0] ?? '.', `more than ${MAX_FILES} files; name a smaller folder`))
  return { files: [...files.values()], mistakes, folders }
}

async function readText(path: string, cwd: string): Promise<string | Mistake> {
  try {
    const { size } = await stat(resolve(cwd, path))
    if (size > MAX_FILE_BYTES) return fileMistake(path, `larger than ${MAX_FILE_BYTES >> 20} MiB`)
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(resolve(cwd, path)))
  } catch (error) {
    if (error instanceof TypeError) return fileMistake(path, 'not UTF-8 text')
    return fileMistake(path, `cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function fileMistake(file: string, message: string): Mistake {
  return { file, line: 1, column: 1, message }
}

/**
 * Calls `changed` with what the files say whenever they say something else, one call after another, until disposed.
 * `loaded` is what they said at first.
 */
export function watchFiles(
  paths: readonly string[],
  cwd: string,
  loaded: Loaded,
  clock: Clock,
  changed: (loaded: Loaded) => void,
): Disposable {
  return new Watch(paths, cwd, loaded, clock, changed)
}

class Watch implements Disposable {
  readonly #paths: readonly string[]
  readonly #cwd: string
  readonly #clock: Clock
  readonly #changed: (loaded: Loaded) => void
  readonly #watchers = new Map<string, FSWatcher>()
  #said: string
  #signature = ''
  #disposed = false
  #busy = false
  /** Something may have changed while `#busy`. */
  #kicked = false
  /** Whether what the signature stands for has been loaded. */
  #settled = false
  /** Looks in a row that each found something else. */
  #restless = 0
  #cancel: Cancel = () => {}

  constructor(paths: readonly string[], cwd: string, loaded: Loaded, clock: Clock, changed: (loaded: Loaded) => void) {
    this.#paths = paths
    this.#cwd = cwd
    this.#clock = clock
    this.#changed = changed
    this.#said = JSON.stringify(loaded)
    void this.#look()
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    this.#cancel()
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  #kick(): void {
    if (this.#busy) this.#kicked = true
    else this.#rest(0)
  }

  #rest(ms: number): void {
    if (this.#disposed) return
    this.#cancel()
    this.#cancel = this.#clock.after(ms, () => void this.#look())
  }

  async #look(): Promise<void> {
    if (this.#disposed || this.#busy) return
    this.#busy = true
    this.#kicked = false
    const found = await listFiles(this.#paths, this.#cwd)
    const signature = await this.#signatureOf(found)
    this.#follow(found.folders)
    const quiet = signature === this.#signature
    this.#signature = signature
    this.#restless = quiet ? 0 : this.#restless + 1
    if (!quiet) this.#settled = false
    if (!this.#settled && (quiet || this.#restless % RESTLESS_LOOKS === 0)) {
      this.#settled = quiet
      await this.#load()
    }
    this.#busy = false
    this.#rest(this.#settled && !this.#kicked ? LOOK_MS : QUIET_MS)
  }

  async #load(): Promise<void> {
    const loaded = await loadFiles(this.#paths, this.#cwd)
    const said = JSON.stringify(loaded)
    if (this.#disposed || said === this.#said) return
    this.#said = said
    this.#changed(loaded)
  }

  async #signatureOf(found: Found): Promise<string> {
    const lines = found.files.map(async ({ path }) => {
      const seen = await stat(resolve(this.#cwd, path)).catch(() => undefined)
      return `${path} ${seen?.ino} ${seen?.size} ${seen?.mtimeMs}`
    })
    return [...(await Promise.all(lines)), ...found.mistakes.map(mistake => mistake.file)].join('\n')
  }

  #follow(folders: ReadonlySet<string>): void {
    if (this.#disposed) return
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    for (const folder of folders) {
      if (this.#watchers.has(folder)) continue
      try {
        const watcher = watch(folder, { persistent: false }, () => this.#kick())
        watcher.on('error', () => {}) // The look now and then goes on without it.
        this.#watchers.set(folder, watcher)
      } catch {
        // As above: no watch is left for this user, or the folder is just gone.
      }
    }
  }
}
