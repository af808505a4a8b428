import type { CloudEvent } from '../event/event.ts'
import { cesqlEqualities, compileCesql } from './cesql/cesql-filter.ts'
import { readDataFilter } from './filter-data.ts'

/**
 * What a Trigger wants, in Knative's words (eventing.knative.dev/v1, `spec.filters`), as plain data.
 * One entry, one dialect. A list of filters is their conjunction.
 */
export type Filter =
  | { readonly exact: Readonly<Record<string, string>> }
  | { readonly prefix: Readonly<Record<string, string>> }
  | { readonly suffix: Readonly<Record<string, string>> }
  | { readonly all: readonly Filter[] }
  | { readonly any: readonly Filter[] }
  | { readonly not: Filter }
  /** An expression of the CloudEvents SQL Expression Language 1.0. An error while it is evaluated counts as false. */
  | { readonly cesql: string }
  /** A condition on JSON data, in CEL: `weir.dev/filter-data`. */
  | { readonly data: string }
  /** The older `spec.filter.attributes`: exact, but an empty value means "present, whatever it is". */
  | { readonly attributes: Readonly<Record<string, string>> }

/** Pure and total: any event, never throws. */
export type Predicate = (event: CloudEvent) => boolean

/** Filters inside filters. A list with one that is nested deeper matches nothing. */
export const FILTER_DEPTH_MAX = 64

/**
 * The predicate of a list of filters (CloudEvents subscriptions §3.2.4): all must pass, an empty list passes everything.
 * Values are compared as canonical strings, by case; an attribute that the event does not have fails.
 *
 * What says nothing matches nothing, where Knative's broker skips it and delivers: an empty value in exact, prefix or suffix,
 * an empty map of these, an empty `all` or `any`. Only the legacy `attributes` may be empty, which is no condition. A list
 * with an expression that cannot be compiled matches nothing either, even if it stands in a `not`. Pure, total.
 * @param onNoAnswer is told, in words, of every event for which a condition on data is neither true nor false.
 */
export function compileFilters(filters: readonly Filter[], onNoAnswer?: (words: string) => void): Predicate {
  if (!filters.every(filter => isSound(filter, FILTER_DEPTH_MAX))) return nothing
  if (filters.length === 0) return everything
  return every(filters.map(filter => compile(filter, onNoAnswer)))
}

/** The exact `type` and `source` without which no event passes the list, where it names them: for an index. */
export function indexKey(filters: readonly Filter[]): { readonly type?: string; readonly source?: string } {
  const key: { type?: string; source?: string } = {}
  if (filters.every(filter => isSound(filter, FILTER_DEPTH_MAX))) collectKey(filters, key)
  return key
}

function collectKey(filters: readonly Filter[], key: { type?: string; source?: string }): void {
  for (const filter of filters) {
    if ('all' in filter) {
      collectKey(filter.all, key)
      continue
    }
    const exact = equalities(filter)
    for (const name of ['type', 'source'] as const) {
      const value = exact.get(name)
      if (value) key[name] ??= value
    }
  }
}

function equalities(filter: Filter): ReadonlyMap<string, string> {
  if ('cesql' in filter) return cesqlEqualities(filter.cesql)
  return new Map(Object.entries('exact' in filter ? filter.exact : 'attributes' in filter ? filter.attributes : {}))
}

function compile(filter: Filter, onNoAnswer?: (words: string) => void): Predicate {
  const inner = (part: Filter) => compile(part, onNoAnswer)
  if ('exact' in filter) return compare(filter.exact, (have, want) => have === want)
  if ('prefix' in filter) return compare(filter.prefix, (have, want) => have.startsWith(want))
  if ('suffix' in filter) return compare(filter.suffix, (have, want) => have.endsWith(want))
  if ('all' in filter) return filter.all.length === 0 ? nothing : every(filter.all.map(inner))
  if ('any' in filter) {
    const parts = filter.any.map(inner)
    return event => parts.some(part => part(event))
  }
  if ('not' in filter) {
    const part = inner(filter.not)
    return event => !part(event)
  }
  if ('cesql' in filter) return compileCesql(filter.cesql) ?? nothing
  if ('data' in filter) {
    const condition = readDataFilter(filter.data)
    return condition.kind === 'condition' ? holds(condition.judge, onNoAnswer) : nothing
  }
  if ('attributes' in filter) {
    return every(
      Object.entries(filter.attributes).map(([name, want]) => attribute(name, have => have === (want || have))),
    )
  }
  return filter satisfies never
}

function holds(judge: (event: CloudEvent) => boolean | string, onNoAnswer?: (words: string) => void): Predicate {
  if (onNoAnswer === undefined) return event => judge(event) === true
  return event => {
    const found = judge(event)
    if (typeof found === 'string') onNoAnswer(found)
    return found === true
  }
}

function compare(wanted: Readonly<Record<string, string>>, holds: (have: string, want: string) => boolean): Predicate {
  const entries = Object.entries(wanted)
  if (entries.length === 0 || entries.some(([, want]) => want === '')) return nothing
  return every(entries.map(([name, want]) => attribute(name, have => holds(have, want))))
}

/** False also where the event has the attribute with an empty value: in a filter that counts as absent. */
function attribute(name: string, holds: (have: string) => boolean): Predicate {
  return event => {
    const have: unknown = event.attributes[name]
    // By type, because a name such as `constructor` finds something in an object that has a prototype.
    return typeof have === 'string' && have !== '' && holds(have)
  }
}

function every(parts: readonly Predicate[]): Predicate {
  const only = parts.length === 1 ? parts[0] : undefined
  return only ?? (event => parts.every(part => part(event)))
}

const everything: Predicate = () => true
const nothing: Predicate = () => false

/** Not nested deeper than `levels`, and every expression in it can be compiled. */
function isSound(filter: Filter, levels: number): boolean {
  if ('cesql' in filter) return levels > 0 && compileCesql(filter.cesql) !== undefined
  if ('data' in filter) return readDataFilter(filter.data).kind === 'condition'
  const inner = 'all' in filter ? filter.all : 'any' in filter ? filter.any : 'not' in filter ? [filter.not] : []
  return levels > 0 && inner.every(part => isSound(part, levels - 1))
}
