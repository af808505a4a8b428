import type { CloudEvent } from '../../event/event.ts'
import { cast, isInteger32, textToBoolean, textToInteger, toText } from './cast.ts'
import { type Expression, type TypeName, typeOf, type Value, zeroOf } from './expression.ts'
import { type BuiltIn, describeMissing, Fault, findFunction } from './functions.ts'
import { compileLike, type Steps } from './like.ts'

/**
 * The work of one evaluation, a few milliseconds at worst: comparisons of LIKE, and characters that functions read. The
 * nodes themselves need no limit here, an expression has few. Beyond it there is a `generic` error.
 */
export const STEPS_MAX = 100_000
/** Functions run over their arguments without stopping. */
const READ_PER_STEP = 8

/** CESQL 1.0 §3.3; a text that does not parse is not here, because it is never evaluated. */
export type CesqlErrorKind = 'math' | 'cast' | 'missingAttribute' | 'missingFunction' | 'functionEvaluation' | 'generic'

type Attributes = CloudEvent['attributes']
type Step<T extends Value> = (attributes: Attributes) => T | Failure

/** What ends an evaluation. Made when the expression is compiled wherever nothing of the event is in it. */
export class Failure {
  readonly kind: CesqlErrorKind
  readonly origin: Expression
  readonly value: Value
  readonly message: string
  /** The text that the message speaks of. */
  readonly about: string | undefined

  constructor(kind: CesqlErrorKind, origin: Expression, message: string, about?: string, value?: Value) {
    this.kind = kind
    this.origin = origin
    this.message = message
    this.about = about
    this.value = value ?? zeroOf(typeOf(origin))
  }
}

const EXHAUSTED = `given up after ${STEPS_MAX} steps: the texts are too long for this expression`

/** The whole expression as one function of an event's attributes, which counts its own work. Pure otherwise, total. */
export function compileSteps(expression: Expression): Step<Value> {
  const steps: Steps = { left: STEPS_MAX }
  const run = compile(expression, steps)
  return attributes => {
    steps.left = STEPS_MAX
    return run(attributes)
  }
}

function compile(node: Expression, steps: Steps): Step<Value> {
  switch (node.kind) {
    case 'literal':
      return () => node.value
    case 'attribute':
      return attribute(node, node.name)
    case 'exists':
      return attributes => typeof attributes[node.name] === 'string'
    case 'not':
      return mapped(booleans(node.operand, steps), x => !x)
    case 'negate':
      return subtraction(node, () => 0, integers(node.operand, steps))
    case 'logic':
      return logic(node, steps)
    case 'equality':
      return equality(node, steps)
    case 'order':
      return order(node, steps)
    case 'arithmetic':
      return arithmetic(node, integers(node.left, steps), integers(node.right, steps))
    case 'like':
      return like(node, steps)
    case 'in':
      return membership(node, steps)
    case 'call':
      return call(node, steps)
    default:
      return node satisfies never
  }
}

/** Of a missing attribute the zero value is FALSE, because nothing says its type (§3.2). */
function attribute(node: Expression, name: string): Step<string> {
  const missing = new Failure('missingAttribute', node, `the event has no attribute ${name}`, undefined, false)
  return attributes => {
    const have: unknown = attributes[name]
    // By type, because a name such as `constructor` finds something in an object that has a prototype.
    return typeof have === 'string' ? have : missing
  }
}

function mapped<A extends Value, B extends Value>(run: Step<A>, change: (value: A) => B | Failure): Step<B> {
  return attributes => {
    const value = run(attributes)
    return value instanceof Failure ? value : change(value)
  }
}

function both<A extends Value, B extends Value>(
  left: Step<A>,
  right: Step<A>,
  combine: (x: A, y: A) => B | Failure,
): Step<B> {
  return attributes => {
    const x = left(attributes)
    if (x instanceof Failure) return x
    const y = right(attributes)
    return y instanceof Failure ? y : combine(x, y)
  }
}

function logic(node: Expression & { kind: 'logic' }, steps: Steps): Step<boolean> {
  const left = booleans(node.left, steps)
  const right = booleans(node.right, steps)
  switch (node.operator) {
    case 'AND':
      return attributes => {
        const x = left(attributes)
        return x === true ? right(attributes) : x
      }
    case 'OR':
      return attributes => {
        const x = left(attributes)
        return x === false ? right(attributes) : x
      }
    case 'XOR':
      return both(left, right, (x, y) => x !== y)
    default:
      return node.operator satisfies never
  }
}

/** The left side is cast to the type of the right one (§3.7). */
function equality(node: Expression & { kind: 'equality' }, steps: Steps): Step<boolean> {
  const left = castSteps(node.left, typeOf(node.right), steps)
  const wanted = node.operator === '='
  if (node.right.kind === 'literal') {
    const { value } = node.right
    return mapped(left, x => (x === value) === wanted)
  }
  return both(left, compile(node.right, steps), (x, y) => (x === y) === wanted)
}

function order(node: Expression & { kind: 'order' }, steps: Steps): Step<boolean> {
  const left = integers(node.left, steps)
  const right = integers(node.right, steps)
  switch (node.operator) {
    case '<':
      return both(left, right, (x, y) => x < y)
    case '<=':
      return both(left, right, (x, y) => x <= y)
    case '>':
      return both(left, right, (x, y) => x > y)
    case '>=':
      return both(left, right, (x, y) => x >= y)
    default:
      return node.operator satisfies never
  }
}

function arithmetic(node: Expression & { kind: 'arithmetic' }, left: Step<number>, right: Step<number>): Step<number> {
  const zero = new Failure('math', node, 'division by zero')
  const overflow = overflowOf(node)
  switch (node.operator) {
    case '+':
      return both(left, right, (x, y) => (isInteger32(x + y) ? x + y : overflow))
    case '-':
      return subtraction(node, left, right)
    case '*':
      // The product of two integers of 32 bits is exact enough to see that it does not fit. `| 0` turns -0 into 0.
      return both(left, right, (x, y) => (isInteger32(x * y) ? (x * y) | 0 : overflow))
    case '/':
      return both(left, right, (x, y) => (y === 0 ? zero : isInteger32(x / y) ? Math.trunc(x / y) | 0 : overflow))
    case '%':
      return both(left, right, (x, y) => (y === 0 ? zero : (x % y) | 0))
    default:
      return node.operator satisfies never
  }
}

function subtraction(node: Expression, left: Step<number>, right: Step<number>): Step<number> {
  const overflow = overflowOf(node)
  return both(left, right, (x, y) => (isInteger32(x - y) ? x - y : overflow))
}

/** §3.4 does not say what becomes of a result beyond 32 bits: to wrap around silently could only match by accident. */
function overflowOf(node: Expression): Failure {
  return new Failure('math', node, 'the result does not fit 32 bits')
}

function like(node: Expression & { kind: 'like' }, steps: Steps): Step<boolean> {
  const matches = compileLike(node.pattern)
  const exhausted = new Failure('generic', node, EXHAUSTED)
  return mapped(texts(node.operand, steps), text => {
    const found = matches(text, steps)
    return found === undefined ? exhausted : found !== node.negated
  })
}

/** Members are cast to the type of the left side (§3.4.5), from left to right until one is equal. */
function membership(node: Expression & { kind: 'in' }, steps: Steps): Step<boolean> {
  const type = typeOf(node.operand)
  const left = compile(node.operand, steps)
  const known = constants(node.elements, type)
  if (known !== undefined) return mapped(left, x => known.has(x) !== node.negated)
  const elements = node.elements.map(element => castSteps(element, type, steps))
  return attributes => {
    const x = left(attributes)
    if (x instanceof Failure) return x
    for (const element of elements) {
      const y = element(attributes)
      if (y instanceof Failure) return y
      if (x === y) return !node.negated
    }
    return node.negated
  }
}

/** Undefined unless all are literals that can be cast. */
function constants(elements: readonly Expression[], type: TypeName): ReadonlySet<Value> | undefined {
  const values = new Set<Value>()
  for (const element of elements) {
    const value = element.kind === 'literal' ? cast(element.value, type) : undefined
    if (value === undefined) return undefined
    values.add(value)
  }
  return values
}

function call(node: Expression & { kind: 'call' }, steps: Steps): Step<Value> {
  const target = findFunction(node.name, node.arguments.length)
  if (target === undefined) {
    const missing = new Failure('missingFunction', node, describeMissing(node.name, node.arguments.length))
    return () => missing
  }
  const args = node.arguments.map((argument, i) => {
    const type = target.takes[i] ?? target.rest ?? 'Any'
    return type === 'Any' ? compile(argument, steps) : castSteps(argument, type, steps)
  })
  const exhausted = new Failure('generic', node, EXHAUSTED)
  return attributes => {
    const values: Value[] = []
    for (const arg of args) {
      const value = arg(attributes)
      if (value instanceof Failure) return value
      if (typeof value === 'string') steps.left -= value.length / READ_PER_STEP
      values.push(value)
    }
    if (steps.left < 0) return exhausted
    return outcome(node, target, values)
  }
}

function outcome(node: Expression, target: BuiltIn, values: readonly Value[]): Value | Failure {
  const value = target.call(...values)
  if (!(value instanceof Fault)) return value
  const about = value.kind === 'cast' ? String(values[0]) : undefined
  return new Failure(value.kind, node, value.message, about, value.value)
}

function castSteps(node: Expression, type: TypeName, steps: Steps): Step<Value> {
  switch (type) {
    case 'String':
      return texts(node, steps)
    case 'Integer':
      return integers(node, steps)
    case 'Boolean':
      return booleans(node, steps)
    default:
      return type satisfies never
  }
}

function texts(node: Expression, steps: Steps): Step<string> {
  return mapped(compile(node, steps), toText)
}

function integers(node: Expression, steps: Steps): Step<number> {
  return mapped(compile(node, steps), value => {
    if (typeof value !== 'string') return Number(value)
    return textToInteger(value) ?? new Failure('cast', node, 'is no Integer', value)
  })
}

function booleans(node: Expression, steps: Steps): Step<boolean> {
  return mapped(compile(node, steps), value => {
    if (typeof value !== 'string') return Boolean(value)
    return textToBoolean(value) ?? new Failure('cast', node, 'is no Boolean', value)
  })
}
