import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseSchedule } from '../../runtime/cron.ts'

function times(text: string, timezone: string, from: string, count: number): string[] {
  const read = parseSchedule(text, timezone)
  assert.ok(read.kind === 'schedule', JSON.stringify(read))
  const found: string[] = []
  let ms: number | undefined = Date.parse(from)
  for (let i = 0; i < count && ms !== undefined; i++) {
    ms = read.schedule.next(ms)
    if (ms !== undefined) found.push(new Date(ms).toISOString().replace(':00.000Z', 'Z'))
  }
  return found
}

test('five fields, six with seconds, and the words with @ are read', () => {
  const from = '2026-01-30T23:58:30Z'
  assert.deepEqual(times('*/2 * * * *', 'UTC', from, 2), ['2026-01-31T00:00Z', '2026-01-31T00:02Z'])
  assert.deepEqual(times('*/20 * * * * *', 'UTC', from, 2), ['2026-01-30T23:58:40.000Z', '2026-01-30T23:59Z'])
  assert.deepEqual(times('@monthly', 'UTC', from, 2), ['2026-02-01T00:00Z', '2026-03-01T00:00Z'])
  assert.deepEqual(times('@hourly', 'Asia/Kolkata', from, 1), ['2026-01-31T00:30Z'])
  assert.deepEqual(times('5/20 ? * * MON-fri', 'UTC', from, 2), ['2026-02-02T00:05Z', '2026-02-02T00:25Z'])
})

test('a day of the month and a day of the week, both restricted, are alternatives', () => {
  const found = times('0 0 13 * FRI', 'UTC', '2026-03-10T00:00:00Z', 4)
  assert.deepEqual(found, ['2026-03-13T00:00Z', '2026-03-20T00:00Z', '2026-03-27T00:00Z', '2026-04-03T00:00Z'])
})

test('a time that summer leaves out comes at the first moment after the gap', () => {
  const found = times('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)
  assert.deepEqual(found, ['2026-03-29T01:00Z', '2026-03-30T00:30Z'])
})

test('a time that comes twice in autumn counts once, and every half hour stays every half hour', () => {
  const once = times('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)
  assert.deepEqual(once, ['2026-10-25T00:30Z', '2026-10-26T01:30Z'])
  const halves = times('*/30 * * * *', 'Europe/Berlin', '2026-10-24T23:59:00Z', 5).map(one => one.slice(11, 16))
  assert.deepEqual(halves, ['00:00', '00:30', '01:00', '01:30', '02:00'])
})

test('what Knative does not take is refused with what to do', () => {
  const wrong = (text: string, timezone = 'UTC') => {
    const read = parseSchedule(text, timezone)
    return read.kind === 'wrong' ? `${read.what}: ${read.reason}` : 'read'
  }
  assert.match(wrong('* * * *'), /^schedule: it needs five fields/)
  assert.match(wrong('* * * * * * *'), /five fields/)
  assert.match(wrong('@every 1h'), /counts from a start/)
  assert.match(wrong('@often'), /@yearly/)
  assert.match(wrong('CRON_TZ=UTC * * * * *'), /`timezone`/)
  for (const text of ['60 * * * *', '0 22-2 * * *', '*/0 * * * *', 'x * * * *'])
    assert.match(wrong(text), /^schedule/, text)
  for (const text of ['0 0 L * *', '0 0 * * 5#2', '0 0 15W * *', '/5 * * * *'])
    assert.match(wrong(text), /is not made of/)
  assert.match(wrong('0 0 31 2 *'), /never comes/)
  assert.match(wrong('0 0 * * *', 'Mars/Base'), /^timezone/)
  assert.match(wrong('0 0 * * *', '+01:00'), /^timezone/)
  assert.match(wrong(''), /five fields/)
})

test('no text can make the reader throw, and what it reads always moves on', () => {
  const part = fc.oneof(
    fc.constantFrom('*', '?', '*/7', '1-5', 'MON', 'jan', '0', '59', '1,2', '5/10', '2-9/3', 'L', '60', ''),
    fc.string({ maxLength: 5 }),
  )
  const text = fc.oneof(
    fc.array(part, { minLength: 4, maxLength: 7 }).map(parts => parts.join(' ')),
    fc.string(),
  )
  const from = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2035, 0, 1) })
  fc.assert(
    fc.property(text, fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York'), from, (one, timezone, fromMs) => {
      const read = parseSchedule(one, timezone)
      if (read.kind === 'wrong') return
      const next = read.schedule.next(fromMs)
      assert.ok(next !== undefined && next > fromMs && next % 1000 === 0)
    }),
  )
})
