import type { CircuitPolicy } from '../contract/routes.ts'

/** A rate: tokens come evenly, up to one second's worth wait (at least one). Times are monotonic ms. Pure but for itself. */
export class TokenBucket {
  readonly perSecond: number
  readonly #most: number
  #tokens: number
  #atMs: number

  constructor(perSecond: number, nowMs: number) {
    this.perSecond = perSecond
    this.#most = Math.max(1, perSecond)
    this.#tokens = this.#most
    this.#atMs = nowMs
  }

  /** Whole tokens there are now. */
  room(nowMs: number): number {
    this.#fill(nowMs)
    return Math.floor(this.#tokens + EPSILON)
  }

  /** Takes tokens; more than there are makes a debt. */
  take(tokens: number, nowMs: number): void {
    this.#fill(nowMs)
    this.#tokens -= tokens
  }

  /** When there will be `tokens`, from now, ms; 0 where they are there. More than ever fit: when it is full. */
  waitMs(tokens: number, nowMs: number): number {
    this.#fill(nowMs)
    const missing = Math.min(tokens, this.#most) - this.#tokens
    return missing <= EPSILON ? 0 : (missing / this.perSecond) * 1000
  }

  #fill(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - this.#atMs)
    this.#tokens = Math.min(this.#most, this.#tokens + (passedMs / 1000) * this.perSecond)
    this.#atMs = nowMs
  }
}

/** Thirds of a token add up to a whole one. */
const EPSILON = 1e-9

/**
 * How many at once a subscriber bears, found out: halved when it says that it is too many (429, 503), one more after as many
 * successes as are allowed at once. Never below one. Additive increase, multiplicative decrease, as in TCP.
 */
export class Adaptive {
  /** Infinite until the subscriber first complains. */
  limit = Number.POSITIVE_INFINITY
  /** Attempts up to this one began before the last cut, and know nothing of it. */
  #cutAt: number
  #last: number

  /** @param last the last attempt that began before. */
  constructor(last = 0) {
    this.#cutAt = last
    this.#last = last
  }

  /** @param number ascends from attempt to attempt. */
  began(number: number): void {
    this.#last = number
  }

  /** @param inFlight how many are open, this one included. */
  refused(number: number, inFlight: number): void {
    if (number <= this.#cutAt) return
    this.#cutAt = this.#last
    this.limit = Math.max(1, Math.floor(Math.min(this.limit, inFlight) / 2))
  }

  succeeded(inFlight: number): void {
    // What is not used says nothing about whether more would be borne.
    if (inFlight >= Math.floor(this.limit)) this.limit += 1 / this.limit
  }
}

/** After this many failures in a row nobody expects the next one to succeed. */
const DOUBT_AFTER = 100
/** Of what is open at once, what is left for a subscriber that is in doubt. */
const DOUBT_SHARE = 0.1

/**
 * Whether a subscriber fails, and nothing but fails: then few requests are open to it at once, so that the work for nothing takes
 * little time from the others. The first answer of sense ends it.
 */
export class Doubt {
  #failures = 0

  /** How many may be open, where `concurrency` are allowed. */
  most(concurrency: number): number {
    return this.#failures < DOUBT_AFTER ? concurrency : Math.max(1, Math.floor(concurrency * DOUBT_SHARE))
  }

  works(): void {
    this.#failures = 0
  }

  fails(): void {
    this.#failures++
  }
}

/**
 * Spares a subscriber that does not work: after a number of failures in a row it is left alone for a while, then one attempt
 * finds out. Waiting is no attempt. Times are monotonic ms.
 */
export class Circuit {
  #policy: CircuitPolicy
  #failures = 0
  #openUntilMs: number | undefined
  /** The attempt that finds out, while it is open. */
  #probe: number | undefined

  constructor(policy: CircuitPolicy) {
    this.#policy = policy
  }

  update(policy: CircuitPolicy): void {
    this.#policy = policy
  }

  /** How many may begin now. */
  room(nowMs: number): number {
    if (this.#openUntilMs === undefined) return Number.POSITIVE_INFINITY
    return nowMs < this.#openUntilMs || this.#probe !== undefined ? 0 : 1
  }

  /** While it is open: when an attempt may be made, monotonic ms. */
  get openUntilMs(): number | undefined {
    return this.#openUntilMs
  }

  /** @param number ascends from attempt to attempt. */
  began(number: number): void {
    if (this.#openUntilMs !== undefined) this.#probe = number
  }

  /** The subscriber answered something of sense, be it a refusal of the event. */
  works(): void {
    this.#failures = 0
    this.#openUntilMs = undefined
    this.#probe = undefined
  }

  fails(number: number, nowMs: number): void {
    if (this.#openUntilMs === undefined) {
      if (++this.#failures < this.#policy.failures) return
    } else if (number !== this.#probe) return // It began before the circuit opened, and says nothing new.
    this.#probe = undefined
    this.#openUntilMs = nowMs + this.#policy.waitMs
  }
}
