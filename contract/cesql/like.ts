/** What is left of the work that one evaluation may do. */
export interface Steps {
  left: number
}

/** Whether a text matches. Undefined where finding out takes more steps than are left. */
export type LikeMatcher = (text: string, steps: Steps) => boolean | undefined

/** Pattern tokens that are no code unit. */
const ONE = -1
const MANY = -2

/**
 * A matcher of a LIKE pattern (CESQL 1.0 §3.4.3): `%` is any characters or none, `_` is one character, `\` before either
 * makes it itself, everything else is itself, by case. A character is a Unicode code point.
 *
 * Never a regular expression, whose time a hostile pattern can make grow without bound. The usual shapes (`a`, `a%`, `%a`,
 * `%a%`) are left to the engine's string functions; the others compare step by step. What takes time is paid for in steps.
 */
export function compileLike(pattern: string): LikeMatcher {
  const tokens = tokensOf(pattern)
  const from = tokens[0] === MANY ? 1 : 0
  const to = tokens.length > from && tokens[tokens.length - 1] === MANY ? tokens.length - 1 : tokens.length
  const middle = tokens.slice(from, to)
  if (middle.some(token => token < 0)) return (text, steps) => matches(text, tokens, steps)
  const literal = textOf(middle)
  const open = { front: from === 1, back: to < tokens.length }
  if (literal === '' && (open.front || open.back)) return () => true
  if (open.front && open.back) return (text, steps) => includes(text, literal, steps)
  if (open.front) return text => text.endsWith(literal)
  if (open.back) return text => text.startsWith(literal)
  return text => text === literal
}

/** The engine's search is fast and still takes text × literal at worst: a step pays for so many of its comparisons. */
const SEARCHED_PER_STEP = 256

function includes(text: string, literal: string, steps: Steps): boolean | undefined {
  steps.left -= Math.ceil((text.length * literal.length) / SEARCHED_PER_STEP)
  return steps.left < 0 ? undefined : text.includes(literal)
}

/** Code units, ONE and MANY. A row of MANY is one MANY. */
function tokensOf(pattern: string): readonly number[] {
  const tokens: number[] = []
  for (let i = 0; i < pattern.length; i++) {
    const unit = pattern.charCodeAt(i)
    const next = pattern[i + 1]
    if (pattern[i] === '\\' && (next === '%' || next === '_')) {
      tokens.push(next.charCodeAt(0))
      i++
    } else if (pattern[i] === '_') tokens.push(ONE)
    else if (pattern[i] !== '%') tokens.push(unit)
    else if (tokens[tokens.length - 1] !== MANY) tokens.push(MANY)
  }
  return tokens
}

function textOf(units: readonly number[]): string {
  return units.map(unit => String.fromCharCode(unit)).join('')
}

/** Two pointers; after a mismatch the last MANY takes one character more. Time grows with text × pattern at worst. */
function matches(text: string, tokens: readonly number[], steps: Steps): boolean | undefined {
  let at = 0
  let token = 0
  let many = -1
  let taken = 0
  while (at < text.length) {
    if (--steps.left < 0) return undefined
    const want = tokens[token]
    if (want === MANY) {
      if (token === tokens.length - 1) return true
      many = token++
      taken = at
    } else if (want === ONE) {
      at += widthAt(text, at)
      token++
    } else if (want === text.charCodeAt(at)) {
      at++
      token++
    } else if (many >= 0) {
      taken += widthAt(text, taken)
      at = taken
      token = many + 1
    } else return false
  }
  if (tokens[token] === MANY) token++
  return token === tokens.length
}

/** Code units of the character at an offset. */
export function widthAt(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1
}
