import type { Limits } from '../contract/routes.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import { Adaptive, Circuit, TokenBucket } from './limits.ts'

/** Why a lane begins nothing although events wait and its subscriber is there. */
export type Closed =
  /** The circuit is open after failures in a row. */
  | { readonly kind: 'circuit'; readonly forMs: number }
  /** The subscriber asked for a pause, by 429 or 503 with Retry-After. */
  | { readonly kind: 'asked-to-wait'; readonly forMs: number }

/** What an attempt taught about the subscriber, apart from the event. */
export type Lesson =
  | { readonly kind: 'works' }
  | { readonly kind: 'fails' }
  /** 429 or 503. It fails, and says that it is too much. */
  | { readonly kind: 'too-much'; readonly retryAfterMs: number }
  | { readonly kind: 'nothing' }

/**
 * How many attempts one Trigger may begin: its rate, its total, what its subscriber bears, its circuit. One per lane that
 * has limits; it opens again by itself, by one timer at most.
 */
export class Gate {
  readonly #clock: Clock
  readonly #onOpen: () => void
  #limits: Limits
  #bucket: TokenBucket | undefined
  #adaptive: Adaptive | undefined
  #circuit: Circuit | undefined
  #pausedUntilMs = 0
  #begun = 0
  #timer: { readonly atMs: number; readonly cancel: Cancel } | undefined

  /** @param onOpen there may be room where there was none. */
  constructor(limits: Limits, clock: Clock, onOpen: () => void) {
    this.#clock = clock
    this.#onOpen = onOpen
    this.#limits = limits
    this.update(limits)
  }

  /** Takes effect with the next attempt; what was learnt stays, where it is still asked for. */
  update(limits: Limits): void {
    const { perSecond, adaptive, circuit } = limits
    this.#limits = limits
    if (perSecond === undefined) this.#bucket = undefined
    else if (this.#bucket?.perSecond !== perSecond) this.#bucket = new TokenBucket(perSecond, this.#clock.monotonicMs())
    this.#adaptive = adaptive ? (this.#adaptive ?? new Adaptive(this.#begun)) : undefined
    if (circuit === undefined) this.#circuit = undefined
    else if (this.#circuit === undefined) this.#circuit = new Circuit(circuit)
    else this.#circuit.update(circuit)
    if (!adaptive && circuit === undefined) this.#pausedUntilMs = 0
  }

  /** How many more may begin now, `inFlight` being open. Where time alone brings room, `onOpen` is called then. */
  room(inFlight: number): number {
    const nowMs = this.#clock.monotonicMs()
    const opensMs = Math.max(this.#pausedUntilMs, this.#circuit?.openUntilMs ?? 0)
    if (nowMs < opensMs) {
      this.#wakeAt(opensMs, nowMs)
      return 0
    }
    const open = Math.min(this.#limits.total ?? Number.POSITIVE_INFINITY, Math.floor(this.#adaptive?.limit ?? Infinity))
    let room = Math.max(0, Math.min(open - inFlight, this.#circuit?.room(nowMs) ?? Number.POSITIVE_INFINITY))
    if (this.#bucket !== undefined && room > 0) {
      const tokens = this.#bucket.room(nowMs)
      if (tokens < 1) this.#wakeAt(nowMs + this.#bucket.waitMs(1, nowMs), nowMs)
      room = Math.min(room, Math.max(0, tokens))
    }
    return room
  }

  /** @returns the attempt's number, for `ended`. */
  began(): number {
    const number = ++this.#begun
    this.#bucket?.take(1, this.#clock.monotonicMs())
    this.#circuit?.began(number)
    this.#adaptive?.began(number)
    return number
  }

  /**
   * @param inFlight attempts that are open, this one included.
   * @returns what became of the circuit, where that is news.
   */
  ended(number: number, inFlight: number, lesson: Lesson): 'opened' | 'closed' | undefined {
    const wasOpen = this.#circuit?.openUntilMs !== undefined
    this.#learn(number, inFlight, lesson)
    const isOpen = this.#circuit?.openUntilMs !== undefined
    if (isOpen === wasOpen) return undefined
    return isOpen ? 'opened' : 'closed'
  }

  /** Undefined while attempts may be made, however few. */
  get closed(): Closed | undefined {
    const nowMs = this.#clock.monotonicMs()
    const circuitMs = this.#circuit?.openUntilMs
    if (circuitMs !== undefined) return { kind: 'circuit', forMs: Math.max(0, circuitMs - nowMs) }
    return nowMs < this.#pausedUntilMs ? { kind: 'asked-to-wait', forMs: this.#pausedUntilMs - nowMs } : undefined
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #learn(number: number, inFlight: number, lesson: Lesson): void {
    const nowMs = this.#clock.monotonicMs()
    switch (lesson.kind) {
      case 'works':
        this.#circuit?.works()
        this.#adaptive?.succeeded(inFlight)
        return
      case 'fails':
        this.#circuit?.fails(number, nowMs)
        return
      case 'too-much':
        this.#adaptive?.refused(number, inFlight)
        this.#circuit?.fails(number, nowMs)
        if (this.#adaptive !== undefined || this.#circuit !== undefined) {
          this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + lesson.retryAfterMs)
        }
        return
      case 'nothing':
        // The broker is stopping.
        return
      default:
        lesson satisfies never
    }
  }

  #wakeAt(atMs: number, nowMs: number): void {
    if (this.#timer !== undefined && this.#timer.atMs <= atMs) return
    this.#timer?.cancel()
    const cancel = this.#clock.after(atMs - nowMs, () => {
      this.#timer = undefined
      this.#onOpen()
    })
    this.#timer = { atMs, cancel }
  }
}

/** Whether anything of it is asked for. */
export function hasLimits({ total, perSecond, adaptive, circuit }: Limits): boolean {
  return total !== undefined || perSecond !== undefined || adaptive || circuit !== undefined
}
