import type { Key } from './protocol.ts'

export interface YoungEvent {
  readonly seq: number
  /** Whom it is still owed to. */
  readonly keys: Key[]
}

/** Slots at the front that may be empty before the array is moved down. */
const SLACK = 4096

/** Events above the watermark, by seq. Sorted by nature: they come in the order of their seqs. */
export class Young {
  #events: YoungEvent[] = []
  #head = 0

  /** `event.seq` is greater than all before. */
  add(event: YoungEvent): void {
    this.#events.push(event)
  }

  /** Nothing is owed to `trigger` any more. False when the event is not young, or nothing was owed. */
  forget(seq: number, trigger: Key): boolean {
    const keys = this.#find(seq)?.keys
    const at = keys?.indexOf(trigger) ?? -1
    if (keys === undefined || at < 0) return false
    keys.splice(at, 1)
    return true
  }

  has(seq: number, trigger: Key): boolean {
    return this.#find(seq)?.keys.includes(trigger) === true
  }

  *upTo(seq: number): Iterable<YoungEvent> {
    for (let at = this.#head; at < this.#events.length; at++) {
      const event = this.#events[at]
      if (event === undefined || event.seq > seq) return
      yield event
    }
  }

  dropUpTo(seq: number): void {
    while ((this.#events[this.#head]?.seq ?? Number.POSITIVE_INFINITY) <= seq) this.#head++
    if (this.#head < SLACK && this.#head < this.#events.length) return
    this.#events = this.#events.slice(this.#head)
    this.#head = 0
  }

  #find(seq: number): YoungEvent | undefined {
    let low = this.#head
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#events[middle]?.seq ?? 0) < seq) low = middle + 1
      else high = middle
    }
    const found = this.#events[low]
    return found?.seq === seq ? found : undefined
  }
}
