import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cesqlEqualities, compileCesql, readCesqlFilter } from '../../../contract/cesql/cesql-filter.ts'
import { eventWith } from './events.ts'

function mistake(text: string): string {
  const read = readCesqlFilter(text)
  return read.kind === 'mistake' ? read.words : 'none'
}

test('a filter passes what is TRUE without an error, and nothing else', () => {
  const passes = (text: string, attributes: Readonly<Record<string, string>> = {}) =>
    compileCesql(text)?.(eventWith(attributes))
  assert.equal(passes("type = 'order.created' AND source LIKE 'https://%'"), true)
  assert.equal(passes("type = 'order.made'"), false)
  assert.equal(passes("subject = 'a'"), false)
  assert.equal(passes("subject != 'a'"), false)
  assert.equal(passes('n > 5', { n: 'x' }), false)
  assert.equal(passes("TRUE OR subject = 'a'"), true)
  assert.equal(passes('BOOL(n)', { n: 'true' }), true)
})

test('what can never let an event pass is a mistake of the filter', () => {
  assert.match(mistake('type ='), /^character 7: a value must stand here/)
  assert.match(mistake('subject'), /^character 1: .*type String: .*subject = TRUE, or ask EXISTS subject$/)
  assert.match(mistake('1 + 2'), /^character 3: a filter must give a Boolean, and this gives a value of type Integer$/)
  assert.match(mistake('"TRUE"'), /type String$/)
  assert.match(mistake('EXISTS a OR LENGHT(a) = 5'), /^character 13: there is no function LENGHT/)
  assert.match(mistake("type IN ('a', LEFT(id)) AND NOT (TRUE)"), /^character 15: LEFT takes 2 arguments, not 1$/)
  assert.match(mistake('-ABS(NO()) < 5 XOR TRUE'), /no function NO/)
  for (const text of ['type =', 'subject', 'NO() = 1']) assert.equal(compileCesql(text), undefined, text)
})

test('the equalities are those without which no event passes', () => {
  const found = (text: string) => Object.fromEntries(cesqlEqualities(text))
  assert.deepEqual(found("type = 'a'"), { type: 'a' })
  assert.deepEqual(found("'a' = type AND EXISTS b AND source = 's' AND n = 5"), { type: 'a', source: 's' })
  assert.deepEqual(found("type = 'a' AND type = 'b'"), { type: 'a' })
  const none = [
    ...["type = 'a' OR TRUE", "NOT (type = 'a')", "type != 'a'", "type LIKE 'a'", 'type = 5', '5 = type', "'a' = 'a'"],
    ...[
      "type = 'a' XOR TRUE",
      "(type = 'a') = TRUE",
      "type = 'a' AND",
      "LOWER(type) = 'a'",
      "EXISTS b AND type = 'a' OR b",
    ],
  ]
  for (const text of none) assert.deepEqual(found(text), {}, text)
})
