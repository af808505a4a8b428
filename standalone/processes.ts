import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import type { Clock } from '../runtime/clock.ts'

export interface Command {
  readonly argv: readonly string[]
  readonly cwd: string
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string>>
}

export type Ended =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  | { readonly kind: 'not-started'; readonly reason: string }

/** A command running in a process group of its own, together with whatever it starts. */
export interface LocalProcess {
  /** Of the command, and of its group. Undefined when it could not be started. */
  readonly pid: number | undefined
  /** Resolves once the command and everything it left in its group are gone. Never rejects. */
  readonly ended: Promise<Ended>
  /** SIGTERM to the command, as a kubelet does. */
  terminate(): void
  /** SIGKILL to the whole group. */
  kill(): void
}

/** A line of output longer than this comes in pieces. */
export const LINE_MAX_CHARS = 8192

/** How long what a command leaves behind may outlive it, after a SIGTERM of its own. */
const LEFTOVER_MS = 5_000

/**
 * The shell becomes the command (`exec`), so that the command is the leader of the group and its exit code is the real one.
 * The guard beside it reads a pipe that only Weir holds open: the kernel closes it however Weir ends, kill -9 included, and
 * the guard then ends the group. It outlives the command too, so the number of the group cannot pass to a stranger.
 */
const GUARDED = [
  `(trap '' HUP INT TERM; read -r gone <&3; kill -TERM 0; sleep 2; kill -KILL 0) >/dev/null 2>&1 &`,
  `exec "$@" 3<&-`,
].join('\n')

/** Starts `command`; `line` gets what it prints, line by line. Failure to start is an outcome of `ended`. */
export function startProcess(command: Command, clock: Clock, line: (text: string) => void): LocalProcess {
  const child = spawn('/bin/sh', ['-c', GUARDED, 'sh', ...command.argv], {
    cwd: command.cwd,
    env: { ...command.env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  const alive = child.stdio[3]
  alive?.on('error', () => {}) // The guard may die before the pipe is closed; that is no event of ours.

  const outputs = Promise.all([readLines(child.stdout, line), readLines(child.stderr, line)])
  const ended = untilGone(child, outputs, clock).finally(() => alive?.destroy())
  return {
    pid: child.pid,
    ended,
    terminate: () => void (child.exitCode === null && child.signalCode === null && child.kill('SIGTERM')),
    kill: () => signalGroup(child.pid, 'SIGKILL'),
  }
}

async function untilGone(child: ChildProcess, outputs: Promise<unknown>, clock: Clock): Promise<Ended> {
  const ended = await new Promise<Ended>(resolve => {
    child.once('error', error => child.pid === undefined && resolve({ kind: 'not-started', reason: error.message }))
    child.once('exit', (code, signal) =>
      resolve(signal === null ? { kind: 'exited', code: code ?? 0 } : { kind: 'signalled', signal }),
    )
  })
  if (child.pid === undefined) return ended

  // A wrapper such as `sh -c` or `npm run` is gone, its child may not be: it is told, and waited for as long as it prints.
  signalGroup(child.pid, 'SIGTERM')
  let cancel = () => {}
  const tooLong = new Promise(resolve => {
    cancel = clock.after(LEFTOVER_MS, () => resolve(undefined))
  })
  await Promise.race([outputs, tooLong])
  cancel()
  signalGroup(child.pid, 'SIGKILL')
  await outputs
  return ended
}

function signalGroup(pid: number | undefined, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch (error) {
    // ESRCH: nobody is left. EPERM: macOS says so of a group of zombies.
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}

/** Resolves when the stream is closed, that is, when nobody who could write to it is left. */
function readLines(stream: Readable | null, line: (text: string) => void): Promise<void> {
  if (!stream) return Promise.resolve() // There is none when the process could not be started.
  stream.setEncoding('utf8')
  let rest = ''
  const feed = (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) for (const piece of pieces(part.replace(/\r$/, ''))) line(piece)
    if (rest.length > LINE_MAX_CHARS) {
      const whole = rest.length - (rest.length % LINE_MAX_CHARS)
      for (const piece of pieces(rest.slice(0, whole))) line(piece)
      rest = rest.slice(whole)
    }
  }
  return new Promise(resolve => {
    stream.on('data', feed)
    stream.on('error', () => {})
    stream.once('close', () => {
      if (rest !== '') line(rest)
      resolve()
    })
  })
}

function pieces(text: string): string[] {
  if (text.length <= LINE_MAX_CHARS) return [text]
  const found: string[] = []
  for (let at = 0; at < text.length; at += LINE_MAX_CHARS) found.push(text.slice(at, at + LINE_MAX_CHARS))
  return found
}

/** `Ended` in words, to follow a name: "worker-1 …". */
export function endedInWords(ended: Ended, argv: readonly string[]): string {
  switch (ended.kind) {
    case 'exited':
      if (ended.code === 127) return `could not run \`${argv[0]}\`: command not found`
      if (ended.code === 126) return `could not run \`${argv[0]}\`: permission denied`
      return `exited with code ${ended.code}`
    case 'signalled':
      return `was ended by ${ended.signal}`
    case 'not-started':
      return `could not be started: ${ended.reason}`
    default:
      return ended satisfies never
  }
}
