/** A piece of the text. `text` is as written, except in a string, where it is what the string says. */
export interface Token {
  readonly kind: 'word' | 'digits' | 'string' | 'symbol' | 'end'
  readonly text: string
  /** Offsets of the first character, and of the one after the last. */
  readonly at: number
  readonly end: number
}

/** What is wrong with a text, and the offset where. */
export class CesqlSyntaxError extends Error {
  readonly code = 'CESQL_SYNTAX'
  readonly at: number

  constructor(at: number, message: string) {
    super(message)
    this.at = at
  }
}

const PIECE = /(?<space>[ \t\r\n]+)|(?<word>[A-Za-z0-9_]+)|(?<symbol>!=|<>|<=|>=|[=<>()*/%+,-])|(?<quote>['"])/y

/**
 * The pieces of a text, an `end` last (CESQL 1.0 §2.2). Signs are symbols: only the parser knows whether one belongs to a
 * number. Time grows with the text's length.
 * @throws {CesqlSyntaxError} at what is no piece of the language.
 */
export function scan(text: string): readonly Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    PIECE.lastIndex = at
    const found = PIECE.exec(text)?.groups
    if (found?.quote !== undefined) tokens.push(scanString(text, at))
    else if (found?.symbol !== undefined) tokens.push(piece('symbol', found.symbol, at))
    else if (found?.word !== undefined)
      tokens.push(piece(/^[0-9]+$/.test(found.word) ? 'digits' : 'word', found.word, at))
    else if (found?.space === undefined) throw new CesqlSyntaxError(at, strangerMessage(text, at))
    at = found?.space === undefined ? (tokens[tokens.length - 1]?.end ?? text.length) : at + found.space.length
  }
  return [...tokens, piece('end', '', at)]
}

function piece(kind: Token['kind'], text: string, at: number): Token {
  return { kind, text, at, end: at + text.length }
}

/** A backslash escapes the delimiter; before anything else it is itself, and is kept. */
function scanString(text: string, at: number): Token {
  const quote = text[at]
  let said = ''
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === quote) return { kind: 'string', text: said, at, end: i + 1 }
    if (text[i] === '\\' && i + 1 < text.length) {
      i++
      said += text[i] === quote ? quote : `\\${text[i]}`
    } else said += text[i]
  }
  throw new CesqlSyntaxError(at, `the string that begins here has no closing ${quote}`)
}

function strangerMessage(text: string, at: number): string {
  const stranger = String.fromCodePoint(text.codePointAt(at) ?? 0)
  const advice: Readonly<Record<string, string>> = {
    '&': ': write AND',
    '|': ': write OR',
    '!': ': write NOT, or != for a comparison',
    '`': ': strings stand in \' or "',
    '‘': ': strings stand in \' or "',
    '’': ': strings stand in \' or "',
    '“': ': strings stand in \' or "',
    '”': ': strings stand in \' or "',
  }
  return `${JSON.stringify(stranger)} means nothing in CESQL${Object.hasOwn(advice, stranger) ? advice[stranger] : ''}`
}
