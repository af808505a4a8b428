import type { Told } from '../../standalone/told.ts'

/** What the workers did, and how many of them there were. */
export class Seen {
  readonly #done = new Map<string, number>()
  #replicas: number[] = [0]

  /** A line of a worker names the message that it did. */
  hear(told: Told): void {
    const text = told.kind === 'output' ? /^did (?<message>\S+)$/.exec(told.line)?.groups?.message : undefined
    if (text !== undefined) this.#done.set(text, (this.#done.get(text) ?? 0) + 1)
  }

  /** How many replicas are wanted now. */
  count(desired: number): void {
    if (this.#replicas.at(-1) !== desired) this.#replicas.push(desired)
  }

  /** The numbers of replicas one after the other, since this was asked last. */
  takeReplicas(): readonly number[] {
    const taken = this.#replicas
    this.#replicas = taken.slice(-1)
    return taken
  }

  missing(messages: readonly string[]): number {
    return messages.filter(one => !this.#done.has(one)).length
  }

  /** Done more than once. */
  twice(messages: readonly string[]): number {
    return messages.filter(one => (this.#done.get(one) ?? 0) > 1).length
  }
}
