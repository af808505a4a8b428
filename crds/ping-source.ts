import { parseSchedule, timezones } from '../runtime/cron.ts'
import { readMetadata, topOf } from './metadata.ts'
import { type Fields, present, type Shape, short, type Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'
import { readSourceFields, SOURCE_FIELDS, SOURCE_HINTS, type SourceFields } from './source-fields.ts'
import { didYouMean } from './suggest.ts'

/** PingSource, sources.knative.dev/v1: an event at every time of a schedule, with data that is always the same. */
export interface PingSourceResource extends ResourceOf<'PingSource', 'sources.knative.dev/v1'> {
  readonly spec: SourceFields & {
    /** A cron expression that `runtime/cron.ts` can read: every minute where unset. */
    readonly schedule: string
    /** A name of the IANA database; `UTC` where unset. */
    readonly timezone: string
    /** Of the data; undefined: nothing is said of it. */
    readonly contentType?: string
    /** At most one of the two. Neither: an event without data. */
    readonly data?: string
    readonly dataBase64?: string
  }
}

const FIELDS = ['schedule', 'timezone', 'contentType', 'data', 'dataBase64', ...SOURCE_FIELDS] as const

const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    jsonData: 'write `contentType: application/json` and `data`',
    cron: 'did you mean `schedule`?',
    ...SOURCE_HINTS,
  },
}

/** What a Broker takes. */
const DATA_MAX = 1 << 20

/** Reads a PingSource; what is wrong with it is told to the sheet of `value`. */
export function parsePingSource(value: Value): PingSourceResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'PingSource')
  const spec = top.requiredSection('spec', SPEC)
  return {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'PingSource',
    metadata,
    where: value.where,
    spec: { ...readTimes(spec), ...readData(spec), ...readSourceFields(spec, metadata.namespace) },
  }
}

type Spec = Fields<(typeof FIELDS)[number]>

function readTimes(spec: Spec): Pick<PingSourceResource['spec'], 'schedule' | 'timezone'> {
  const scheduleValue = spec.get('schedule')
  const timezoneValue = spec.get('timezone')
  const schedule = scheduleValue?.word() ?? '* * * * *'
  const timezone = timezoneValue?.word() ?? 'UTC'
  const read = parseSchedule(schedule, timezone)
  if (read.kind === 'wrong' && read.what === 'schedule')
    scheduleValue?.mistake(`\`${scheduleValue.path}\` "${short(schedule)}" is wrong: ${read.reason}`)
  if (read.kind === 'wrong' && read.what === 'timezone')
    timezoneValue?.mistake(
      `\`${timezoneValue.path}\` "${short(timezone)}" is wrong: ${read.reason}${didYouMean(timezone, timezones())}`,
    )
  return { schedule, timezone }
}

function readData(spec: Spec): Pick<PingSourceResource['spec'], 'contentType' | 'data' | 'dataBase64'> {
  const contentTypeValue = spec.get('contentType')
  const dataValue = spec.get('data')
  const base64Value = spec.get('dataBase64')
  const contentType = contentTypeValue?.word()
  const data = dataValue?.text()
  const dataBase64 = base64Value?.text()
  if (dataValue !== undefined && base64Value !== undefined)
    base64Value.mistake('expected exactly one of `spec.data` and `spec.dataBase64`, got both')
  if (contentType !== undefined && !MEDIA_TYPE.test(contentType))
    contentTypeValue?.mistake(
      `\`spec.contentType\` must be a media type, as in application/json, not "${short(contentType)}"`,
    )
  if (dataBase64 !== undefined && Buffer.from(dataBase64, 'base64').toString('base64') !== dataBase64)
    base64Value?.mistake('`spec.dataBase64` is not base64: encode it, or put plain text under `spec.data`')
  for (const [value, text] of [
    [dataValue, data],
    [base64Value, dataBase64],
  ] as const)
    if (text !== undefined && Buffer.byteLength(text) > DATA_MAX)
      value?.mistake(`\`${value.path}\` must be at most ${DATA_MAX} bytes: no Broker takes more`)
  if (data !== undefined && /^application\/(.+\+)?json\b/i.test(contentType ?? '') && !isJson(data))
    dataValue?.mistake('`spec.data` is not JSON, as `spec.contentType` says it is')
  return present({ contentType, data, dataBase64 })
}

const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(\s*;\s*[\w!#$&^.+-]+=("[^"\\\p{Cc}]*"|[\w!#$&^.+-]+))*$/u

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
