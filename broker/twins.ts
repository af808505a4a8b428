import { createHash } from 'node:crypto'
import type { CloudEvent } from '../event/event.ts'
import type { Clock } from '../runtime/clock.ts'

/** Beyond this many the oldest are forgotten: in doubt an event is new, because a false twin would be a lost event. */
export const TWINS_MAX = 200_000
/** As a window: an event is known while it is on its way to the disk, and forgotten then. */
export const UNTIL_DURABLE = Number.POSITIVE_INFINITY

/**
 * Who came within a window of time, by source and id; those that are very long by their SHA-256. Some 250 bytes each, 500 at
 * most. Forgets by itself, by a clock that does not jump.
 */
export class Twins<Kept> {
  readonly windowMs: number
  /** How many are remembered. */
  most: number
  readonly #clock: Clock
  /** In the order in which they came. */
  readonly #known = new Map<string, { readonly atMs: number; readonly kept: Kept }>()

  constructor(windowMs: number, clock: Clock, most = TWINS_MAX) {
    this.windowMs = windowMs
    this.most = most
    this.#clock = clock
  }

  get size(): number {
    return this.#known.size
  }

  find(event: CloudEvent): Kept | undefined {
    const known = this.#known.get(nameOf(event))
    return known !== undefined && known.atMs > this.#clock.monotonicMs() - this.windowMs ? known.kept : undefined
  }

  /** @param ageMs how long ago it came. What comes from the future, by a clock that was set back, came at a time that nobody knows. */
  add(event: CloudEvent, kept: Kept, ageMs = 0): void {
    const nowMs = this.#clock.monotonicMs()
    if (ageMs < 0 || ageMs >= this.windowMs) return
    const name = nameOf(event)
    this.#known.delete(name)
    this.#known.set(name, { atMs: nowMs - ageMs, kept })
    for (const [oldest, { atMs }] of this.#known) {
      if (atMs > nowMs - this.windowMs && this.#known.size <= this.most) break
      this.#known.delete(oldest)
    }
  }

  delete(event: CloudEvent): void {
    this.#known.delete(nameOf(event))
  }
}

const NAME_MAX = 200

/** The identity of an event (CloudEvents §3.1, `source` and `id`). No attribute has a control character in it. */
export function nameOf({ attributes }: CloudEvent): string {
  const name = `${attributes.source}\u0000${attributes.id}`
  return name.length <= NAME_MAX ? name : createHash('sha256').update(name).digest('base64')
}
