import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { suggest } from '../../crds/suggest.ts'
import { parseDuration } from '../../runtime/duration.ts'

const durations: readonly (readonly [string, number])[] = [
  ['PT0S', 0],
  ['PT0.2S', 200],
  ['PT0,2S', 200],
  ['PT30S', 30_000],
  ['PT1M30S', 90_000],
  ['PT10M', 600_000],
  ['PT1H', 3_600_000],
  ['P1D', 86_400_000],
  ['P1W', 604_800_000],
  ['P1DT1H', 90_000_000],
]

test('ISO 8601 durations are read to the millisecond', () => {
  for (const [text, ms] of durations) assert.deepEqual(parseDuration(text), { kind: 'ms', ms }, text)
})

test('what is no ISO 8601 duration comes back with the way to write it', () => {
  for (const [text, hint] of [
    ['200ms', 'write "PT0.2S"'],
    ['5s', 'write "PT5S"'],
    ['1h30m', 'write "PT1H30M"'],
    ['10', 'for seconds write "PT10S"'],
    ['-PT1S', 'it must not be negative'],
    ['P', 'as in "PT0.2S", "PT30S", "PT10M"'],
    ['PT', 'as in "PT0.2S", "PT30S", "PT10M"'],
    ['pt1s', 'as in "PT0.2S", "PT30S", "PT10M"'],
    ['P1DT', 'as in "PT0.2S", "PT30S", "PT10M"'],
    ['P999Y', 'it is longer than a hundred years'],
    [`PT${'9'.repeat(400)}S`, 'it is too long'],
  ] as const)
    assert.deepEqual(parseDuration(text), { kind: 'wrong', hint }, text)
})

test('hours, minutes and seconds add up', () => {
  const part = fc.nat({ max: 1000 })
  fc.assert(
    fc.property(part, part, part, (h, m, s) => {
      assert.deepEqual(parseDuration(`PT${h}H${m}M${s}S`), { kind: 'ms', ms: ((h * 60 + m) * 60 + s) * 1000 })
    }),
  )
})

test('a slip of one letter finds the word, another word does not', () => {
  const known = ['filter', 'filters', 'subscriber', 'broker', 'delivery']
  assert.equal(suggest('filtr', known), 'filter')
  assert.equal(suggest('subsrciber', known), 'subscriber')
  assert.equal(suggest('Broker', known), 'broker')
  assert.equal(suggest('delivry', known), 'delivery')
  assert.equal(suggest('colour', known), undefined)
  assert.equal(suggest('x', known), undefined)
})

test('a word changed by one swap, loss or gain of a letter is found again', () => {
  const known = ['subscriber', 'deadLetterSink', 'backoffPolicy', 'retryAfterMax']
  const slip = fc.tuple(fc.constantFrom(...known), fc.nat(), fc.constantFrom('swap', 'lose', 'gain'))
  fc.assert(
    fc.property(slip, ([word, at, how]) => {
      const i = at % (word.length - 1)
      const rest =
        how === 'gain'
          ? `q${word.slice(i)}`
          : how === 'lose'
            ? word.slice(i + 1)
            : `${word[i + 1]}${word[i]}${word.slice(i + 2)}`
      const changed = word.slice(0, i) + rest
      if (changed !== word) assert.equal(suggest(changed, known), word)
    }),
  )
})
