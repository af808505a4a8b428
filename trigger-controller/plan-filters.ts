import { readCesqlFilter } from '../contract/cesql/cesql-filter.ts'
import type { Filter } from '../contract/filter.ts'
import { readDataFilter } from '../contract/filter-data.ts'
import { expressionsOf, type FilterSpec } from '../crds/filters.ts'

export type PlannedFilters =
  | { readonly kind: 'filters'; readonly filters: readonly Filter[]; readonly hints: readonly string[] }
  | { readonly kind: 'invalid'; readonly reason: string; readonly hints: readonly string[] }

/** No event has no attributes at all: an empty `any` lets nothing pass. */
export const NOTHING: readonly Filter[] = [{ any: [] }]

/** A list of filters as the routes have it, with what may not be meant as it is read; or the first that cannot be compiled. Pure. */
export function planFilterSpecs(specs: readonly FilterSpec[]): PlannedFilters {
  const hints: string[] = []
  for (const { cesql, path } of specs.flatMap((spec, i) => expressionsOf(spec, `spec.filters[${i}]`))) {
    const read = readCesqlFilter(cesql)
    if (read.kind === 'mistake')
      return { kind: 'invalid', reason: `${path}: ${read.words}; until it is mended nothing passes`, hints: [] }
    hints.push(...read.hints.map(hint => `${path}: ${hint}`))
  }
  return { kind: 'filters', filters: specs.map(planFilter), hints }
}

/** The same with the condition of `weir.dev/filter-data` beside them. It comes last: it is the dearest. */
export function withDataFilter(planned: PlannedFilters, condition: string | undefined): PlannedFilters {
  if (condition === undefined || planned.kind === 'invalid') return planned
  const read = readDataFilter(condition)
  if (read.kind === 'condition') return { ...planned, filters: [...planned.filters, { data: condition }] }
  const reason = `annotation weir.dev/filter-data: ${read.words}; until it is mended nothing passes`
  return { kind: 'invalid', reason, hints: [] }
}

function planFilter(spec: FilterSpec): Filter {
  if ('cesql' in spec) return { cesql: spec.cesql }
  if ('not' in spec) return { not: planFilter(spec.not) }
  if ('all' in spec) return { all: spec.all.map(planFilter) }
  if ('any' in spec) return { any: spec.any.map(planFilter) }
  return spec
}
