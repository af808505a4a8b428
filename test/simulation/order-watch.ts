import type { TriggerId } from '../../contract/ids.ts'

interface Known {
  readonly seq: number
  readonly key: string | undefined
}

/** What a subscriber of an ordered Trigger sees of each key, held against the promises of `RoutedTrigger.order`. */
export class OrderWatch {
  /** Everything that was stored and has a key. */
  readonly #stored: () => Iterable<Known>
  readonly #wants: (trigger: TriggerId, seq: number) => boolean
  /** `Trigger seq`: the subscriber's stage was over once, in this life or an earlier one. */
  readonly #ended = new Set<string>()
  /** The same, in this life. */
  readonly #endedNow = new Set<string>()
  /** By Trigger and key: who is at the subscriber. */
  readonly #there = new Map<string, number>()

  constructor(stored: () => Iterable<Known>, wants: (trigger: TriggerId, seq: number) => boolean) {
    this.#stored = stored
    this.#wants = wants
  }

  /** A new process: it knows of no request that the old one had made, and may repeat what had ended. */
  begin(): void {
    this.#there.clear()
    this.#endedNow.clear()
  }

  /** @throws when it is not the turn of `seq`. */
  arrives(trigger: TriggerId, seq: number, key: string): void {
    const place = `${trigger} ${key}`
    const other = this.#there.get(place)
    if (other !== undefined) throw new Error(`one at a time: ${place} has ${seq} while ${other} is there`)
    for (const known of this.#stored()) {
      if (known.key !== key || known.seq >= seq || !this.#wants(trigger, known.seq)) continue
      if (!this.hasEnded(trigger, known.seq))
        throw new Error(`order: ${place} has ${seq} before the end of ${known.seq}`)
    }
    if (this.#endedNow.has(`${trigger} ${seq}`)) throw new Error(`order: ${place} has ${seq} again after its end`)
    this.#there.set(place, seq)
  }

  leaves(trigger: TriggerId, key: string): void {
    this.#there.delete(`${trigger} ${key}`)
  }

  end(trigger: TriggerId, seq: number): void {
    this.#ended.add(`${trigger} ${seq}`)
    this.#endedNow.add(`${trigger} ${seq}`)
  }

  hasEnded(trigger: TriggerId, seq: number): boolean {
    return this.#ended.has(`${trigger} ${seq}`)
  }
}
