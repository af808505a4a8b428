import type { TriggerBacklog } from '../../contract/backlog.ts'
import type { ScalingProfile } from '../profile.ts'

/** The broker's counters at one moment; times are monotonic ms. */
interface Sample {
  readonly atMs: number
  readonly accepted: number
  readonly delivered: number
  readonly busyMs: number
}

/** Samples closer together than this are one: a minute of them stays a few hundred. */
const RESOLUTION_MS = 250

/** The recent past of one Trigger: rates over windows, and the service time. Bounded; knows no clock. */
export class Trail {
  readonly #profile: ScalingProfile
  #samples: Sample[] = []
  #anchor: Sample | undefined
  #serviceMs: number | undefined
  #movedMs: number | undefined

  constructor(profile: ScalingProfile) {
    this.#profile = profile
  }

  /** The mean time of one delivery, over the last ones and at least `knownAfter`; undefined before so many were seen. */
  get serviceMs(): number | undefined {
    return this.#serviceMs
  }

  /** When a counter was last seen to have moved; undefined when never. */
  get movedMs(): number | undefined {
    return this.#movedMs
  }

  add(backlog: TriggerBacklog, nowMs: number): void {
    const sample = {
      atMs: nowMs,
      accepted: backlog.accepted,
      delivered: backlog.delivered,
      busyMs: backlog.busyMs,
    }
    const last = this.#samples.at(-1)
    if (last !== undefined && (sample.accepted < last.accepted || sample.delivered < last.delivered)) {
      // The broker began anew, and its counters with it.
      this.#samples = []
      this.#anchor = undefined
    } else if (last !== undefined && (sample.accepted > last.accepted || sample.delivered > last.delivered)) {
      this.#movedMs = nowMs
    }
    this.#keep(sample)
    this.#learn(sample)
  }

  /** A new chapter: rates are measured from the last sample on. The service time stays known. */
  restart(): void {
    this.#samples = this.#samples.slice(-1)
  }

  /** Events per second over the last `windowMs`, as if nothing had been before the first sample. */
  rate(counter: 'accepted' | 'delivered', windowMs: number, nowMs: number): number {
    const newest = this.#samples.at(-1)
    const base = this.#samples.findLast(sample => sample.atMs <= nowMs - windowMs) ?? this.#samples[0]
    if (newest === undefined || base === undefined) return 0
    return (newest[counter] - base[counter]) / (windowMs / 1_000)
  }

  #keep(sample: Sample): void {
    const [before, last] = this.#samples.slice(-2)
    if (before !== undefined && last !== undefined && sample.atMs - before.atMs < RESOLUTION_MS) this.#samples.pop()
    this.#samples.push(sample)
    // One sample from before the window stays: it is what the window is measured against.
    const oldest = this.#samples.findLastIndex(one => one.atMs <= sample.atMs - this.#profile.stableMs)
    if (oldest > 0) this.#samples.splice(0, oldest)
  }

  #learn(sample: Sample): void {
    this.#anchor ??= sample
    const delivered = sample.delivered - this.#anchor.delivered
    if (delivered < this.#profile.knownAfter) return
    this.#serviceMs = (sample.busyMs - this.#anchor.busyMs) / delivered
    if (sample.atMs - this.#anchor.atMs >= this.#profile.stableMs / 2) this.#anchor = sample
  }
}
