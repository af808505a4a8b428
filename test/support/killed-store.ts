import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../conformance/event-store.ts'
import { storePlace } from './sqlite-store.ts'

/** A process that works on a store until it is killed, or fails. */
export interface StoreChild extends AsyncDisposable {
  readonly pid: number | undefined
  /** What it wrote down so far, a line each: ms of its life, then what happened. */
  words(): string
  kill(): Promise<void>
  /** Waits until it ended by itself. */
  ended(limitMs: number): Promise<void>
}

/** Starts `store-child.ts` on `dir`, under `wrapper` if there is one. Resolves when it has opened the store. */
export async function startStoreChild(dir: string, prefix = 'e', wrapper: readonly string[] = []): Promise<StoreChild> {
  const notes = await storePlace()
  const file = join(notes.dir, 'words')
  const script = new URL('./store-child.ts', import.meta.url).pathname
  const [command = '', ...args] = [...wrapper, process.execPath, script, dir, file, prefix]
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const words = () => (existsSync(file) ? readFileSync(file, 'utf8') : '')
  await until(() => words().includes(' open\n') || isOver(child), 20_000)
  const kill = async () => {
    child.kill('SIGKILL')
    if (!isOver(child)) await once(child, 'exit')
  }
  return {
    pid: child.pid,
    words,
    kill,
    ended: limitMs => until(() => isOver(child), limitMs),
    async [Symbol.asyncDispose]() {
      await kill()
      await notes[Symbol.asyncDispose]()
    },
  }
}

function isOver(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
