import type { Cancel, Clock } from '../../../runtime/clock.ts'
import type { RetainRequest } from './protocol.ts'

/** How often what need not be kept is looked for. */
const RETAIN_MS = 1000

export interface HousekeepingDeps {
  readonly clock: Clock
  readonly retentionMs: number
  readonly retentionMaxBytes: number
  readonly post: (request: RetainRequest) => void
}

/** Asks for slices of what need not be kept to be deleted, one at a time. */
export class Housekeeping {
  readonly #deps: HousekeepingDeps
  #waiting: Cancel | undefined
  #asked = false
  #stopped = false

  constructor(deps: HousekeepingDeps) {
    this.#deps = deps
    this.#wait()
  }

  /** There is something to delete now. */
  now(): void {
    const { clock, retentionMs, retentionMaxBytes } = this.#deps
    this.#ask({ kind: 'retain', beforeMs: clock.nowMs() - retentionMs, maxBytes: retentionMaxBytes })
  }

  /** The disk is full: history gives way to events, the oldest first. */
  makeRoom(): void {
    this.#ask({ kind: 'retain', beforeMs: 0, maxBytes: 0 })
  }

  /** A slice was deleted; `more` is due at once. */
  retained(more: boolean): void {
    this.#asked = false
    if (more) this.now()
    else this.#wait()
  }

  stop(): void {
    this.#stopped = true
    this.#waiting?.()
  }

  #ask(request: RetainRequest): void {
    if (this.#stopped || this.#asked) return
    this.#waiting?.()
    this.#asked = true
    this.#deps.post(request)
  }

  #wait(): void {
    if (!this.#stopped) this.#waiting = this.#deps.clock.after(RETAIN_MS, () => this.now())
  }
}
