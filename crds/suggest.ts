/** The one of `known` that `word` was most likely meant to be, or undefined where none is near. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const plain = flat(word)
  if (plain.length > LONGEST) return undefined
  let best: string | undefined
  let least = Math.min(3, Math.floor(plain.length / 3)) + 1
  for (const candidate of known) {
    const away = distance(plain, flat(candidate))
    if (away < least && candidate !== word) {
      least = away
      best = candidate
    }
  }
  return best
}

/** `, did you mean \`x\`?`, or nothing: the end of a message about an unknown `word`. */
export function didYouMean(word: string, known: readonly string[]): string {
  const near = suggest(word, known)
  return near === undefined ? '' : `, did you mean \`${near}\`?`
}

/** Words longer than this are no typing mistakes, and comparing them costs the square of their length. */
const LONGEST = 100

/** Case, dashes and underscores are what people get wrong first: they count as nothing. */
function flat(word: string): string {
  return word.toLowerCase().replaceAll(/[-_]/g, '')
}

/** Damerau and Levenshtein: insertions, deletions, substitutions, and swaps of neighbours. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 3) return 4
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let least = Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1)
      row.push(least)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}
