import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CESQL_LIMITS, parseCesql, placed } from '../../../contract/cesql/parse.ts'
import { printCesql } from './print.ts'

/** As read, with parentheses only where they are needed. */
function read(text: string): string {
  const parsed = parseCesql(text)
  assert.ok(parsed.kind === 'expression', `${text}: ${JSON.stringify(parsed)}`)
  return printCesql(parsed.expression)
}

function wrong(text: string): string {
  const parsed = parseCesql(text)
  assert.ok(parsed.kind === 'mistake', text)
  return placed(text, parsed.mistake)
}

function hints(text: string): readonly string[] {
  const parsed = parseCesql(text)
  assert.ok(parsed.kind === 'expression', text)
  return parsed.hints.map(hint => placed(text, hint))
}

test('operators bind in the order of the specification, and equal ones from left to right', () => {
  const same: readonly (readonly [string, string])[] = [
    ['a OR b AND c', '(a OR b) AND c'],
    ['a AND b XOR c OR d', '((a AND b) XOR c) OR d'],
    ['a = b AND c < d + e * f', '(a = b) AND (c < (d + (e * f)))'],
    ['a - b - c', '(a - b) - c'],
    ['a / b * c', '(a / b) * c'],
    ['a = b = c', '(a = b) = c'],
    ['a < b <> c', '(a < b) <> c'],
    ['NOT a = b', '(NOT a) = b'],
    ["NOT a LIKE 'x'", "(NOT a) LIKE 'x'"],
    ['NOT a IN (b)', '(NOT a) IN (b)'],
    ['NOT EXISTS a', 'NOT (EXISTS a)'],
    ['-a * b', '(-a) * b'],
    ["-a LIKE 'x'", "(-a) LIKE 'x'"],
    ["a * b LIKE 'x'", "a * (b LIKE 'x')"],
    ['a * b NOT IN (c)', 'a * (b NOT IN (c))'],
    ["a LIKE 'x' IN (TRUE)", "(a LIKE 'x') IN (TRUE)"],
    ['- - NOT a', '-(-(NOT a))'],
  ]
  for (const [short, long] of same) assert.equal(read(short), read(long), short)
  assert.equal(read('a OR (b AND c)'), 'a OR (b AND c)')
  assert.equal(read('NOT (a = b)'), 'NOT (a = b)')
})

test('a sign that touches digits is theirs where a value begins, and an operator after a value', () => {
  assert.equal(read('4-1'), '4 - 1')
  assert.equal(read('4 -1'), '4 - 1')
  assert.equal(read('4--1'), '4 - -1')
  assert.equal(read('4+1'), '4 + 1')
  assert.equal(read('+4'), '4')
  assert.equal(read('- 4'), '- 4')
  assert.equal(read('-2147483648'), '-2147483648')
  assert.equal(read('2147483647'), '2147483647')
  assert.match(wrong('2147483648'), /^character 1: an integer must fit 32 bits/)
  assert.match(wrong('-2147483649'), /^character 1: an integer must fit 32 bits/)
  assert.match(wrong(`1${'0'.repeat(4000)}`), /must fit 32 bits/)
  assert.match(wrong('+ 4'), /^character 1: a \+ /)
})

test('names may begin with digits, and be all of them after EXISTS', () => {
  assert.equal(read('5g = 007'), '5g = 7')
  assert.equal(read('EXISTS 5'), 'EXISTS 5')
  assert.equal(read('left = LEFT(left, 1)'), 'left = LEFT(left, 1)')
})

test('a string keeps every backslash but the one before its own delimiter', () => {
  assert.equal(read(`'a\\'b'`), `"a'b"`)
  assert.equal(read(`"a\\"b"`), `'a"b'`)
  assert.equal(read(`'a\\"b\\n\\\\'`), `'a\\"b\\n\\\\'`)
  assert.match(wrong(`type = 'a`), /^character 8: the string that begins here has no closing '/)
  assert.match(wrong(`'a\\'`), /^character 1: the string that begins here/)
  assert.match(wrong(`'a''b'`), /^character 4: an operator or the end must stand here, not the string "b"/)
})

test('spaces, tabs and line ends mean nothing', () => {
  assert.equal(read("\n  type\t=\r\n'x'\n"), "type = 'x'")
  assert.equal(read("type='x'AND(n<5)"), "type = 'x' AND n < 5")
})

const mistakes: readonly (readonly [string, RegExp])[] = [
  ['', /^character 1: the expression is empty$/],
  [' \n ', /the expression is empty$/],
  ['a =', /^character 4: a value must stand here, not the end$/],
  ['a = = b', /^character 5: a value must stand here, not `=`$/],
  ['a b', /^character 3: an operator or the end must stand here, not `b`$/],
  ['(a = b', /^character 1: this \( is never closed$/],
  ['a = b)', /^character 6: this \) closes nothing$/],
  ['LENGTH(a b)', /^character 10: an operator, a comma or \) must stand here, not `b`$/],
  ['LENGTH(a', /^character 7: this \( is never closed$/],
  ['LENGTH(a,)', /^character 10: a value must stand here, not `\)`$/],
  ['a IN ()', /^character 7: a list of IN needs at least one member$/],
  ['a IN b', /^character 6: after IN a list in parentheses must stand, not `b`$/],
  ['a LIKE b', /^character 8: after LIKE a string must stand, not `b`$/],
  ["a LIKE CONCAT('b')", /^character 8: after LIKE a string must stand, not `CONCAT`$/],
  ['a NOT b', /^character 3: after a value NOT must be followed by LIKE or IN$/],
  ['EXISTS(a)', /^character 7: after EXISTS the name of an attribute must stand, without parentheses$/],
  ["EXISTS 'a'", /^character 8: after EXISTS the name of an attribute must stand, not the string "a"$/],
  ['EXISTS and', /^character 8: and is a word of CESQL, not an attribute$/],
  ['like = 5', /^character 1: a value must stand here, not LIKE$/],
  ['Type = 5', /^character 1: `Type` is no attribute, .*: write type, or quotes around a text$/],
  ['my_ext = 5', /^character 1: `my_ext` is no attribute, their names are lower-case letters and digits$/],
  ['FN1(a)', /^character 1: `FN1` is no name of a function$/],
  ['a && b', /^character 3: "&" means nothing in CESQL: write AND$/],
  ['!a', /^character 1: "!" means nothing in CESQL: write NOT, or != for a comparison$/],
  ['a = ‘b’', /^character 5: "‘" means nothing in CESQL: strings stand in ' or "$/],
  ['a == b', /^character 4: a value must stand here, not `=`$/],
  ['a.b = 5', /^character 2: "\." means nothing in CESQL$/],
  ["'😀' = 😀", /^character 7: "😀" means nothing in CESQL$/],
  ["a = 'b'\nAND Type = 5\n", /^line 2, character 5: `Type` is no attribute/],
]

for (const [text, message] of mistakes)
  test(`${JSON.stringify(text)} is refused with its place and what to do`, () => assert.match(wrong(text), message))

test('what is legal and seldom meant is pointed out', () => {
  assert.deepEqual(hints("type = 'a' AND n < 5 AND EXISTS b"), [])
  assert.deepEqual(hints('(EXISTS a OR EXISTS b) AND NOT EXISTS c AND NOT (type = 5) AND type NOT IN (5)'), [])
  assert.match(hints('EXISTS a OR EXISTS b AND EXISTS c').join(), /^character 22: OR and AND have the same precedence/)
  assert.match(hints("NOT type = 'a'").join(), /^character 1: NOT goes with the value after it and not with the =/)
  assert.match(hints("EXISTS a AND NOT type LIKE 'a'").join(), /^character 14: NOT .* not with the LIKE/)
  assert.match(hints('NOT type IN (5)').join(), /not with the IN/)
})

test('an expression has bounds', () => {
  const { depth, nodes, elements, bytes } = CESQL_LIMITS
  read(`${'('.repeat(depth)}TRUE${')'.repeat(depth)}`)
  read(`${'NOT '.repeat(depth)}TRUE`)
  read(`id IN (${Array(elements).fill("'a'").join(',')})`)
  read(
    Array(nodes / 2)
      .fill('TRUE')
      .join(' AND '),
  )
  read(`'${'é'.repeat((bytes - 2) / 2)}'`)
  assert.match(wrong(`${'('.repeat(depth + 1)}TRUE${')'.repeat(depth + 1)}`), /^character 34: nested deeper than 32/)
  assert.match(wrong(`${'NOT '.repeat(depth + 1)}TRUE`), /nested deeper than 32 levels$/)
  assert.match(wrong(`${'- '.repeat(depth + 1)}5`), /nested deeper than 32 levels$/)
  assert.match(wrong(`${'ABS('.repeat(depth + 1)}5`), /nested deeper than 32 levels$/)
  assert.match(wrong(`${'5 IN ('.repeat(depth + 1)}5`), /nested deeper than 32 levels$/)
  assert.match(
    wrong(
      `id IN (${Array(elements + 1)
        .fill("'a'")
        .join(',')})`,
    ),
    /can have 256 members at most$/,
  )
  assert.match(wrong(`id IN (${Array(nodes).fill('id').join(',')})`), /more than 256 values, operators and calls$/)
  assert.match(
    wrong(
      Array(nodes / 2 + 1)
        .fill('TRUE')
        .join(' AND '),
    ),
    /more than 256 values/,
  )
  assert.match(wrong(`'${'é'.repeat((bytes - 2) / 2)}' `), /^character 1: longer than 4096 bytes$/)
})

test('hostile texts are refused at once', () => {
  const texts = [
    `${'('.repeat(10_000)}TRUE${')'.repeat(10_000)}`,
    '('.repeat(4096),
    'NOT '.repeat(1024),
    '-'.repeat(4096),
    "a LIKE '".repeat(500),
    `'${'\\'.repeat(4094)}`,
    `${'a IN('.repeat(800)}`,
    `${'EXISTS a AND '.repeat(310)}TRUE`,
    ' '.repeat(4096),
    '('.repeat(50_000_000),
  ]
  const begin = performance.now()
  for (const text of texts) assert.equal(parseCesql(text).kind, 'mistake')
  assert.ok(performance.now() - begin < 500)
})
