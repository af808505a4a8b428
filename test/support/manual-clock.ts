import type { Cancel, Clock } from '../../runtime/clock.ts'

interface Timer {
  readonly dueMs: number
  readonly order: number
  readonly action: () => void
}

/** A clock that stands still until a test moves it. Timers fire in order of due time, then of creation. */
export class ManualClock implements Clock {
  #nowMs: number
  #monotonicMs = 0
  #created = 0
  readonly #timers = new Set<Timer>()

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  after(delayMs: number, action: () => void): Cancel {
    const timer = { dueMs: this.#monotonicMs + Math.max(0, Math.ceil(delayMs)), order: this.#created++, action }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size
  }

  /** Ms until the next timer, or undefined when none waits. */
  get nextInMs(): number | undefined {
    const next = this.#next()
    return next === undefined ? undefined : next.dueMs - this.#monotonicMs
  }

  /** Moves time by `ms`, firing what falls due, and lets promises settle between any two timers. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#monotonicMs + ms
    await settle()
    for (let next = this.#next(); next !== undefined && next.dueMs <= untilMs; next = this.#next()) {
      this.#to(next.dueMs)
      this.#timers.delete(next)
      next.action()
      await settle()
    }
    this.#to(untilMs)
  }

  /** Only the wall clock jumps; durations and timers do not notice. */
  jump(ms: number): void {
    this.#nowMs += ms
  }

  #to(monotonicMs: number): void {
    this.#nowMs += monotonicMs - this.#monotonicMs
    this.#monotonicMs = monotonicMs
  }

  #next(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (next === undefined || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) {
        next = timer
      }
    }
    return next
  }
}

/** Lets every promise that can go on do so: one turn of the event loop. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
