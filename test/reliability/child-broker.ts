import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BROKER_DEFAULTS, type BrokerConfig } from '../../broker/config.ts'
import type { Routes } from '../../contract/routes.ts'
import type { Patch } from '../simulation/subject.ts'

export const SHIPPED = fileURLToPath(new URL('../..', import.meta.url))

/** What a child may be asked, and what it tells. */
export type Ask = 'owed'
export type Told =
  | { readonly kind: 'open'; readonly origin: string }
  /** Events that some Trigger, or its dead-letter sink, has still to get. */
  | { readonly kind: 'owed'; readonly owed: number }

export interface ChildBroker extends AsyncDisposable {
  readonly origin: string
  readonly pid: number
  owed(): Promise<number>
  /** kill -9. Resolves when the process is gone. */
  kill(): Promise<void>
  /** SIGTERM. Resolves with the exit code. @throws when a signal ended it, or after a minute. */
  stop(): Promise<number>
}

export interface ChildOptions {
  /** Folder that has the `broker` folder to run. */
  readonly base: string
  readonly routes: Routes
  readonly config?: Partial<BrokerConfig>
  readonly flags?: readonly string[]
  /** It is expected to fail: what it says then is not shown. */
  readonly quiet?: boolean
}

/** Starts a broker in a process of its own. @throws when it ends before it is open. */
export async function startBroker(dataDir: string, options: ChildOptions): Promise<ChildBroker> {
  const { base, routes, flags = [] } = options
  const config: BrokerConfig = { ...BROKER_DEFAULTS, port: 0, dataDir, ...options.config }
  const child = fork(new URL('./broker-child.ts', import.meta.url), [JSON.stringify({ base, config, routes })], {
    execArgv: [...flags],
    stdio: ['ignore', 'ignore', options.quiet === true ? 'ignore' : 'inherit', 'ipc'],
  })
  const exited = new Promise<{ code: number | null; signal: string | null }>(resolve => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  const next = async (kind: Told['kind']): Promise<Told> => {
    const heard = once(child, 'message') as Promise<[Told]>
    const [told] = await Promise.race([
      heard,
      exited.then(({ code, signal }) => Promise.reject(new Error(`the broker ended: ${code ?? signal}`))),
    ])
    if (told.kind !== kind) throw new Error(`the child told ${told.kind}, not ${kind}`)
    return told
  }
  const opened = await next('open')
  const kill = async () => {
    child.kill('SIGKILL')
    await exited
  }
  return {
    origin: opened.kind === 'open' ? opened.origin : '',
    pid: child.pid ?? 0,
    async owed() {
      const answer = next('owed')
      child.send('owed' satisfies Ask)
      const told = await answer
      return told.kind === 'owed' ? told.owed : Number.NaN
    },
    kill,
    async stop() {
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), 60_000)
      const { code, signal } = await exited
      clearTimeout(late)
      if (code === null) throw new Error(`the broker was ended by ${signal}`)
      return code
    },
    [Symbol.asyncDispose]: kill,
  }
}

/**
 * A copy of the broker with mistakes in it, removed at the end.
 * @throws when a text to be replaced is not there exactly once: a mistake must not rot.
 */
export function patchedBroker(patches: readonly Patch[]): { readonly base: string } & Disposable {
  const parent = join(SHIPPED, '.weir')
  mkdirSync(parent, { recursive: true })
  const base = mkdtempSync(join(parent, 'patched-'))
  const remove = () => rmSync(base, { recursive: true, force: true })
  try {
    cpSync(join(SHIPPED, 'broker'), join(base, 'broker'), { recursive: true })
    for (const folder of ['contract', 'event', 'runtime']) symlinkSync(join(SHIPPED, folder), join(base, folder))
    for (const { file, from, to } of patches) {
      const text = readFileSync(join(base, file), 'utf8')
      const found = text.split(from).length - 1
      if (found !== 1) throw new Error(`${file} has this text ${found} times, not once:\n${from}`)
      writeFileSync(
        join(base, file),
        text.replace(from, () => to),
      )
    }
  } catch (error) {
    remove()
    throw error
  }
  return { base, [Symbol.dispose]: remove }
}
