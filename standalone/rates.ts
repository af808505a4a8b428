/** Rates are over this many seconds: long enough to be calm, short enough to be now. */
const WINDOW_MS = 5_000

interface Sample {
  readonly atMs: number
  readonly count: number
}

/** Events per second out of counters that only grow, by key, over the last seconds. Times are monotonic. */
export class Rates {
  readonly #samples = new Map<string, Sample[]>()

  /** Counters as they are now. A key that is not among them is forgotten. */
  sample(nowMs: number, counters: Iterable<readonly [string, number]>): void {
    const seen = new Set<string>()
    for (const [key, count] of counters) {
      seen.add(key)
      const samples = this.#samples.get(key) ?? []
      this.#samples.set(key, samples)
      samples.push({ atMs: nowMs, count })
      // The newest sample that is as old as the window stays: it is what the window is measured from.
      while ((samples[1]?.atMs ?? nowMs) <= nowMs - WINDOW_MS) samples.shift()
    }
    for (const key of this.#samples.keys()) if (!seen.has(key)) this.#samples.delete(key)
  }

  perSecond(key: string): number {
    const samples = this.#samples.get(key) ?? []
    const first = samples[0]
    const last = samples.at(-1)
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0
    return Math.max(0, Math.round(((last.count - first.count) / (last.atMs - first.atMs)) * 10_000) / 10)
  }
}
