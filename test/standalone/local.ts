import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { ReplicaDeps, Template } from '../../standalone/replica.ts'
import type { ManualClock } from '../support/manual-clock.ts'

/** A folder that is gone after the test. */
export function tempFolder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'weir-test-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Waits for something that other processes do. @throws with `what` when it takes longer than `limitMs`. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  limitMs = 10_000,
): Promise<void> {
  const untilMs = performance.now() + limitMs
  while (!(await check())) {
    if (performance.now() > untilMs) throw new Error(`not within ${limitMs} ms: ${what}`)
    await pause(5)
  }
}

/** As `eventually`, while the manual clock runs beside real time, ten times as fast. */
export function eventuallyOn(clock: ManualClock, what: string, check: () => boolean, limitMs = 10_000): Promise<void> {
  return eventually(
    what,
    async () => {
      await clock.advance(50)
      return check()
    },
    limitMs,
  )
}

/** Whether a process runs; one that is dead and not yet collected by its parent does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Node run on `script`, with the environment of the test. */
export function nodeTemplate(script: string, more: Partial<Template> = {}): Template {
  return {
    argv: [process.execPath, '-e', script],
    cwd: tmpdir(),
    env: { ...(process.env as Record<string, string>), NODE_OPTIONS: '' },
    readinessPath: undefined,
    graceMs: 30_000,
    ...more,
  }
}

/** Everything a replica says and prints, in arrays. */
export function recordingDeps(clock: ReplicaDeps['clock']): ReplicaDeps & { said: string[]; printed: string[] } {
  const said: string[] = []
  const printed: string[] = []
  return {
    clock,
    random: Math.random,
    ports: new Set(),
    output: (replica, line) => printed.push(`${replica} | ${line}`),
    say: text => said.push(text),
    expectsPort: () => true,
    changed: () => {},
    said,
    printed,
  }
}

/** Listens on PORT, prints what it is told, and ends on SIGTERM. */
export const LISTENER = `
  const server = require('node:http').createServer((q, s) => s.end('ok')).listen(process.env.PORT, () => console.log('up'))
  process.on('SIGTERM', () => { console.log('told'); server.close(() => process.exit(0)) })
`
