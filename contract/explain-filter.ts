import type { CloudEvent } from '../event/event.ts'
import { whyNot } from './cesql/cesql-filter.ts'
import { compileFilters, type Filter } from './filter.ts'
import { readDataFilter } from './filter-data.ts'

export interface Explained {
  readonly matches: boolean
  /** The clause that decided, as its place in the YAML: `spec.filters[0].all[1].prefix.source`. Empty: there are no filters. */
  readonly clause: string
  /** Why, in words that name what the event has and what is wanted. */
  readonly words: string
}

/** Which clause lets an event pass, or not. `matches` is what `compileFilters` says, for every list and event. Pure, total. */
export function explainFilters(filters: readonly Filter[], event: CloudEvent): Explained {
  const matches = compileFilters(filters)(event)
  if (filters.length === 0) return { matches, clause: '', words: 'there is no filter: every event matches' }
  for (const [i, filter] of filters.entries()) {
    const found = explain(filter, event, placeOf(filter, i))
    if (!found.matches) return { ...found, matches }
  }
  // A list that is unsound matches nothing although each of its parts may.
  const last = `spec.filters[${filters.length - 1}]`
  if (!matches)
    return { matches, clause: last, words: 'an expression in the list cannot be compiled, or it is nested too deep' }
  return {
    matches,
    clause: last,
    words: filters.length === 1 ? 'the filter passes' : `all ${filters.length} filters pass`,
  }
}

function placeOf(filter: Filter, i: number): string {
  return 'attributes' in filter ? 'spec.filter' : `spec.filters[${i}]`
}

function explain(filter: Filter, event: CloudEvent, at: string): Explained {
  if ('exact' in filter) return compared(filter.exact, event, `${at}.exact`, 'exactly', (have, want) => have === want)
  if ('prefix' in filter)
    return compared(filter.prefix, event, `${at}.prefix`, 'prefix', (have, want) => have.startsWith(want))
  if ('suffix' in filter)
    return compared(filter.suffix, event, `${at}.suffix`, 'suffix', (have, want) => have.endsWith(want))
  if ('attributes' in filter) {
    return compared(
      filter.attributes,
      event,
      `${at}.attributes`,
      'exactly',
      (have, want) => have === (want || have),
      true,
    )
  }
  if ('all' in filter) return every(filter.all, event, `${at}.all`)
  if ('any' in filter) return some(filter.any, event, `${at}.any`)
  if ('not' in filter) {
    const inner = explain(filter.not, event, `${at}.not`)
    return { ...inner, matches: !inner.matches }
  }
  if ('data' in filter) return judged(filter.data, event)
  const matches = compileFilters([filter])(event)
  const words = matches ? `${quote(filter.cesql)} is true for this event` : wordsOfCesql(filter.cesql, event)
  return { matches, clause: `${at}.cesql`, words }
}

function compared(
  wanted: Readonly<Record<string, string>>,
  event: CloudEvent,
  at: string,
  how: string,
  holds: (have: string, want: string) => boolean,
  mayBeEmpty = false,
): Explained {
  const entries = Object.entries(wanted)
  if (entries.length === 0 && !mayBeEmpty)
    return { matches: false, clause: at, words: 'it names no attribute, so nothing matches' }
  for (const [name, want] of entries) {
    const have: unknown = event.attributes[name]
    const clause = `${at}.${name}`
    if (want === '' && !mayBeEmpty) return { matches: false, clause, words: 'an empty value matches nothing' }
    if (typeof have !== 'string' || have === '') {
      return { matches: false, clause, words: `the event has no ${name}; wanted ${how} ${quote(want)}` }
    }
    if (!holds(have, want))
      return { matches: false, clause, words: `${name} is ${quote(have)}; wanted ${how} ${quote(want)}` }
  }
  return {
    matches: true,
    clause: at,
    words: entries.map(([name]) => `${name} fits`).join(', ') || 'nothing is asked for',
  }
}

function every(parts: readonly Filter[], event: CloudEvent, at: string): Explained {
  if (parts.length === 0) return { matches: false, clause: at, words: 'it is empty, so nothing matches' }
  for (const [i, part] of parts.entries()) {
    const found = explain(part, event, `${at}[${i}]`)
    if (!found.matches) return found
  }
  return { matches: true, clause: at, words: `all ${parts.length} pass` }
}

function some(parts: readonly Filter[], event: CloudEvent, at: string): Explained {
  const found = parts.map((part, i) => explain(part, event, `${at}[${i}]`))
  const passed = found.find(one => one.matches)
  if (passed !== undefined) return passed
  const words = found.map(one => one.words).join('; ') || 'it is empty, so nothing matches'
  return { matches: false, clause: at, words: found.length > 1 ? `none of ${found.length} passes: ${words}` : words }
}

function judged(text: string, event: CloudEvent): Explained {
  const read = readDataFilter(text)
  const found = read.kind === 'condition' ? read.judge(event) : read.words
  if (typeof found === 'string')
    return { matches: false, clause: DATA_CLAUSE, words: `${quote(text)} has no answer for this event: ${found}` }
  return { matches: found, clause: DATA_CLAUSE, words: `${quote(text)} is ${found} for this event` }
}

/** Of conditions joined by AND it names the first that is not true. */
function wordsOfCesql(text: string, event: CloudEvent): string {
  const why = whyNot(text, event)
  const { part, error } = why ?? {}
  const which = part === undefined ? '' : `: ${quote(part)} is not`
  return `${quote(text)} is not true for this event${which}${error === undefined ? '' : ` (${error})`}`
}

const DATA_CLAUSE = 'metadata.annotations[weir.dev/filter-data]'
const QUOTED_MOST = 100

function quote(text: string): string {
  return `\`${text.length > QUOTED_MOST ? `${text.slice(0, QUOTED_MOST)}…` : text}\``
}
