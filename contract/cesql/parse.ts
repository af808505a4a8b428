import { INTEGER_MAX, isInteger32 } from './cast.ts'
import type { ArithmeticOperator, Expression, LogicOperator, OrderOperator } from './expression.ts'
import { CesqlSyntaxError, scan, type Token } from './scan.ts'

/** Bounds of one expression; a longer, larger or deeper one is a mistake. */
export const CESQL_LIMITS = {
  /** Of the text, in UTF-8. */
  bytes: 4096,
  /** Literals, names, operators and calls; literals in a list of IN are not counted. */
  nodes: 256,
  /** Parentheses, NOTs, minus signs, calls and lists within each other. */
  depth: 32,
  /** Members of one list of IN. */
  elements: 256,
} as const

/** Something at an offset of the text, in words. */
export interface Remark {
  readonly at: number
  readonly message: string
}

export type ParsedCesql =
  | {
      readonly kind: 'expression'
      readonly expression: Expression
      /** What is legal and seldom meant. */
      readonly hints: readonly Remark[]
    }
  | { readonly kind: 'mistake'; readonly mistake: Remark }

/**
 * Reads an expression (CESQL 1.0 §2), with the precedence of §3.6, everything left to right: calls; NOT and the unary
 * minus; LIKE, EXISTS and IN; `* / %`; `+ -`; comparisons; AND, OR and XOR on one level. Never throws, whatever the text.
 */
export function parseCesql(text: string): ParsedCesql {
  if (text.length > CESQL_LIMITS.bytes || new TextEncoder().encode(text).length > CESQL_LIMITS.bytes)
    return { kind: 'mistake', mistake: { at: 0, message: `longer than ${CESQL_LIMITS.bytes} bytes` } }
  try {
    const parser = new Parser(scan(text))
    const expression = parser.whole()
    return { kind: 'expression', expression, hints: parser.hints }
  } catch (error) {
    if (!(error instanceof CesqlSyntaxError)) throw error
    return { kind: 'mistake', mistake: { at: error.at, message: error.message } }
  }
}

/** A remark with its place in words, for a text of one line or of more. */
export function placed(text: string, { at, message }: Remark): string {
  const lines = text.slice(0, at).split('\n')
  const character = [...(lines[lines.length - 1] ?? '')].length + 1
  return text.trimEnd().includes('\n')
    ? `line ${lines.length}, character ${character}: ${message}`
    : `character ${character}: ${message}`
}

const KEYWORDS = new Set(['AND', 'OR', 'XOR', 'NOT', 'LIKE', 'IN', 'EXISTS', 'TRUE', 'FALSE'])

/** Of the binary operators; a higher one binds tighter. */
const LEVELS: ReadonlyMap<string, number> = new Map([
  ...['AND', 'OR', 'XOR'].map(operator => [operator, 1] as const),
  ...['=', '!=', '<>', '<', '<=', '>', '>='].map(operator => [operator, 2] as const),
  ...['+', '-'].map(operator => [operator, 3] as const),
  ...['*', '/', '%'].map(operator => [operator, 4] as const),
])

class Parser {
  readonly hints: Remark[] = []
  readonly #tokens: readonly Token[]
  #next = 0
  #nodes = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  whole(): Expression {
    if (this.#peek().kind === 'end') throw this.#wrong('the expression is empty')
    const expression = this.#binary(1)
    const rest = this.#peek()
    if (rest.kind === 'end') return expression
    if (this.#is(')')) throw this.#wrong('this ) closes nothing')
    throw this.#wrong(`an operator or the end must stand here, not ${shown(rest)}`)
  }

  #binary(level: number): Expression {
    let left = this.#suffixed()
    let logic: string | undefined
    for (;;) {
      const token = this.#peek()
      const operator = token.kind === 'symbol' ? token.text : keywordOf(token)
      const operatorLevel = operator === undefined ? undefined : LEVELS.get(operator)
      if (operator === undefined || operatorLevel === undefined || operatorLevel < level) return left
      this.#next++
      if (operatorLevel === 1) {
        if (logic !== undefined && logic !== operator) this.#hintMixed(token.at, logic, operator)
        logic = operator
      }
      const right = this.#binary(operatorLevel + 1)
      left = this.#node(pair(operator, token.at, left, right))
    }
  }

  /** An operand and the LIKEs and INs after it. */
  #suffixed(): Expression {
    let operand = this.#prefixed()
    for (;;) {
      const negated = keywordOf(this.#peek()) === 'NOT'
      const { at } = this.#peek()
      const word = keywordOf(this.#peek(negated ? 1 : 0))
      if (word !== 'LIKE' && word !== 'IN') {
        if (negated) throw this.#wrong('after a value NOT must be followed by LIKE or IN')
        return operand
      }
      this.#hintNot(operand, word)
      this.#next += negated ? 2 : 1
      operand =
        word === 'LIKE'
          ? this.#node({ kind: 'like', at, operand, pattern: this.#pattern(), negated })
          : this.#node({ kind: 'in', at, operand, elements: this.#set(), negated })
    }
  }

  #prefixed(): Expression {
    const token = this.#peek()
    if (keywordOf(token) === 'NOT') {
      this.#next++
      const operand = this.#deeper(() => this.#prefixed())
      const node = this.#node({ kind: 'not', at: token.at, operand })
      const after = this.#peek()
      if (after.kind === 'symbol' && LEVELS.get(after.text) === 2) this.#hintNot(node, after.text)
      return node
    }
    if (!this.#is('-') && !this.#is('+')) return this.#primary()
    this.#next++
    const digits = this.#peek()
    if (digits.kind === 'digits' && digits.at === token.end) return this.#integer(token.at, token.text)
    if (token.text === '+') throw new CesqlSyntaxError(token.at, 'a + in front of a value must touch its digits')
    const operand = this.#deeper(() => this.#prefixed())
    return this.#node({ kind: 'negate', at: token.at, operand })
  }

  #primary(): Expression {
    const token = this.#peek()
    const { at } = token
    if (this.#is('(')) {
      this.#next++
      const inner = this.#deeper(() => this.#binary(1))
      this.#close(at)
      return inner
    }
    if (token.kind === 'digits') return this.#integer(at, '')
    if (token.kind === 'string') {
      this.#next++
      return this.#node({ kind: 'literal', at, value: token.text })
    }
    if (token.kind !== 'word') throw this.#wrong(`a value must stand here, not ${shown(token)}`)
    const keyword = keywordOf(token)
    if (keyword === 'TRUE' || keyword === 'FALSE') {
      this.#next++
      return this.#node({ kind: 'literal', at, value: keyword === 'TRUE' })
    }
    if (keyword === 'EXISTS') {
      this.#next++
      return this.#node({ kind: 'exists', at, name: this.#exists() })
    }
    if (keyword !== undefined) throw this.#wrong(`a value must stand here, not ${keyword}`)
    const next = this.#peek(1)
    if (next.kind === 'symbol' && next.text === '(') return this.#call()
    return this.#node({ kind: 'attribute', at, name: this.#name() })
  }

  #call(): Expression {
    const { at, text } = this.#peek()
    if (!/^[A-Za-z][A-Za-z_]*$/.test(text)) throw this.#wrong(`${shown(this.#peek())} is no name of a function`)
    this.#next++
    const open = this.#peek()
    this.#next++
    const args: Expression[] = []
    if (!this.#is(')')) {
      do args.push(this.#deeper(() => this.#binary(1)))
      while (this.#comma())
    }
    this.#close(open.at)
    return this.#node({ kind: 'call', at, name: text.toUpperCase(), arguments: args })
  }

  #set(): readonly Expression[] {
    const open = this.#peek()
    if (!this.#is('(')) throw this.#wrong(`after IN a list in parentheses must stand, not ${shown(open)}`)
    this.#next++
    if (this.#is(')')) throw this.#wrong('a list of IN needs at least one member')
    const elements: Expression[] = []
    do {
      if (elements.length === CESQL_LIMITS.elements)
        throw this.#wrong(`a list of IN can have ${CESQL_LIMITS.elements} members at most`)
      const element = this.#deeper(() => this.#binary(1))
      if (element.kind === 'literal') this.#nodes--
      elements.push(element)
    } while (this.#comma())
    this.#close(open.at)
    return elements
  }

  /** A literal, as the text says it: anything else must be refused here (§3.4.3). */
  #pattern(): string {
    const token = this.#peek()
    if (token.kind !== 'string') throw this.#wrong(`after LIKE a string must stand, not ${shown(token)}`)
    this.#next++
    return token.text
  }

  #exists(): string {
    if (this.#is('(')) throw this.#wrong('after EXISTS the name of an attribute must stand, without parentheses')
    if (this.#peek().kind !== 'word' && this.#peek().kind !== 'digits')
      throw this.#wrong(`after EXISTS the name of an attribute must stand, not ${shown(this.#peek())}`)
    return this.#name()
  }

  /** The name of an attribute (CloudEvents 1.0, naming conventions). */
  #name(): string {
    const { text } = this.#peek()
    if (keywordOf(this.#peek()) !== undefined) throw this.#wrong(`${text} is a word of CESQL, not an attribute`)
    if (/^[a-z0-9]+$/.test(text)) {
      this.#next++
      return text
    }
    const lower = text.toLowerCase()
    const advice = /^[a-z0-9]+$/.test(lower) ? `: write ${lower}, or quotes around a text` : ''
    throw this.#wrong(`${shown(this.#peek())} is no attribute, their names are lower-case letters and digits${advice}`)
  }

  #integer(at: number, sign: string): Expression {
    const value = Number(sign + this.#peek().text)
    if (!isInteger32(value)) throw new CesqlSyntaxError(at, `an integer must fit 32 bits (${INTEGER_MAX} at most)`)
    this.#next++
    return this.#node({ kind: 'literal', at, value: value | 0 })
  }

  #comma(): boolean {
    if (!this.#is(',')) return false
    this.#next++
    return true
  }

  #close(open: number): void {
    if (!this.#is(')')) {
      if (this.#peek().kind === 'end') throw new CesqlSyntaxError(open, 'this ( is never closed')
      throw this.#wrong(`an operator, a comma or ) must stand here, not ${shown(this.#peek())}`)
    }
    this.#next++
  }

  #deeper<T>(read: () => T): T {
    if (++this.#depth > CESQL_LIMITS.depth) throw this.#wrong(`nested deeper than ${CESQL_LIMITS.depth} levels`)
    const inner = read()
    this.#depth--
    return inner
  }

  #node(node: Expression): Expression {
    if (++this.#nodes > CESQL_LIMITS.nodes)
      throw new CesqlSyntaxError(node.at, `more than ${CESQL_LIMITS.nodes} values, operators and calls`)
    return node
  }

  #hintMixed(at: number, one: string, other: string): void {
    const message = `${one} and ${other} have the same precedence and go from left to right: parentheses make it clear`
    this.hints.push({ at, message })
  }

  /** `NOT a = b` is `(NOT a) = b`, which nobody means. */
  #hintNot(operand: Expression, before: string): void {
    if (operand.kind !== 'not') return
    this.hints.push({
      at: operand.at,
      message: `NOT goes with the value after it and not with the ${before}: put parentheses around what is meant`,
    })
  }

  #peek(ahead = 0): Token {
    const token = this.#tokens[this.#next + ahead] ?? this.#tokens[this.#tokens.length - 1]
    if (token === undefined) throw new CesqlSyntaxError(0, 'the expression is empty')
    return token
  }

  #is(symbol: string): boolean {
    const token = this.#peek()
    return token.kind === 'symbol' && token.text === symbol
  }

  #wrong(message: string): CesqlSyntaxError {
    return new CesqlSyntaxError(this.#peek().at, message)
  }
}

function keywordOf(token: Token): string | undefined {
  if (token.kind !== 'word') return undefined
  const word = token.text.toUpperCase()
  return KEYWORDS.has(word) ? word : undefined
}

function pair(operator: string, at: number, left: Expression, right: Expression): Expression {
  switch (operator) {
    case 'AND':
    case 'OR':
    case 'XOR':
      return { kind: 'logic', at, operator: operator satisfies LogicOperator, left, right }
    case '=':
      return { kind: 'equality', at, operator: '=', left, right }
    case '!=':
    case '<>':
      return { kind: 'equality', at, operator: '!=', left, right }
    case '<':
    case '<=':
    case '>':
    case '>=':
      return { kind: 'order', at, operator: operator satisfies OrderOperator, left, right }
    default:
      return { kind: 'arithmetic', at, operator: operator as ArithmeticOperator, left, right }
  }
}

function shown(token: Token): string {
  if (token.kind === 'end') return 'the end'
  const text = token.text.length > 30 ? `${token.text.slice(0, 29)}…` : token.text
  return token.kind === 'string' ? `the string ${JSON.stringify(text)}` : `\`${text}\``
}
