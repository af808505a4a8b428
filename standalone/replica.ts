import type { Endpoint } from '../contract/routes.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import { expand } from './environment.ts'
import { freePort, probe } from './ports.ts'
import { type Command, endedInWords, type LocalProcess, startProcess } from './processes.ts'

/** What every replica of one workload runs. */
export interface Template {
  /** `$(NAME)` in it is replaced from `env`, as a kubelet does. */
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** Path of an HTTP probe; undefined: an open port is enough. */
  readonly readinessPath: string | undefined
  readonly graceMs: number
}

export interface ReplicaDeps {
  readonly clock: Clock
  readonly random: () => number
  /** Ports given out and still in use, shared by all replicas of the process. */
  readonly ports: Set<number>
  /** A line that the process printed. */
  readonly output: (replica: string, line: string) => void
  /** Something a person should read, in a sentence. */
  readonly say: (text: string) => void
  /** Whether somebody sends to this replica, so that a port that never opens is worth a word. */
  readonly expectsPort: () => boolean
  /** Told whenever `state` or `endpoint` may be another. */
  readonly changed: () => void
}

/**
 * `starting` until its port answers, `ready`, `draining` while it finishes what it has, `stopping` after SIGTERM,
 * `waiting` between a crash and the next start, `gone` for good.
 */
export type ReplicaState = 'starting' | 'ready' | 'draining' | 'stopping' | 'waiting' | 'gone'

const RESTART_MIN_MS = 1_000
const RESTART_MAX_MS = 60_000
/** A process that lived this long starts its back-off anew. */
const LIVED_MS = 10_000
/** After this long without a port a person is told. */
const SILENT_PORT_MS = 10_000
/** Looks at the port: often at first, because events wait for it. */
const PROBE_MIN_MS = 10
const PROBE_MAX_MS = 250

/** How long to wait before start number `failures + 1`, where `failures` lives in a row were short. */
export function restartDelayMs(failures: number): number {
  return Math.min(RESTART_MAX_MS, RESTART_MIN_MS * 2 ** Math.min(Math.max(failures - 1, 0), 16))
}

/** One replica of a workload: a local process that is started again whenever it ends, until it is stopped. */
export class Replica {
  readonly id: string
  readonly done: Promise<void>
  readonly #template: Template
  readonly #deps: ReplicaDeps
  readonly #stop = new AbortController()
  #state: ReplicaState = 'starting'
  #origin: string | undefined
  #process: LocalProcess | undefined

  constructor(id: string, template: Template, deps: ReplicaDeps) {
    this.id = id
    this.#template = template
    this.#deps = deps
    this.done = this.#live()
  }

  get state(): ReplicaState {
    return this.#state
  }

  /** Whether a process of it runs now and is meant to go on. */
  get running(): boolean {
    return this.#process !== undefined && (this.#state === 'starting' || this.#state === 'ready')
  }

  /** Of the process that runs now. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** Where it can be reached, or undefined while it cannot. */
  get endpoint(): Endpoint | undefined {
    if (this.#origin === undefined || (this.#state !== 'ready' && this.#state !== 'draining')) return undefined
    return { id: this.id, origin: this.#origin, state: this.#state }
  }

  /** From now on it gets nothing new. Only `resume` or `stop` may follow. */
  drain(): void {
    if (this.#state === 'ready') this.#become('draining')
  }

  /** Takes a `drain` back. */
  resume(): void {
    if (this.#state === 'draining') this.#become('ready')
  }

  /** SIGTERM, and SIGKILL to the whole group when the grace is over. Resolves when nothing of it is left. Idempotent. */
  async stop(): Promise<void> {
    if (this.#state !== 'gone') this.#become('stopping')
    this.#stop.abort()
    this.#process?.terminate()
    const cancel = this.#deps.clock.after(this.#template.graceMs, () => {
      this.#deps.say(`${this.id} did not end within ${seconds(this.#template.graceMs)} of SIGTERM and is killed`)
      this.kill()
    })
    await this.done
    cancel()
  }

  /** SIGKILL now. */
  kill(): void {
    this.#stop.abort()
    this.#process?.kill()
  }

  async #live(): Promise<void> {
    const { clock, say } = this.#deps
    const { signal } = this.#stop
    let failures = 0
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs()
      const why = await this.#oneLife()
      if (signal.aborted || this.#state === 'draining') break

      const livedMs = clock.monotonicMs() - startedMs
      failures = livedMs >= LIVED_MS ? 0 : failures + 1
      const delayMs = restartDelayMs(failures)
      this.#become('waiting')
      say(`${this.id} ${why} after ${seconds(livedMs)}; starting it again in ${seconds(delayMs)}`)
      await sleep(clock, delayMs, signal).catch(() => {})
      if (!signal.aborted) this.#become('starting')
    }
    this.#become('gone')
  }

  /** Runs the command once; says in words how it ended. Never rejects: no port and no process are ends too. */
  async #oneLife(): Promise<string> {
    const { clock, ports } = this.#deps
    const over = new AbortController()
    let port: number | undefined
    try {
      port = await freePort(this.#deps.random, ports)
      if (this.#stop.signal.aborted) return 'was not started'
      ports.add(port)
      const command = this.#command(port)
      this.#process = startProcess(command, clock, line => this.#deps.output(this.id, line))
      const ready = this.#untilReady(port, AbortSignal.any([over.signal, this.#stop.signal]))
      const ended = await this.#process.ended
      over.abort()
      await ready
      return endedInWords(ended, command.argv)
    } catch (error) {
      return `could not be started: ${error instanceof Error ? error.message : String(error)}`
    } finally {
      if (port !== undefined) ports.delete(port)
      this.#process = undefined
      this.#origin = undefined
    }
  }

  #command(port: number): Command {
    const env = { ...this.#template.env, PORT: String(port) }
    return { argv: this.#template.argv.map(text => expand(text, env)), cwd: this.#template.cwd, env }
  }

  /** Looks at the port until it answers or `signal` aborts. Never throws. */
  async #untilReady(port: number, signal: AbortSignal): Promise<void> {
    const { clock, say } = this.#deps
    const sinceMs = clock.monotonicMs()
    let said = false
    for (let waitMs = PROBE_MIN_MS; !signal.aborted; waitMs = Math.min(PROBE_MAX_MS, waitMs * 1.1)) {
      const origin = await probe(port, this.#template.readinessPath)
      if (signal.aborted) return
      if (origin !== undefined) {
        this.#origin = origin
        return this.#become('ready')
      }
      if (!said && this.#deps.expectsPort() && clock.monotonicMs() - sinceMs >= SILENT_PORT_MS) {
        said = true
        say(`${this.id} runs, but ${this.#silence(port)}; its events wait`)
      }
      await sleep(clock, waitMs, signal).catch(() => {})
    }
  }

  #silence(port: number): string {
    const { readinessPath } = this.#template
    if (readinessPath !== undefined) return `GET ${readinessPath} on port ${port} has not answered 2xx for 10 s`
    return `has not listened on port ${port} for 10 s: it must listen on the port that the variable PORT names`
  }

  #become(state: ReplicaState): void {
    if (this.#state === state || this.#state === 'gone') return
    if (this.#state === 'stopping' && state !== 'gone') return
    this.#state = state
    this.#deps.changed()
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 && ms % 1000 !== 0 ? 1 : 0)} s`
}
