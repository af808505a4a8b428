import fc from 'fast-check'
import type { Expression } from '../../../contract/cesql/expression.ts'
import type { CloudEvent } from '../../../event/event.ts'
import { eventWith } from './events.ts'

const at = fc.constant(0)
const names = fc.constantFrom('type', 'id', 'subject', 'n', 'b', '5g', 'absent')
const integers = fc.oneof(fc.integer({ min: -3, max: 12 }), fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, 65_536))

/** A backslash before a quote or at the end has no text that says it. */
const texts = fc
  .oneof(
    fc.string({ unit: fc.constantFrom(...'ab%_\\\'" é', '😀'), maxLength: 6 }),
    fc.constantFrom('true', 'FALSE', '5', '-7', '+3', '007', '2147483648', 'order.created', ''),
  )
  .filter(text => !/\\(['"]|$)/.test(text) && !(text.includes("'") && text.includes('"')))

const FUNCTIONS: readonly (readonly [name: string, least: number, most: number])[] = [
  ['LENGTH', 1, 1],
  ['CONCAT', 0, 3],
  ['CONCAT_WS', 0, 3],
  ['LOWER', 1, 1],
  ['UPPER', 1, 1],
  ['TRIM', 1, 1],
  ['LEFT', 2, 2],
  ['RIGHT', 2, 2],
  ['SUBSTRING', 1, 3],
  ['ABS', 1, 1],
  ['INT', 1, 1],
  ['BOOL', 1, 1],
  ['STRING', 1, 1],
  ['IS_INT', 1, 1],
  ['IS_BOOL', 1, 1],
  ['NO_SUCH', 0, 2],
]

const ARITHMETIC = ['*', '/', '%', '+', '-'] as const

/** Any expression within the limits, errors of every kind among them. */
export const expressions: fc.Arbitrary<Expression> = fc.letrec<{
  expression: Expression
  leaf: Expression
  part: Expression
}>(tie => {
  const inner = tie('expression')
  const two = { at, left: inner, right: inner }
  return {
    part: fc.record({
      kind: fc.constant('call' as const),
      at,
      name: fc.constantFrom('LEFT', 'RIGHT', 'SUBSTRING'),
      arguments: fc.tuple(
        tie('leaf'),
        fc.record({ kind: fc.constant('literal' as const), at, value: fc.integer({ min: -5, max: 8 }) }),
      ),
    }),
    leaf: fc.oneof(
      fc.record({ kind: fc.constant('attribute' as const), at, name: names }),
      fc.record({ kind: fc.constant('exists' as const), at, name: names }),
      fc.record({ kind: fc.constant('literal' as const), at, value: fc.oneof(texts, integers, fc.boolean()) }),
    ),
    expression: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'cesql', withCrossShrink: true },
      tie('leaf'),
      tie('part'),
      fc.record({ kind: fc.constantFrom('not' as const, 'negate' as const), at, operand: inner }),
      fc.record({ kind: fc.constant('logic' as const), operator: fc.constantFrom('AND', 'OR', 'XOR'), ...two }),
      fc.record({ kind: fc.constant('equality' as const), operator: fc.constantFrom('=', '!='), ...two }),
      fc.record({ kind: fc.constant('order' as const), operator: fc.constantFrom('<', '<=', '>', '>='), ...two }),
      fc.record({ kind: fc.constant('arithmetic' as const), operator: fc.constantFrom(...ARITHMETIC), ...two }),
      fc.record({ kind: fc.constant('like' as const), at, operand: inner, pattern: texts, negated: fc.boolean() }),
      fc.record({
        kind: fc.constant('in' as const),
        at,
        operand: inner,
        elements: fc.oneof(
          fc.array(tie('leaf'), { minLength: 1, maxLength: 4 }),
          fc.array(inner, { minLength: 1, maxLength: 3 }),
        ),
        negated: fc.boolean(),
      }),
      fc.constantFrom(...FUNCTIONS).chain(([name, minLength, maxLength]) =>
        fc.record({
          kind: fc.constant('call' as const),
          at,
          name: fc.constant(name),
          arguments: fc.array(inner, { minLength, maxLength }),
        }),
      ),
    ),
  }
}).expression

/** Events whose attributes are often the values that the expressions speak of. */
export const events: fc.Arbitrary<CloudEvent> = fc
  .dictionary(fc.constantFrom('type', 'subject', 'n', 'b', '5g'), texts)
  .map(attributes => eventWith(attributes))
