import { Fifo } from './fifo.ts'
import type { Item } from './ready-queue.ts'

interface KeyState {
  /** Behind the head, in memory, oldest first; older than whatever is on disk. */
  readonly held: Fifo<Item>
  onDisk: number
  /** Of those, how many went there since they were last asked for: the answer does not know them. */
  fresh: number
}

/**
 * Order per key: of the events of one key at most one, the head, is ready, in flight or waiting for its retry; the others
 * are behind it until it leaves. What is behind is in memory up to a bound that the owner sets, and on disk beyond it.
 */
export class KeyGate {
  readonly attribute: string
  readonly #keys = new Map<string, KeyState>()
  #held = 0
  #onDisk = 0

  constructor(attribute: string) {
    this.attribute = attribute
  }

  /** Undefined: ordered by nothing. */
  keyOf(item: Item): string | undefined {
    return item.stage === 'dead-letter' ? undefined : item.event.attributes[this.attribute] || undefined
  }

  /** Items behind heads in memory. */
  get held(): number {
    return this.#held
  }

  get blocked(): number {
    return this.#held + this.#onDisk
  }

  /** True: `key` was free, and has a head now. */
  enter(key: string): boolean {
    if (this.#keys.has(key)) return false
    this.#keys.set(key, newState())
    return true
  }

  /** Whether the next one behind `key` may be held in memory: not where older ones are on disk. */
  mayHold(key: string): boolean {
    return this.#state(key).onDisk === 0
  }

  hold(key: string, item: Item): void {
    this.#state(key).held.push(item)
    this.#held++
  }

  /** One more that is behind `key` is on disk. */
  toDisk(key: string): void {
    const state = this.#state(key)
    state.onDisk++
    state.fresh++
    this.#onDisk++
  }

  /** What is behind `key` on disk is asked for now. */
  ask(key: string): void {
    const state = this.#keys.get(key)
    if (state !== undefined) state.fresh = 0
  }

  /** `gone` of those that were asked for came back, or will never. */
  fromDisk(key: string, gone: number | 'all'): void {
    const state = this.#keys.get(key)
    if (state === undefined) return
    const asked = state.onDisk - state.fresh
    const counted = gone === 'all' ? asked : Math.min(gone, asked)
    state.onDisk -= counted
    this.#onDisk -= counted
  }

  /**
   * The head of `key` has left. Returns the next one, which is the head now; `disk` where it has to be brought from there,
   * the key being taken until then; undefined where there is none, and the key is free.
   */
  next(key: string): Item | 'disk' | undefined {
    const state = this.#keys.get(key)
    const item = state?.held.shift()
    if (item !== undefined) {
      this.#held--
      return item
    }
    if (state !== undefined && state.onDisk > 0) return 'disk'
    this.#keys.delete(key)
    return undefined
  }

  /** Everything that is behind, in memory; they keep their places. */
  *heldItems(): Iterable<Item> {
    for (const { held } of this.#keys.values()) yield* held.values()
  }

  #state(key: string): KeyState {
    let state = this.#keys.get(key)
    if (state === undefined) {
      state = newState()
      this.#keys.set(key, state)
    }
    return state
  }
}

function newState(): KeyState {
  return { held: new Fifo(), onDisk: 0, fresh: 0 }
}
