/** The longest and the shortest of a growing wait, ms. */
export interface Backoff {
  readonly minMs: number
  readonly maxMs: number
}

/**
 * How long to wait after `failures` in a row (0 after the first): doubled each time, and between half of that and all of
 * it by chance, so that what failed together does not come back together. Pure.
 */
export function backoffMs(failures: number, { minMs, maxMs }: Backoff, random: () => number): number {
  const fullMs = Math.min(maxMs, minMs * 2 ** Math.min(failures, 30))
  return fullMs * (0.5 + 0.5 * random())
}
