import { setTimeout as pause } from 'node:timers/promises'

/** Things done in one step where nobody asks for a rate. */
const STEP = 500

/** Spreads things over time. */
export interface Pace {
  /** What may be done in one step each. */
  parts<T>(all: readonly T[]): readonly (readonly T[])[]
  /** Waits until `count` more may be done. */
  wait(count: number): Promise<void>
}

/** @param perSecond undefined: as fast as it goes. */
export function openPace(perSecond: number | undefined): Pace {
  const size = perSecond === undefined ? STEP : Math.max(1, Math.min(STEP, Math.floor(perSecond)))
  const beganMs = performance.now()
  let done = 0
  return {
    parts: all => Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size)),
    async wait(count) {
      if (perSecond !== undefined) {
        const dueMs = beganMs + (done / perSecond) * 1000
        await pause(Math.max(0, dueMs - performance.now()))
      }
      done += count
    },
  }
}
