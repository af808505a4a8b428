/** Plays the histories of seeds from 1 on. @throws at the first that breaks a promise, with its seed first. */
export async function playAll(seeds: number, play: (seed: number) => Promise<void>): Promise<void> {
  const broken = await firstBroken(seeds, play)
  if (broken !== undefined) throw new Error(`seed ${broken.seed}: ${broken.words}`, { cause: broken.error })
}

/** The first of the histories that breaks a promise, and which; undefined where none does. */
export async function firstBroken(
  seeds: number,
  play: (seed: number) => Promise<void>,
): Promise<{ readonly seed: number; readonly words: string; readonly error: unknown } | undefined> {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      await play(seed)
    } catch (error) {
      return { seed, words: error instanceof Error ? error.message : String(error), error }
    }
  }
  return undefined
}
