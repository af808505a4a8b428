import { cast, INTEGER_MAX, INTEGER_MIN } from './cast.ts'
import type { TypeName, Value } from './expression.ts'
import { widthAt } from './like.ts'

/** What a function may not exceed, in UTF-16 code units: or a few nested CONCATs fill the memory. */
export const RESULT_MAX = 64 << 10

/** A function that failed still has a value (CESQL 1.0 §3.5.3). */
export class Fault {
  readonly kind: 'math' | 'cast' | 'functionEvaluation'
  readonly value: Value
  readonly message: string

  constructor(kind: 'math' | 'cast' | 'functionEvaluation', value: Value, message: string) {
    this.kind = kind
    this.value = value
    this.message = message
  }
}

export interface BuiltIn {
  readonly name: string
  /** Types that the arguments are cast to; Any is left as it is. */
  readonly takes: readonly (TypeName | 'Any')[]
  /** Of the arguments beyond `takes`, if there may be any. */
  readonly rest?: TypeName
  readonly returns: TypeName
  /** Gets as many arguments as it takes, of the types it takes. Pure, never throws. */
  readonly call: (...args: Value[]) => Value | Fault
}

/**
 * The functions of CESQL 1.0 §3.5, and `INT`, `BOOL`, `STRING`, `IS_INT`, `IS_BOOL`, which the table of version 1 forgot
 * while its examples and conformance tests use them. `IS_…` says whether the cast would succeed. Names in capitals; a
 * name may come more than once, with other numbers of arguments.
 */
const FUNCTIONS: readonly BuiltIn[] = [
  of('LENGTH', ['String'], 'Integer', (x: string) => lengthOf(x)),
  { ...of('CONCAT', [], 'String', (...parts: string[]) => joined(parts, '')), rest: 'String' },
  {
    ...of('CONCAT_WS', ['String'], 'String', (delimiter: string, ...parts: string[]) => joined(parts, delimiter)),
    rest: 'String',
  },
  of('LOWER', ['String'], 'String', (x: string) => bounded(x.toLowerCase())),
  of('UPPER', ['String'], 'String', (x: string) => bounded(x.toUpperCase())),
  of('TRIM', ['String'], 'String', trim),
  of('LEFT', ['String', 'Integer'], 'String', (x: string, y: number) =>
    y < 0 ? negative(x, y) : x.slice(0, offsetOf(x, y)),
  ),
  of('RIGHT', ['String', 'Integer'], 'String', (x: string, y: number) =>
    y < 0 ? negative(x, y) : x.slice(offsetOf(x, Math.max(0, lengthOf(x) - y))),
  ),
  of('SUBSTRING', ['String', 'Integer'], 'String', (x: string, position: number) => substring(x, position)),
  of('SUBSTRING', ['String', 'Integer', 'Integer'], 'String', (x: string, position: number, length: number) =>
    substring(x, position, length),
  ),
  of('ABS', ['Integer'], 'Integer', (x: number) =>
    x === INTEGER_MIN ? new Fault('math', INTEGER_MAX, `ABS(${x}) does not fit 32 bits`) : Math.abs(x),
  ),
  of('INT', ['Any'], 'Integer', (x: Value) => cast(x, 'Integer') ?? new Fault('cast', 0, 'is no Integer')),
  of('BOOL', ['Any'], 'Boolean', (x: Value) => cast(x, 'Boolean') ?? new Fault('cast', false, 'is no Boolean')),
  of('STRING', ['Any'], 'String', (x: Value) => String(x)),
  of('IS_INT', ['Any'], 'Boolean', (x: Value) => cast(x, 'Integer') !== undefined),
  of('IS_BOOL', ['Any'], 'Boolean', (x: Value) => cast(x, 'Boolean') !== undefined),
]

const BY_NAME = Map.groupBy(FUNCTIONS, one => one.name)

/** The function that a call with so many arguments means. `name` in capitals. */
export function findFunction(name: string, count: number): BuiltIn | undefined {
  return BY_NAME.get(name)?.find(one =>
    one.rest === undefined ? count === one.takes.length : count >= one.takes.length,
  )
}

/** Why there is no such function, in words. */
export function describeMissing(name: string, count: number): string {
  const same = BY_NAME.get(name)
  if (same === undefined) return `there is no function ${name}; there are ${[...BY_NAME.keys()].join(', ')}`
  const counts = same.map(one => (one.rest === undefined ? `${one.takes.length}` : `${one.takes.length} or more`))
  const takes = counts.join(' or ')
  return `${name} takes ${takes} ${takes === '1' ? 'argument' : 'arguments'}, not ${count}`
}

/** The casts of the arguments have been done where `call` is called: `takes` and the parameters of `call` agree. */
function of<Args extends Value[]>(
  name: string,
  takes: readonly (TypeName | 'Any')[],
  returns: TypeName,
  call: (...args: Args) => Value | Fault,
): BuiltIn {
  return { name, takes, returns, call: call as unknown as BuiltIn['call'] }
}

function lengthOf(text: string): number {
  let length = 0
  for (let at = 0; at < text.length; at += widthAt(text, at)) length++
  return length
}

/** Where the character of that index begins; the end of the text where it has fewer. */
function offsetOf(text: string, index: number): number {
  let at = 0
  for (let i = 0; i < index && at < text.length; i++) at += widthAt(text, at)
  return at
}

function substring(x: string, position: number, length?: number): string | Fault {
  const all = lengthOf(x)
  if (Math.abs(position) > all)
    return new Fault('functionEvaluation', '', `position ${position} is outside of a text of length ${all}`)
  if (length !== undefined && length < 0)
    return new Fault('functionEvaluation', '', `a length must not be negative, as ${length} is`)
  if (position === 0) return ''
  const first = position > 0 ? position - 1 : all + position
  const from = offsetOf(x, first)
  return length === undefined ? x.slice(from) : x.slice(from, from + offsetOf(x.slice(from), length))
}

function negative(x: string, y: number): Fault {
  return new Fault('functionEvaluation', x, `a number of characters must not be negative, as ${y} is`)
}

function joined(parts: readonly string[], delimiter: string): string | Fault {
  let length = delimiter.length * Math.max(0, parts.length - 1)
  for (const part of parts) length += part.length
  return length > RESULT_MAX ? tooLong() : parts.join(delimiter)
}

function bounded(text: string): string | Fault {
  return text.length > RESULT_MAX ? tooLong() : text
}

function tooLong(): Fault {
  return new Fault('functionEvaluation', '', `the result is longer than ${RESULT_MAX} characters`)
}

const WHITE_SPACE = /^\p{White_Space}$/u

/** Unicode's White_Space, which is not what `String.prototype.trim` takes: that leaves U+0085 and takes U+FEFF. */
function trim(x: string): string {
  let from = 0
  let to = x.length
  while (from < to && WHITE_SPACE.test(x.charAt(from))) from++
  while (to > from && WHITE_SPACE.test(x.charAt(to - 1))) to--
  return x.slice(from, to)
}
