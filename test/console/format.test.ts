import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { age, bytes, count, plural, rate, timeOfDay, took, visible } from '../../console/format.ts'

test('a count is exact as long as a person reads it digit by digit, then three digits say enough', () => {
  const table: [number | null, string][] = [
    [0, '0'],
    [999, '999'],
    [12_345, '12,345'],
    [99_999, '99,999'],
    [129_411, '129K'],
    [8_812_233, '8.81M'],
    [9_004_113, '9.00M'],
    [null, '?'],
    [Number.NaN, '?'],
    [Number.POSITIVE_INFINITY, '?'],
  ]
  for (const [value, words] of table) assert.equal(count(value), words)
})

test('a rate below ten keeps a decimal, and a little is not nothing', () => {
  const table: [number, string][] = [
    [0, '0'],
    [0.01, '<0.1'],
    [0.4, '0.4'],
    [3.24, '3.2'],
    [9.94, '9.9'],
    [9.96, '10'],
    [187.4, '187'],
    [Number.NaN, '?'],
  ]
  for (const [value, words] of table) assert.equal(rate(value), words)
})

test('an age is told in the units that matter', () => {
  const table: [number, string][] = [
    [-5000, '0 s'],
    [999, '0 s'],
    [12_000, '12 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [63_000, '1 min 3 s'],
    [13 * 60_000 + 5000, '13 min'],
    [3_600_000, '1 h'],
    [3_660_000, '1 h 1 min'],
    [49 * 3_600_000, '2 d 1 h'],
    [Number.NaN, '?'],
  ]
  for (const [ms, words] of table) assert.equal(age(ms), words)
})

test('what an attempt took is told in ms, then in seconds', () => {
  const table: [number, string][] = [
    [0.2, '0 ms'],
    [12, '12 ms'],
    [999.6, '1.0 s'],
    [1234, '1.2 s'],
    [59_960, '59 s'],
    [65_000, '1 min 5 s'],
  ]
  for (const [ms, words] of table) assert.equal(took(ms), words)
})

test('sizes are told in binary units', () => {
  const table: [number, string][] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [1_048_575, '1.0 MiB'],
    [1_048_576, '1.0 MiB'],
    [50 * 1_048_576, '50 MiB'],
  ]
  for (const [size, words] of table) assert.equal(bytes(size), words)
})

test('one is not plural', () => {
  assert.deepEqual(
    [plural(0, 'source'), plural(1, 'source'), plural(2, 'source')],
    ['0 sources', '1 source', '2 sources'],
  )
})

test('the time of day is where the reader is, to the millisecond', () => {
  assert.equal(timeOfDay(new Date(2026, 0, 2, 9, 5, 7, 42).getTime()), '09:05:07.042')
  assert.equal(timeOfDay(Number.NaN), '?')
})

test('a text that turns around, hides or controls is shown by its codes', () => {
  assert.equal(visible('invoice\u202egpj.exe'), 'invoice⟨202E⟩gpj.exe')
  assert.equal(visible('a\u200bb\u0000c\nd'), 'a⟨200B⟩b⟨0000⟩c⟨000A⟩d')
  assert.equal(visible('half \ud800'), 'half ⟨D800⟩')
  assert.equal(visible('Grüße 你好 🎉'), 'Grüße 你好 🎉')
})

test('of a text of any length a bounded part is shown, and nothing in it deceives', () => {
  const text = fc.string({ unit: 'binary', maxLength: 3000 })
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 100 }), (told, most) => {
      const shown = visible(told, most)
      assert.ok(shown.length <= most * 8 + 1)
      assert.doesNotMatch(shown, /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u)
    }),
  )
})
