import { findFunction } from './functions.ts'

/** A value of the language (CESQL 1.0 §3.1): a String, an Integer of 32 bits with a sign, or a Boolean. */
export type Value = string | number | boolean
export type TypeName = 'String' | 'Integer' | 'Boolean'

export type LogicOperator = 'AND' | 'OR' | 'XOR'
export type OrderOperator = '<' | '<=' | '>' | '>='
export type ArithmeticOperator = '*' | '/' | '%' | '+' | '-'

/**
 * What an expression says, parentheses resolved (CESQL 1.0 §2). `at` is the offset of its first character in the text, or
 * of its operator where it has two operands. `<>` is read as `!=`, and a sign before digits is part of the number.
 */
export type Expression =
  | { readonly kind: 'literal'; readonly at: number; readonly value: Value }
  | { readonly kind: 'attribute'; readonly at: number; readonly name: string }
  | { readonly kind: 'exists'; readonly at: number; readonly name: string }
  | { readonly kind: 'not'; readonly at: number; readonly operand: Expression }
  | { readonly kind: 'negate'; readonly at: number; readonly operand: Expression }
  | ({ readonly kind: 'logic'; readonly operator: LogicOperator } & Operands)
  | ({ readonly kind: 'equality'; readonly operator: '=' | '!=' } & Operands)
  | ({ readonly kind: 'order'; readonly operator: OrderOperator } & Operands)
  | ({ readonly kind: 'arithmetic'; readonly operator: ArithmeticOperator } & Operands)
  | {
      readonly kind: 'like'
      readonly at: number
      readonly operand: Expression
      readonly pattern: string
      readonly negated: boolean
    }
  | {
      readonly kind: 'in'
      readonly at: number
      readonly operand: Expression
      readonly elements: readonly Expression[]
      readonly negated: boolean
    }
  /** `name` in capitals. */
  | { readonly kind: 'call'; readonly at: number; readonly name: string; readonly arguments: readonly Expression[] }

interface Operands {
  readonly at: number
  readonly left: Expression
  readonly right: Expression
}

/**
 * The type of what `expression` gives. Known without an event, because attributes are Strings here whatever they were in
 * JSON: an event must not match in one content mode and fail in the other. A call that cannot be dispatched gives a
 * Boolean (CESQL 1.0 §3.5).
 */
export function typeOf(expression: Expression): TypeName {
  switch (expression.kind) {
    case 'literal':
      return typeOfValue(expression.value)
    case 'attribute':
      return 'String'
    case 'negate':
    case 'arithmetic':
      return 'Integer'
    case 'call':
      return findFunction(expression.name, expression.arguments.length)?.returns ?? 'Boolean'
    case 'exists':
    case 'not':
    case 'logic':
    case 'equality':
    case 'order':
    case 'like':
    case 'in':
      return 'Boolean'
    default:
      return expression satisfies never
  }
}

export function typeOfValue(value: Value): TypeName {
  return typeof value === 'string' ? 'String' : typeof value === 'number' ? 'Integer' : 'Boolean'
}

/** The value that stands for nothing in a type (CESQL 1.0 §3.1). */
export function zeroOf(type: TypeName): Value {
  return type === 'String' ? '' : type === 'Integer' ? 0 : false
}
