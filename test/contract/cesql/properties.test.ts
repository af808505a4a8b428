import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileEvaluator, compilePredicate, evaluate } from '../../../contract/cesql/evaluate.ts'
import { type Expression, typeOf, typeOfValue, zeroOf } from '../../../contract/cesql/expression.ts'
import { compileLike } from '../../../contract/cesql/like.ts'
import { parseCesql } from '../../../contract/cesql/parse.ts'
import { events, expressions } from './arbitrary.ts'
import { define, isLike, Stop } from './definition.ts'
import { printCesql } from './print.ts'

test('what an expression prints to is read as the same expression', () => {
  fc.assert(
    fc.property(expressions, expression => {
      const text = printCesql(expression)
      const parsed = parseCesql(text)
      if (parsed.kind === 'mistake' && /longer|deeper|more than/.test(parsed.mistake.message)) return
      assert.ok(parsed.kind === 'expression', `${text}: ${JSON.stringify(parsed)}`)
      assert.deepEqual(withoutPlaces(parsed.expression), withoutPlaces(expression))
      assert.equal(printCesql(parsed.expression), text)
    }),
    { numRuns: 3000 },
  )
})

test('evaluation is total, gives the type it is said to give, and says what the definition says', () => {
  const kinds = new Map<string, number>()
  fc.assert(
    fc.property(expressions, events, (expression, event) => {
      const { value, error } = evaluate(expression, event)
      const defined = definedOf(expression, event)
      assert.deepEqual(error?.kind ?? value, defined instanceof Stop ? defined.kind : defined)
      kinds.set(error?.kind ?? 'value', (kinds.get(error?.kind ?? 'value') ?? 0) + 1)
      if (error === undefined) assert.equal(typeOfValue(value), typeOf(expression))
      assert.equal(compilePredicate(expression)(event), error === undefined && value === true)
      assert.ok(!Object.is(value, -0))
    }),
    { numRuns: 6000 },
  )
  for (const kind of ['value', 'math', 'cast', 'missingAttribute', 'missingFunction', 'functionEvaluation'])
    assert.ok((kinds.get(kind) ?? 0) > 10, `${kind}: ${kinds.get(kind)}`)
})

test('after an error the value is a zero, except where a function at the top has one of its own', () => {
  fc.assert(
    fc.property(expressions, events, (expression, event) => {
      const { value, error } = evaluate(expression, event)
      if (error === undefined || expression.kind === 'call') return
      const type = expression.kind === 'attribute' ? 'Boolean' : typeOf(expression)
      assert.equal(value, zeroOf(type))
    }),
  )
})

test('an evaluator keeps nothing of the events before', () => {
  fc.assert(
    fc.property(expressions, events, events, (expression, one, other) => {
      const evaluator = compileEvaluator(expression)
      const first = evaluator(one)
      evaluator(other)
      assert.deepEqual(evaluator(one), first)
    }),
  )
})

test('two NOTs are none, and De Morgan is right, wherever there is no error', () => {
  fc.assert(
    fc.property(expressions, expressions, events, (left, right, event) => {
      const at = 0
      const not = (operand: Expression): Expression => ({ kind: 'not', at, operand })
      const join = (operator: 'AND' | 'OR', x: Expression, y: Expression): Expression => {
        return { kind: 'logic', operator, at, left: x, right: y }
      }
      const value = (expression: Expression) => evaluate(expression, event).value
      if (evaluate(not(left), event).error !== undefined || evaluate(not(right), event).error !== undefined) return
      if (typeOf(left) === 'Boolean') assert.equal(value(not(not(left))), value(left))
      assert.equal(value(not(join('AND', left, right))), value(join('OR', not(left), not(right))))
      assert.equal(value(not(join('OR', left, right))), value(join('AND', not(left), not(right))))
    }),
    { numRuns: 3000 },
  )
})

test('LIKE says what its definition says, character by character', () => {
  const patterns = fc.string({ unit: fc.constantFrom('%', '_', '\\', 'a', 'b', '😀', '\ud83d'), maxLength: 8 })
  const texts = fc.string({ unit: fc.constantFrom('a', 'b', '%', '_', '\\', '😀', '\ude00'), maxLength: 8 })
  fc.assert(
    fc.property(texts, patterns, (text, pattern) => {
      // Halves of a pair that meet are one character: then the pattern is not what it was made of.
      fc.pre(text.isWellFormed() === pattern.isWellFormed() && pattern.isWellFormed())
      assert.equal(compileLike(pattern)(text, { left: 1e6 }), isLike([...text], [...pattern]))
    }),
    { numRuns: 20_000 },
  )
})

test('no text makes the parser throw, and a mistake has its place in the text', () => {
  const pieces = fc.constantFrom(
    ...['AND', 'or', 'NOT', 'LIKE', 'IN', 'EXISTS', 'TRUE', 'type', 'Type', 'LEFT', '5', '-', '+', '99999999999'],
    ...['(', ')', ',', '=', '!=', '<', '%', "'a'", '"b"', "'", '\\', '"', ' ', '\n', '&&', '😀', '\ud83d', '_', '\0'],
  )
  const texts = fc.oneof(
    fc.array(pieces, { maxLength: 40 }).map(all => all.join(' ')),
    fc.string({ unit: 'binary' }),
  )
  fc.assert(
    fc.property(texts, text => {
      const parsed = parseCesql(text)
      if (parsed.kind === 'expression') return
      assert.ok(parsed.mistake.at >= 0 && parsed.mistake.at <= text.length)
      assert.ok(parsed.mistake.message.length < 400)
    }),
    { numRuns: 10_000 },
  )
})

function definedOf(...[expression, event]: Parameters<typeof define>) {
  try {
    return define(expression, event)
  } catch (error) {
    if (error instanceof Stop) return error
    throw error
  }
}

function withoutPlaces(expression: Expression): unknown {
  return JSON.parse(JSON.stringify(expression, (key, value) => (key === 'at' ? undefined : value)))
}
