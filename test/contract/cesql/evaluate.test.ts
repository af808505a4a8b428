import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePredicate, type Evaluated, evaluate } from '../../../contract/cesql/evaluate.ts'
import { RESULT_MAX } from '../../../contract/cesql/functions.ts'
import { parseCesql } from '../../../contract/cesql/parse.ts'
import { eventWith } from './events.ts'

function run(text: string, attributes: Readonly<Record<string, string>> = {}): Evaluated {
  const parsed = parseCesql(text)
  assert.ok(parsed.kind === 'expression', `${text}: ${JSON.stringify(parsed)}`)
  return evaluate(parsed.expression, eventWith(attributes))
}

function resultOf(text: string, attributes: Readonly<Record<string, string>> = {}): unknown {
  const { value, error } = run(text, attributes)
  assert.equal(error, undefined, `${text}: ${error?.message}`)
  return value
}

function errorOf(text: string, attributes: Readonly<Record<string, string>> = {}): string {
  const { error } = run(text, attributes)
  return `${error?.kind} at ${error?.at}: ${error?.message}`
}

test('an error says its kind, its place and what the event had', () => {
  assert.equal(errorOf('n = 5'), 'missingAttribute at 0: the event has no attribute n')
  assert.equal(errorOf('TRUE AND n > 5', { n: 'many' }), 'cast at 9: "many" is no Integer')
  assert.equal(errorOf('type AND TRUE', { type: 'a' }), 'cast at 0: "a" is no Boolean')
  assert.equal(errorOf('INT(n)', { n: 'x'.repeat(500) }), `cast at 0: "${'x'.repeat(60)}" is no Integer`)
  assert.equal(errorOf('5 % 0 = 0'), 'math at 2: division by zero')
  assert.equal(errorOf('2147483647 + 1 = 0'), 'math at 11: the result does not fit 32 bits')
  assert.match(errorOf('LENGHT(type) = 5'), /^missingFunction at 0: there is no function LENGHT; there are LENGTH, /)
  assert.equal(errorOf("LEFT('a') = 'a'"), 'missingFunction at 0: LEFT takes 2 arguments, not 1')
  assert.equal(errorOf('SUBSTRING(type)'), 'missingFunction at 0: SUBSTRING takes 2 or 3 arguments, not 1')
  assert.equal(errorOf('CONCAT_WS()'), 'missingFunction at 0: CONCAT_WS takes 1 or more arguments, not 0')
  assert.match(
    errorOf("SUBSTRING('abc', 9) = ''"),
    /^functionEvaluation at 0: position 9 is outside of a text of length 3/,
  )
})

test('= casts the left side to the type of the right one, so its sides cannot be exchanged', () => {
  assert.equal(resultOf('n = 10', { n: '010' }), true)
  assert.equal(resultOf('10 = n', { n: '010' }), false)
  assert.equal(resultOf('n = "10"', { n: '010' }), false)
  assert.equal(resultOf('n = TRUE', { n: 'True' }), true)
  assert.equal(resultOf('TRUE = n', { n: 'True' }), false)
  assert.equal(resultOf('n != 10', { n: '+10' }), false)
  assert.match(errorOf('n != 10', { n: 'ten' }), /^cast/)
  assert.equal(resultOf('n = b', { n: '5', b: '05' }), false)
})

test('IN casts its members to the type of the left side, and stops at the first that is equal', () => {
  assert.equal(resultOf('INT(n) IN ("007", 8)', { n: '7' }), true)
  assert.equal(resultOf('n IN ("007", 8)', { n: '7' }), false)
  assert.equal(resultOf('n IN (7, TRUE)', { n: 'true' }), true)
  assert.equal(resultOf('5 IN (5, "abc")'), true)
  assert.match(errorOf('6 IN (5, "abc")'), /^cast at 9/)
  assert.match(errorOf('6 NOT IN (5, absent)'), /^missingAttribute at 13/)
  assert.equal(resultOf("type IN (n, 'b')", { type: 'a', n: 'a' }), true)
})

test('NOT LIKE and NOT IN of a missing attribute are errors, not matches', () => {
  for (const text of ["n NOT LIKE 'a'", "n NOT IN ('a')", "NOT (n = 'a')", "n != 'a'", "NOT (n LIKE 'a')"])
    assert.deepEqual([run(text).value, run(text).error?.kind], [false, 'missingAttribute'], text)
})

test('EXISTS guards what would be an error', () => {
  assert.equal(resultOf("EXISTS n AND n = 'a'"), false)
  assert.equal(resultOf("NOT EXISTS n OR n = 'a'"), true)
  assert.match(errorOf("n = 'a' OR TRUE"), /^missingAttribute/)
  assert.match(errorOf('n XOR FALSE'), /^missingAttribute/)
})

test('an attribute is there even if it is empty, and a name of every object is not there', () => {
  assert.equal(resultOf('EXISTS n', { n: '' }), true)
  assert.equal(resultOf("n = ''", { n: '' }), true)
  const bad = { ...eventWith(), attributes: { id: '1', source: 's', type: 't', specversion: '1.0' } }
  for (const text of ['EXISTS constructor', 'EXISTS tostring', 'EXISTS valueof']) {
    const parsed = parseCesql(text)
    assert.ok(parsed.kind === 'expression')
    assert.deepEqual(evaluate(parsed.expression, bad), { value: false })
  }
})

test('a result beyond 32 bits is an error and never wraps around', () => {
  for (const text of [
    ...['2147483647 + 1', '-2147483648 - 1', '65536 * 65536', '65536 * 32768', '-2147483648 / -1', '--2147483648'],
    ...['2147483647 * 2147483647', 'ABS(-2147483648)', '0 - -2147483648'],
  ])
    assert.equal(run(text).error?.kind, 'math', text)
  assert.equal(resultOf('65536 * -32768'), -2147483648)
  assert.equal(resultOf('-2147483648 % -1'), 0)
  assert.equal(resultOf('-2147483648 / 1'), -2147483648)
})

test('division and remainder go towards zero, and there is no negative zero', () => {
  assert.deepEqual(
    ['-5 / 3', '5 / -3', '-5 % 3', '5 % -3', '-5 % -3'].map(text => resultOf(text)),
    [-1, -1, -2, 2, -2],
  )
  for (const text of ['-5 % 5', '0 * -1', '0 / -5', '-1 / 2', "-'0'", "INT('-0')", '-FALSE', '0 - 0'])
    assert.ok(Object.is(resultOf(text), 0), text)
})

test('only digits with a sign are an Integer, only true and false a Boolean', () => {
  for (const text of ['', ' 5', '5 ', '5.0', '1e3', '0x10', '٣', '--5', '+', '2147483648', '-2147483649', '5n', '5_0'])
    assert.equal(resultOf('IS_INT(n)', { n: text }), false, text)
  for (const text of ['0', '-0', '+5', '00000000000000007', '2147483647', '-2147483648'])
    assert.equal(resultOf('IS_INT(n)', { n: text }), true, text)
  for (const text of ['TRUE', 'fAlse']) assert.equal(resultOf('IS_BOOL(n)', { n: text }), true)
  for (const text of ['', '1', 'yes', ' true', 'true\n', 'ﬀalse'])
    assert.equal(resultOf('IS_BOOL(n)', { n: text }), false)
  assert.equal(resultOf('IS_INT(TRUE) AND IS_BOOL(7) AND IS_INT(7) AND IS_BOOL(FALSE)'), true)
})

test('a character is a code point, in functions and in LIKE', () => {
  const n = 'a😀é😀'
  assert.equal(resultOf('LENGTH(n)', { n }), 4)
  assert.equal(resultOf('LEFT(n, 2)', { n }), 'a😀')
  assert.equal(resultOf('RIGHT(n, 3)', { n }), '😀é😀')
  assert.equal(resultOf('SUBSTRING(n, 2, 2)', { n }), '😀é')
  assert.equal(resultOf('SUBSTRING(n, -1)', { n }), '😀')
  assert.equal(resultOf('SUBSTRING(n, 4, 2147483647)', { n }), '😀')
  assert.equal(resultOf("n LIKE '____'", { n }), true)
  assert.equal(resultOf("n LIKE 'a_é%'", { n }), true)
  assert.equal(resultOf("n LIKE '%_____'", { n }), false)
})

test('SUBSTRING refuses a negative length and a place outside, also of an empty text', () => {
  for (const text of ["SUBSTRING('abc', 1, -1)", "SUBSTRING('abc', 0, -1)", "SUBSTRING('', 1)", "SUBSTRING('abc', -4)"])
    assert.deepEqual([run(text).value, run(text).error?.kind], ['', 'functionEvaluation'], text)
  assert.equal(resultOf("SUBSTRING('abc', 3, 0)"), '')
  assert.equal(resultOf("SUBSTRING('abc', -3, 1)"), 'a')
})

test('TRIM takes the white space of Unicode and nothing else', () => {
  assert.equal(resultOf('TRIM(n)', { n: '\u0085\u00a0\t a\u0000 b \u3000\u2028' }), 'a\u0000 b')
  assert.equal(resultOf('TRIM(n)', { n: '\ufeff a \u200b' }), '\ufeff a \u200b')
  assert.equal(resultOf('TRIM(n)', { n: ' \t ' }), '')
})

test('an error ends the evaluation: the value is the zero of the whole expression', () => {
  assert.deepEqual(run("LENGTH(LEFT('abc', -2))").value, 0)
  assert.deepEqual(run("UPPER(LEFT('abc', -2))").value, '')
  assert.deepEqual(run("NOT (LEFT('abc', -2) = 'abc')").value, false)
  assert.deepEqual(run('STRING(absent)').value, '')
})

test('work and memory of an evaluation are bounded, whatever the texts', () => {
  const big = 'a'.repeat(1 << 20)
  const hostile: readonly (readonly [string, string])[] = [
    [`id LIKE '${'%a'.repeat(200)}_b'`, big],
    [`id LIKE '%${'a'.repeat(1000)}b${'a'.repeat(1000)}%'`, big],
    [
      Array(50)
        .fill(`id LIKE '%${'a'.repeat(40)}b%'`)
        .join(' OR '),
      big,
    ],
    [Array(25).fill("SUBSTRING(id, -5) = 'b'").join(' OR '), big],
    [`${'LOWER('.repeat(30)}id${')'.repeat(30)} = 'x'`, big],
    [`LENGTH(${'TRIM('.repeat(30)}id${')'.repeat(30)}) = 5`, ' '.repeat(1 << 20)],
  ]
  const begin = performance.now()
  for (const [text, id] of hostile) assert.equal(run(text, { id }).error?.kind, 'generic', text.slice(0, 60))
  assert.ok(performance.now() - begin < 500)
  assert.match(errorOf(hostile[0]?.[0] ?? '', { id: big }), /given up after 100000 steps/)

  const doubled = `${'CONCAT('.repeat(12)}id${', id, id, id, id, id, id)'.repeat(12)}`
  assert.equal(run(doubled, { id: 'a'.repeat(1000) }).error?.kind, 'functionEvaluation')
  assert.equal(String(resultOf('CONCAT(id, id)', { id: 'a'.repeat(RESULT_MAX / 2) })).length, RESULT_MAX)
  assert.equal(run("CONCAT_WS('--', id, id)", { id: 'a'.repeat(RESULT_MAX / 2) }).error?.kind, 'functionEvaluation')
  assert.equal(run('LOWER(id)', { id: 'İ'.repeat(RESULT_MAX / 2 + 1) }).error?.kind, 'functionEvaluation')
})

test('each event has the whole work of an evaluation to itself', () => {
  const parsed = parseCesql("LENGTH(id) = 100000 AND id LIKE '%_b%'")
  assert.ok(parsed.kind === 'expression')
  const passes = compilePredicate(parsed.expression)
  const event = eventWith({ id: `${'a'.repeat(15_000)}cb`.padEnd(100_000, 'd') })
  for (let i = 0; i < 5; i++) assert.equal(passes(event), true)
})

test('long texts are no error where they cost nothing, or little', () => {
  const id = `order-${'a'.repeat(100_000)}.made`
  assert.equal(resultOf("id LIKE 'order-%' AND id LIKE '%.made' AND id != 'order-'", { id }), true)
  assert.equal(resultOf("id LIKE '%aaa.m%'", { id }), true)
})
