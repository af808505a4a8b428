import type { TriggerId } from '../../contract/ids.ts'

/** Something that wants to be told when it has work again. */
export interface Hungry {
  readonly trigger: TriggerId
  /** The last lease came back short. Nobody has asked yet: that is hungry too. */
  hungry: boolean
  /** Its listeners are about to be told. */
  ringing: boolean
}

/**
 * Tells listeners which Triggers have something due again, each once, after the present work is done: a listener may call
 * back into the store without meeting it half changed.
 */
export class DueBell {
  readonly #listeners: ((trigger: TriggerId) => void)[] = []
  #ringing: Hungry[] = []

  listen(listener: (trigger: TriggerId) => void): void {
    this.#listeners.push(listener)
  }

  ring(queue: Hungry): void {
    if (!queue.hungry || queue.ringing) return
    queue.ringing = true
    if (this.#ringing.push(queue) === 1) queueMicrotask(() => this.#tell())
  }

  #tell(): void {
    const due = this.#ringing
    this.#ringing = []
    for (const queue of due) {
      queue.ringing = false
      if (!queue.hungry) continue
      queue.hungry = false
      for (const listener of this.#listeners) listener(queue.trigger)
    }
  }
}
