/** Chance with a seed, so that what went wrong can be played again (mulberry32). */
export interface Dice {
  /** In [0, 1). */
  (): number
  /** A whole number in [0, n). */
  below(n: number): number
  chance(probability: number): boolean
  pick<T>(items: readonly [T, ...T[]]): T
}

export function openDice(seed: number): Dice {
  let state = seed | 0
  const roll = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(roll() * n)
  return Object.assign(roll, {
    below,
    chance: (probability: number) => roll() < probability,
    pick: <T>(items: readonly [T, ...T[]]) => items[below(items.length)] ?? items[0],
  })
}
