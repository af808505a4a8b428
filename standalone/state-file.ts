import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { type Outside, thisProcess } from '../runtime/outside.ts'

/** How a second terminal finds a world that runs. */
export interface WorldFile {
  readonly pid: number
  /** Origin of the door. */
  readonly ingress: string
  /** Origin of the console and its API. */
  readonly console: string
  readonly cwd: string
  readonly startedMs: number
}

/** How long a world on this machine may take to say that it lives. */
const LIVE_TIMEOUT_MS = 1_000

/** Where the user's running worlds say that they run. */
export function stateDir(outside: Pick<Outside, 'env' | 'tempDir' | 'uid'>): string {
  const base = outside.env.XDG_RUNTIME_DIR
  return join(base !== undefined && base !== '' ? base : outside.tempDir, `weir-${outside.uid ?? 'user'}`)
}

/**
 * Says that `world` runs, for as long as the result is not disposed.
 * @throws when the folder cannot be written, or belongs to somebody else.
 */
export function openStateFile(dir: string, world: WorldFile): Disposable {
  takeDir(dir)
  const file = join(dir, `${world.pid}.json`)
  const draft = `${file}.new`
  writeFileSync(draft, JSON.stringify(world), { mode: 0o600 })
  renameSync(draft, file) // A reader sees the whole file or none.
  return { [Symbol.dispose]: () => rmSync(file, { force: true }) }
}

/** The folder, made if it is not there. @throws when it cannot be written, or belongs to somebody else. */
export function takeDir(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  if (!isOurs(dir)) throw new Error(`${dir} is not yours alone; remove it or set XDG_RUNTIME_DIR`)
}

/** The world that runs for `cwd`: one started in this folder before any other, the newest before an older one. */
export async function findWorld(
  cwd: string,
  outside: Pick<Outside, 'env' | 'tempDir' | 'uid'> = thisProcess,
): Promise<{ ingress: string; console: string; pid: number } | undefined> {
  const dir = stateDir(outside)
  if (!isOurs(dir)) return undefined
  const here = (world: WorldFile) => (world.cwd === cwd ? 1 : 0)
  for (const world of readWorlds(dir).sort((a, b) => here(b) - here(a) || b.startedMs - a.startedMs)) {
    // The number of a world that was killed may be another process's now, so only its answer proves that it lives.
    if (isAlive(world.pid) && (await isLive(world.console)))
      return { ingress: world.ingress, console: world.console, pid: world.pid }
    if (!isAlive(world.pid))
      for (const ending of ['json', 'issuer']) rmSync(join(dir, `${world.pid}.${ending}`), { force: true })
  }
  return undefined
}

/** In a shared temporary folder anybody can make a folder of our name, and so point our commands at a server of theirs. */
function isOurs(dir: string): boolean {
  const found = lstatSync(dir, { throwIfNoEntry: false })
  if (found === undefined || !found.isDirectory()) return false
  return process.getuid === undefined || (found.uid === process.getuid() && (found.mode & 0o022) === 0)
}

function isLive(origin: string): Promise<boolean> {
  return new Promise(resolve => {
    const asked = get(`${origin}/livez`, { agent: false, timeout: LIVE_TIMEOUT_MS }, response => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    asked.once('timeout', () => asked.destroy())
    asked.once('error', () => resolve(false))
  })
}

function readWorlds(dir: string): WorldFile[] {
  return namesIn(dir).flatMap(name => {
    try {
      const read: unknown = JSON.parse(readFileSync(join(dir, name), 'utf8'))
      return isWorldFile(read) && name === `${read.pid}.json` ? [read] : []
    } catch {
      return [] // Gone since it was listed, or not ours.
    }
  })
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir).filter(name => /^\d+\.json$/.test(name))
  } catch {
    return []
  }
}

function isWorldFile(value: unknown): value is WorldFile {
  if (typeof value !== 'object' || value === null) return false
  const { pid, ingress, console, cwd, startedMs } = value as Record<keyof WorldFile, unknown>
  const texts = [cwd, ingress, console].every(text => typeof text === 'string') && URL.canParse(String(console))
  return texts && Number.isSafeInteger(pid) && Number(pid) > 0 && typeof startedMs === 'number'
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
