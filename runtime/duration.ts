/** A duration of a text, or what is wrong with the text, in words that fit after "must be …". */
export type Duration = { readonly kind: 'ms'; readonly ms: number } | { readonly kind: 'wrong'; readonly hint: string }

const ISO =
  /^P(?:(?<Y>\d+(?:[.,]\d+)?)Y)?(?:(?<M>\d+(?:[.,]\d+)?)M)?(?:(?<W>\d+(?:[.,]\d+)?)W)?(?:(?<D>\d+(?:[.,]\d+)?)D)?(?:T(?=\d)(?:(?<h>\d+(?:[.,]\d+)?)H)?(?:(?<m>\d+(?:[.,]\d+)?)M)?(?:(?<s>\d+(?:[.,]\d+)?)S)?)?$/
const GO = /^(?:\d+(?:\.\d+)?(?:ms|h|m|s))+$/

const DAY_MS = 86_400_000
/** Years and months at their mean length, as Knative counts them. */
const UNITS_MS: Readonly<Record<string, number>> = {
  Y: 365.2425 * DAY_MS,
  M: 30.436875 * DAY_MS,
  W: 7 * DAY_MS,
  D: DAY_MS,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
}

/** Longer ones are a slip of the hand, and sums with them would lose their milliseconds. */
const LONGEST_MS = 100 * 365.2425 * DAY_MS
const LONGEST_TEXT = 64

/** Reads an ISO 8601 duration: `PT0.2S`, `PT1M30S`, `P1D`. Never negative. */
export function parseDuration(text: string): Duration {
  if (text.length > LONGEST_TEXT) return { kind: 'wrong', hint: 'it is too long' }
  const parts = ISO.exec(text)?.groups
  if (parts !== undefined && Object.values(parts).some(part => part !== undefined)) {
    let ms = 0
    for (const [unit, amount] of Object.entries(parts))
      if (amount !== undefined) ms += Number(amount.replace(',', '.')) * (UNITS_MS[unit] ?? 0)
    if (ms > LONGEST_MS) return { kind: 'wrong', hint: 'it is longer than a hundred years' }
    return { kind: 'ms', ms: Math.round(ms * 1000) / 1000 }
  }
  if (GO.test(text)) return { kind: 'wrong', hint: `write "${isoOfGo(text)}"` }
  if (/^\d+(\.\d+)?$/.test(text)) return { kind: 'wrong', hint: `for seconds write "PT${text}S"` }
  if (/^-/.test(text)) return { kind: 'wrong', hint: 'it must not be negative' }
  return { kind: 'wrong', hint: 'as in "PT0.2S", "PT30S", "PT10M"' }
}

function isoOfGo(text: string): string {
  let rest = ''
  let seconds = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)) {
    if (unit === 'h' || unit === 'm') rest += `${amount}${unit.toUpperCase()}`
    else seconds += Number(amount) / (unit === 'ms' ? 1000 : 1)
  }
  return `PT${rest}${seconds > 0 || rest === '' ? `${seconds}S` : ''}`
}
