import type { Cancel, Clock } from '../runtime/clock.ts'

/** Something that must be over at a time. */
export interface Expiring {
  /** Called once when the deadline passed, unless it was cancelled before. */
  expire(): void
}

/** A deadline that runs. `cancel` it as soon as the work is done. */
export interface Deadline {
  cancel(): void
}

/**
 * Deadlines for very many short pieces of work, of which few ever expire. All that take equally long share one list, which
 * is in order of expiry by itself, and one timer, which is set anew only when it fires: starting and cancelling one costs
 * a few pointers, where a timer each would cost more than a microsecond.
 */
export class Deadlines<Work extends Expiring> {
  readonly #clock: Clock
  readonly #lists = new Map<number, DeadlineList<Work>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  start(work: Work, afterMs: number, nowMs: number): Deadline {
    let list = this.#lists.get(afterMs)
    if (list === undefined) {
      list = new DeadlineList(this.#clock, afterMs, () => this.#lists.delete(afterMs))
      this.#lists.set(afterMs, list)
    }
    return list.add(work, nowMs)
  }

  /** Everything that runs now. */
  running(): readonly Work[] {
    return [...this.#lists.values()].flatMap(list => [...list.running()])
  }

  /** Forgets all deadlines; none expires any more. */
  close(): void {
    for (const list of this.#lists.values()) list.close()
    this.#lists.clear()
  }
}

/** Oldest first, as a ring through a head that belongs to no work. */
class DeadlineList<Work extends Expiring> {
  readonly #clock: Clock
  readonly #afterMs: number
  readonly #onEmpty: () => void
  readonly #head = new Link<Work>(undefined, 0)
  #stop: Cancel | undefined

  constructor(clock: Clock, afterMs: number, onEmpty: () => void) {
    this.#clock = clock
    this.#afterMs = afterMs
    this.#onEmpty = onEmpty
  }

  add(work: Work, nowMs: number): Deadline {
    const link = new Link<Work>(work, nowMs + this.#afterMs)
    link.insertBefore(this.#head)
    if (this.#stop === undefined) this.#arm(this.#afterMs)
    return link
  }

  *running(): Iterable<Work> {
    for (let link = this.#head.next; link.work !== undefined; link = link.next) yield link.work
  }

  close(): void {
    this.#stop?.()
  }

  #arm(delayMs: number): void {
    this.#stop = this.#clock.after(delayMs, () => this.#expire())
  }

  #expire(): void {
    this.#stop = undefined
    const nowMs = this.#clock.monotonicMs()
    for (let link = this.#head.next; link.work !== undefined; link = this.#head.next) {
      if (link.dueMs > nowMs) {
        if (this.#stop === undefined) this.#arm(link.dueMs - nowMs)
        return
      }
      link.cancel()
      link.work.expire()
    }
    this.#onEmpty()
  }
}

class Link<Work> implements Deadline {
  /** Undefined in the head. */
  readonly work: Work | undefined
  readonly dueMs: number
  next: Link<Work> = this
  #previous: Link<Work> = this

  constructor(work: Work | undefined, dueMs: number) {
    this.work = work
    this.dueMs = dueMs
  }

  insertBefore(other: Link<Work>): void {
    const previous = other.#previous
    this.#previous = previous
    this.next = other
    previous.next = this
    other.#previous = this
  }

  /** Idempotent: a link that is in no ring is its own neighbour. */
  cancel(): void {
    this.#previous.next = this.next
    this.next.#previous = this.#previous
    this.next = this
    this.#previous = this
  }
}
