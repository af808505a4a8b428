/** The longest that an event waits for others to share its fsync, under load … */
export const LINGER_MAX_MS = 2
/** … and at a moderate, steady rate, where waking up and fsync are most of what an event costs. */
export const LINGER_LONG_MS = 5
/** Waiting pays under load when it can be expected to bring this many events together … */
const WORTH_EVENTS = 4
/** … and at a moderate rate this many. */
const WORTH_LONG_EVENTS = 1.5
/** Weight of the newest group in the rate. */
const NEWEST = 0.3

/** A trial: so many groups at least, over so long. */
const TRIAL_GROUPS = 16
const TRIAL_MS = 100
/** Trials that go on as the last one showed, before the other way is tried again. */
const TRIALS_KEPT = 20
/** Senders that wait for their answers send less when answers come later: then waiting does not pay. */
const PAYS_FROM = 0.9

/**
 * How long a group waits for company: not at all while few events come, up to `LINGER_MAX_MS` under load. In between, waiting
 * longer saves half of the fsyncs where events come by themselves, and slows senders down that wait for each answer; which of the
 * two it is shows in how many come with and without it, which is tried now and then.
 */
export class Linger {
  #perMs = 0
  #lastMs: number | undefined
  #long = false
  #kept = TRIALS_KEPT - 1
  /** Events per ms of the trial before, the other way. */
  #other: number | undefined
  #trial = { fromMs: 0, groups: 0, events: 0 }

  /** A group of `events` was sent at `nowMs` (monotonic). */
  sent(events: number, nowMs: number): void {
    const tookMs = this.#lastMs === undefined ? Number.POSITIVE_INFINITY : nowMs - this.#lastMs
    this.#lastMs = nowMs
    // A clock that stands still tells nothing about a rate.
    const perMs = tookMs > 0 ? events / tookMs : 0
    this.#perMs += NEWEST * (perMs - this.#perMs)
    this.#trial.groups++
    this.#trial.events += events
    const trialMs = nowMs - this.#trial.fromMs
    if (this.#trial.groups >= TRIAL_GROUPS && trialMs >= TRIAL_MS) this.#judge(this.#trial.events / trialMs, nowMs)
  }

  waitMs(): number {
    if (this.#perMs * LINGER_MAX_MS >= WORTH_EVENTS) return LINGER_MAX_MS
    return this.#long && this.#perMs * LINGER_LONG_MS >= WORTH_LONG_EVENTS ? LINGER_LONG_MS : 0
  }

  /** A trial is over, which brought `perMs` events. */
  #judge(perMs: number, nowMs: number): void {
    this.#trial = { fromMs: nowMs, groups: 0, events: 0 }
    if (this.#other === undefined) {
      if (++this.#kept < TRIALS_KEPT) return
      this.#other = perMs
      this.#long = !this.#long
      return
    }
    const [long, short] = this.#long ? [perMs, this.#other] : [this.#other, perMs]
    this.#long = long >= PAYS_FROM * short
    this.#other = undefined
    this.#kept = 0
  }
}
