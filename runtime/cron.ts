import { Cron } from 'croner'

/** When something is due, again and again. */
export interface Schedule {
  /** The first due time after `afterMs`, both epoch ms; undefined where there is none any more. */
  next(afterMs: number): number | undefined
}

export type ScheduleRead =
  | { readonly kind: 'schedule'; readonly schedule: Schedule }
  /** `what` says which of the two is wrong; `reason` goes on after "is wrong: ". */
  | { readonly kind: 'wrong'; readonly what: 'schedule' | 'timezone'; readonly reason: string }

const DESCRIPTORS = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly']
/** Comma lists of `*`, `?`, a value or a range, each with a step or without. Names are of months and days. */
const VALUE = '(?:\\d{1,2}|[A-Za-z]{3})'
const PART = `(?:[*?]|${VALUE}(?:-${VALUE})?)(?:/\\d{1,2})?`
const FIELD = new RegExp(`^${PART}(?:,${PART})*$`)
/** From here on a schedule is looked at for whether it ever comes: no leap day is further off than eight years. */
const SOME_TIME_MS = Date.UTC(2024, 0, 1)

/**
 * Reads a cron expression as Knative's PingSource does: five fields, or six with seconds first, or a descriptor such as
 * `@hourly`. Day of month and day of week, both restricted, are alternatives. `timezone` is a name of the IANA database.
 *
 * A fixed time that a change of the clocks leaves out comes at the first moment after the gap; one that comes twice counts
 * the first time; what runs every hour or minute goes on every hour or minute.
 */
export function parseSchedule(text: string, timezone: string): ScheduleRead {
  if (!isTimezone(timezone))
    return { kind: 'wrong', what: 'timezone', reason: 'it is no name of a time zone, as in "Europe/Berlin"' }
  const pattern = text.trim()
  const reason = grammarMistake(pattern)
  if (reason !== undefined) return { kind: 'wrong', what: 'schedule', reason }
  let cron: Cron
  try {
    const options = { paused: true, timezone, mode: '5-or-6-parts', sloppyRanges: true } as const
    cron = new Cron(pattern.replaceAll('?', '*'), options)
  } catch (error) {
    const words = error instanceof Error ? error.message.replace(/^\w+: /, '') : String(error)
    return { kind: 'wrong', what: 'schedule', reason: words }
  }
  const schedule = {
    next: (afterMs: number) => cron.nextRun(new Date(afterMs))?.getTime(),
  }
  return schedule.next(SOME_TIME_MS) === undefined
    ? { kind: 'wrong', what: 'schedule', reason: 'no month has that day, so that it never comes' }
    : { kind: 'schedule', schedule }
}

/** Names that can be written for `timezone`, for a hint. */
export function timezones(): readonly string[] {
  return Intl.supportedValuesOf('timeZone')
}

function isTimezone(name: string): boolean {
  // An offset such as +01:00 is taken by Intl and is no name: it would not follow the clocks.
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined
  } catch {
    return false
  }
}

function grammarMistake(pattern: string): string | undefined {
  if (/^(?:CRON_)?TZ=/.test(pattern)) return 'the time zone has a field of its own, `timezone`'
  if (/^@every\b/.test(pattern))
    return '`@every` counts from a start that is not written down: use fields, as in "*/5 * * * *"'
  if (pattern.startsWith('@'))
    return DESCRIPTORS.includes(pattern) ? undefined : `of the words with @ there are ${DESCRIPTORS.join(', ')}`
  const fields = pattern.split(/\s+/)
  if (fields.length !== 5 && fields.length !== 6)
    return 'it needs five fields (minute, hour, day, month, day of the week), or six with seconds first'
  const odd = fields.find(field => !FIELD.test(field))
  return odd === undefined
    ? undefined
    : `the field ${JSON.stringify(odd.slice(0, 40))} is not made of numbers, \`*\`, \`,\`, \`-\` and \`/\``
}
