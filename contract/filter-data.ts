import { Environment } from '@marcbachmann/cel-js'
import type { CloudEvent } from '../event/event.ts'
import { eventData } from '../event/http.ts'
import { isJsonType } from '../event/media-type.ts'
import { COST_MAX, type Cost, costOf, type Extent, extentOf, weigh, worstExtent } from './data-cost.ts'

/** What a condition on JSON data is, or why it is none. */
export type DataFilter =
  | {
      readonly kind: 'condition'
      /** True or false; where there is neither, why, in words. */
      readonly judge: (event: CloudEvent) => boolean | string
    }
  | { readonly kind: 'mistake'; readonly words: string }

/** Longer ones are no conditions any more. */
const TEXT_MAX = 2000

const environment = new Environment({
  unlistedVariablesAreDyn: false,
  limits: { maxAstNodes: 300, maxDepth: 30, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 8 },
})
  .registerVariable('data', 'dyn')
  .registerVariable('event', 'map<string, string>')

const read = new Map<string, DataFilter>()
const READ_MAX = 1000

/**
 * A condition on the JSON data of an event, in the Common Expression Language: `data` is the value, `event` the map of
 * attributes. There is no answer for an event whose data is no JSON, or for which it cannot be evaluated (a field that is not
 * there, an operator that does not fit): ask with `has(data.field)`. What one evaluation can cost is known beforehand from
 * the text and the extent of the data; where it is more than `COST_MAX` there is no answer either. Never throws.
 */
export function readDataFilter(text: string): DataFilter {
  const known = read.get(text)
  if (known !== undefined) return known
  const filter = compile(text)
  if (read.size >= READ_MAX) read.clear()
  read.set(text, filter)
  return filter
}

function compile(text: string): DataFilter {
  if (text.length > TEXT_MAX) return mistake(`it is longer than ${TEXT_MAX} characters`)
  try {
    const condition = environment.parse(text)
    const { valid, error, type } = condition.check()
    if (!valid) return mistake(error?.message ?? 'it cannot be evaluated')
    if (type !== 'bool' && type !== 'dyn') return mistake(`it is a ${type}, and has to be true or false`)
    const cost = weigh(condition.ast)
    return { kind: 'condition', judge: event => judge(condition, cost, event) }
  } catch (error) {
    return mistake(error instanceof Error ? error.message : String(error))
  }
}

function judge(
  condition: (context: Record<string, unknown>) => unknown,
  cost: Cost,
  event: CloudEvent,
): boolean | string {
  const data = dataOf(event)
  if (data === undefined) return 'the data is no JSON'
  const ns = data.costOf(cost)
  if (ns > COST_MAX) return `the data is too large for this condition: it could take ${Math.ceil(ns / 1e6)} ms`
  // In a loop the library may throw and catch an error for every element: most of its cost is the trace that nobody reads.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    const result = condition({ data: data.value, event: event.attributes })
    return typeof result === 'boolean' ? result : 'it is neither true nor false'
  } catch (error) {
    return firstLine(error instanceof Error ? error.message : String(error))
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

interface Data {
  readonly value: unknown
  /** An upper bound, ns. */
  readonly costOf: (cost: Cost) => number
}

/** The event that was looked at last, for all the Triggers that look at it; others are read again, and nothing is kept. */
let latest: { readonly event: CloudEvent; readonly data: Data | undefined } | undefined

function dataOf(event: CloudEvent): Data | undefined {
  if (latest?.event !== event) latest = { event, data: parse(event) }
  return latest.data
}

function parse(event: CloudEvent): Data | undefined {
  const { bytes, contentType } = eventData(event)
  if (bytes.byteLength === 0 || (contentType !== undefined && !isJsonType(contentType))) return undefined
  let value: unknown
  try {
    value = JSON.parse(utf8.decode(bytes))
  } catch {
    return undefined
  }
  let most = bytes.byteLength
  for (const name in event.attributes) most += name.length + (event.attributes[name]?.length ?? 0)
  let extent: Extent | undefined
  return {
    value,
    costOf(cost) {
      if (extent !== undefined) return costOf(cost, extent)
      const worst = costOf(cost, worstExtent(most))
      if (worst <= COST_MAX) return worst
      extent = extentOf(value, event.attributes, most)
      return costOf(cost, extent)
    },
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })
function mistake(words: string): DataFilter {
  // The library draws the place below its words; a status has one line.
  const [, , line = ''] = words.split('\n')
  const column = words
    .split('\n')
    .find(one => /^[\s|]*\^/.test(one))
    ?.indexOf('^')
  const place =
    column === undefined || line === '' ? '' : ` at character ${Math.max(1, column - line.indexOf('|') - 1)}`
  return { kind: 'mistake', words: `${firstLine(words)}${place}` }
}

function firstLine(words: string): string {
  return words.split('\n', 1)[0] ?? ''
}
