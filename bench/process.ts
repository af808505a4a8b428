import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Linux counts CPU time in ticks of 10 ms. */
const TICK_MS = 10
const root = fileURLToPath(new URL('..', import.meta.url))

const children = new Set<ChildProcess>()
// A bench that is interrupted leaves nothing running.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

/** A process under measurement, on a core of its own (core 0; the load runs on core 1). */
export interface Measured extends AsyncDisposable {
  readonly pid: number
  readonly port: number
  /** User + system CPU since it began, all threads, ms. */
  cpuMs(): number
  /** The same of each thread, by its id. */
  threadsMs(): ReadonlyMap<string, number>
  residentMb(): number
  /** From spawn to the first line that named its port, ms. */
  readonly readyMs: number
}

/** Runs `args` on this Node, waits for `port` to find the port in its output. @throws with its output when it ends first. */
export async function start(args: readonly string[], port: (output: string) => number | undefined): Promise<Measured> {
  const pinned = existsSync('/usr/bin/taskset') ? ['taskset', '-c', '0'] : []
  const [command = process.execPath, ...rest] = [...pinned, process.execPath, ...args]
  const beganMs = performance.now()
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'], cwd: root })
  children.add(child)
  child.once('exit', () => children.delete(child))
  let output = ''
  const found = await new Promise<number>((resolve, reject) => {
    const look = (chunk: Buffer) => {
      if (output.length < 1 << 20) output += chunk.toString()
      const seen = port(output)
      if (seen !== undefined) resolve(seen)
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    child.on('exit', code => reject(new Error(`${args[0]} ended with ${code} before it was ready:\n${output}`)))
  })
  const pid = child.pid ?? 0
  return {
    pid,
    port: found,
    readyMs: performance.now() - beganMs,
    cpuMs: () => ticksOf(`/proc/${pid}/stat`) * TICK_MS,
    threadsMs: () => {
      const threads = readdirSync(`/proc/${pid}/task`)
      return new Map(threads.map(id => [id, ticksOf(`/proc/${pid}/task/${id}/stat`) * TICK_MS]))
    },
    residentMb: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024,
    [Symbol.asyncDispose]: () => end(child),
  }
}

/** User and system time in a file of proc(5). */
function ticksOf(stat: string): number {
  const fields = readFileSync(stat, 'utf8').split(') ')[1]?.split(' ') ?? []
  return Number(fields[11]) + Number(fields[12])
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), 15_000)
  await once(child, 'exit')
  clearTimeout(force)
}

/** The floor, sending to `targets`. */
export function startFloor(targets: readonly string[]): Promise<Measured> {
  return start(['bench/floor.ts', ...targets], output => (/^\d+$/m.test(output) ? Number(output.trim()) : undefined))
}

/** `weir dev` with the given YAML, durable in a folder of its own: the product itself, console and autoscaler included. */
export async function startWeir(
  yaml: string,
  extra: readonly string[] = [],
): Promise<Measured & { readonly dir: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'weir-bench-'))
  writeFileSync(join(dir, 'weir.yaml'), yaml)
  const args = ['bin/weir.js', 'dev', '-f', join(dir, 'weir.yaml'), '--data', join(dir, 'data'), ...extra]
  const weir = await start(args, output => {
    const seen = /http:\/\/127\.0\.0\.1:(\d+)\/default\/default/.exec(output)?.[1]
    return seen === undefined ? undefined : Number(seen)
  })
  return {
    ...weir,
    dir,
    [Symbol.asyncDispose]: async () => {
      await weir[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Puts this process, which loads and receives, on the other core. Nothing happens where there is no taskset. */
export async function leaveCoreZero(): Promise<void> {
  if (!existsSync('/usr/bin/taskset')) return
  await once(spawn('taskset', ['-a', '-cp', '1', String(process.pid)], { stdio: 'ignore' }), 'exit')
}
