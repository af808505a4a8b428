import type { CesqlErrorKind } from '../../../contract/cesql/evaluate.ts'
import { type Expression, type TypeName, typeOf, type Value } from '../../../contract/cesql/expression.ts'
import { Fault, findFunction } from '../../../contract/cesql/functions.ts'
import type { CloudEvent } from '../../../event/event.ts'

/** An error as the definition meets it. */
export class Stop extends Error {
  readonly kind: CesqlErrorKind

  constructor(kind: CesqlErrorKind) {
    super(kind)
    this.kind = kind
  }
}

/**
 * The semantics of CESQL 1.0, word by word and as slow as they read: walks the tree, and big integers and whole characters
 * instead of whatever is fast. The functions' own bodies are those of the broker, they have tests of their own.
 * @throws {Stop} at the first error.
 */
export function define(node: Expression, event: CloudEvent): Value {
  const value = (part: Expression, type: TypeName = typeOf(part)) => castTo(define(part, event), type)
  switch (node.kind) {
    case 'literal':
      return node.value
    case 'attribute':
      if (!(node.name in event.attributes)) throw new Stop('missingAttribute')
      return event.attributes[node.name] ?? ''
    case 'exists':
      return node.name in event.attributes
    case 'not':
      return value(node.operand, 'Boolean') === false
    case 'negate':
      return integer(-BigInt(value(node.operand, 'Integer')))
    case 'logic': {
      const left = value(node.left, 'Boolean')
      if (node.operator === 'AND') return left === false ? false : value(node.right, 'Boolean')
      if (node.operator === 'OR') return left === true ? true : value(node.right, 'Boolean')
      return left !== value(node.right, 'Boolean')
    }
    case 'equality': {
      const equal = value(node.left, typeOf(node.right)) === value(node.right)
      return node.operator === '=' ? equal : !equal
    }
    case 'order':
    case 'arithmetic':
      return ofIntegers(node.operator, value(node.left, 'Integer'), value(node.right, 'Integer'))
    case 'like': {
      const found = isLike([...String(value(node.operand, 'String'))], [...node.pattern])
      return node.negated ? !found : found
    }
    case 'in': {
      const left = value(node.operand)
      const found = node.elements.some(element => value(element, typeOf(node.operand)) === left)
      return node.negated ? !found : found
    }
    case 'call': {
      const target = findFunction(node.name, node.arguments.length)
      if (target === undefined) throw new Stop('missingFunction')
      const types = node.arguments.map((_, i) => target.takes[i] ?? target.rest ?? 'Any')
      const args = node.arguments.map((part, i) => {
        const type = types[i] ?? 'Any'
        return type === 'Any' ? value(part) : value(part, type)
      })
      const result = target.call(...args)
      if (result instanceof Fault) throw new Stop(result.kind)
      return result
    }
    default:
      return node satisfies never
  }
}

function castTo(value: Value, type: TypeName): Value {
  if (typeof value !== 'string') return type === 'String' ? `${value}` : type === 'Integer' ? Number(value) : !!value
  if (type === 'String') return value
  if (type === 'Boolean') {
    if (!/^(true|false)$/i.test(value)) throw new Stop('cast')
    return /^true$/i.test(value)
  }
  if (!/^[-+]?[0-9]+$/.test(value)) throw new Stop('cast')
  const big = BigInt(value.replace('+', ''))
  if (BigInt.asIntN(32, big) !== big) throw new Stop('cast')
  return Number(big)
}

function integer(big: bigint): number {
  if (BigInt.asIntN(32, big) !== big) throw new Stop('math')
  return Number(big)
}

function ofIntegers(operator: string, left: Value, right: Value): Value {
  const [x, y] = [BigInt(left), BigInt(right)]
  if ((operator === '/' || operator === '%') && y === 0n) throw new Stop('math')
  switch (operator) {
    case '<':
      return x < y
    case '<=':
      return x <= y
    case '>':
      return x > y
    case '>=':
      return x >= y
    case '*':
      return integer(x * y)
    case '/':
      return integer(x / y)
    case '%':
      return integer(x % y)
    case '+':
      return integer(x + y)
    default:
      return integer(x - y)
  }
}

export function isLike(text: readonly string[], pattern: readonly string[]): boolean {
  const [first, second] = pattern
  if (first === undefined) return text.length === 0
  if (first === '%') return isLike(text, pattern.slice(1)) || (text.length > 0 && isLike(text.slice(1), pattern))
  if (first === '_') return text.length > 0 && isLike(text.slice(1), pattern.slice(1))
  const escaped = first === '\\' && (second === '%' || second === '_')
  return text[0] === (escaped ? second : first) && isLike(text.slice(1), pattern.slice(escaped ? 2 : 1))
}
