import module from 'node:module'
import { tmpdir } from 'node:os'
import { PerformanceObserver } from 'node:perf_hooks'
import v8 from 'node:v8'
import { type Clock, systemClock } from './clock.ts'

/** Where lines for people, or data for other programs, go. */
export interface Output {
  readonly isTTY: boolean
  write(text: string): void
  /** Characters that were written and that the reader has not taken yet. */
  readonly waiting: number
}

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/** Everything a program takes from the process it is, so that a test can be the process. */
export interface Outside {
  readonly clock: Clock
  readonly random: () => number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly pid: number
  /** Undefined where the system has none. */
  readonly uid: number | undefined
  readonly tempDir: string
  readonly stdout: Output
  readonly stderr: Output
  /** Since the process began, ms. */
  readonly ageMs: () => number
  /** From the first listener on, these signals no longer end the process. Returns the function that stops listening. */
  onSignal(listener: (signal: StopSignal) => void): () => void
  /** Ends the process at once, whatever is open. */
  exit(code: number): never
  /** Ends it in a moment, unless it has ended by itself by then. */
  exitSoon(code: number): void
}

const STOP_SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** What is closed needs no longer to let go of its last handles. */
const LEFTOVER_MS = 2_000

/** The process that this code runs in. Only entry points name it, as a default that tests replace. */
export const thisProcess: Outside = {
  clock: systemClock,
  random: Math.random,
  env: { ...process.env },
  cwd: process.cwd(),
  pid: process.pid,
  uid: process.getuid?.(),
  tempDir: tmpdir(),
  ageMs: () => performance.now(),
  stdout: outputOf(process.stdout),
  stderr: outputOf(process.stderr),
  onSignal(listener) {
    const handlers = STOP_SIGNALS.map(signal => ({ signal, handle: () => listener(signal) }))
    for (const { signal, handle } of handlers) process.on(signal, handle)
    return () => {
      for (const { signal, handle } of handlers) process.off(signal, handle)
    }
  },
  exit: code => process.exit(code),
  exitSoon: code => void setTimeout(() => process.exit(code), LEFTOVER_MS).unref(),
}

/**
 * Worker threads compile anew what this thread has in its compile cache, at tens of MB each, unless the environment names
 * the cache. To be called before the first worker starts; `thisProcess.env` stays as it was given.
 */
export function shareCompileCache(): void {
  const dir = module.getCompileCacheDir()
  if (dir !== undefined) process.env.NODE_COMPILE_CACHE ??= dir
}

/** V8 would let the young generation grow to 128 MB. What is alive in it is little, and from here on more saves no time. */
const YOUNG_BYTES = 16 << 20

/**
 * Keeps the young generation of this thread's heap small: it may grow as V8 wants it until it has 16 MB, and then stays. To
 * be called once, early: what has grown is not taken back.
 */
export function keepYoungGenerationSmall(): void {
  const observer = new PerformanceObserver(() => {
    const young = v8.getHeapSpaceStatistics().find(space => space.space_name === 'new_space')
    if ((young?.space_size ?? 0) < YOUNG_BYTES) return
    v8.setFlagsFromString('--semi-space-growth-factor=1')
    observer.disconnect()
  })
  // It grows after a collection, and at no other time.
  observer.observe({ entryTypes: ['gc'] })
}

function outputOf(stream: NodeJS.WriteStream): Output {
  // A reader that went away (`weir dev | head`) is no reason to die in the middle of a drain.
  stream.on('error', () => {})
  return {
    get isTTY() {
      return stream.isTTY === true
    },
    write: text => void stream.write(text),
    get waiting() {
      return stream.writableLength
    },
  }
}
