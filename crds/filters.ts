import { type Shape, short, type Value } from './reader.ts'
import type { Where } from './resource.ts'

/** One entry of `spec.filters`: exactly one dialect (CloudEvents Subscriptions API §3.2.4). */
export type FilterSpec =
  | { readonly exact: Readonly<Record<string, string>> }
  | { readonly prefix: Readonly<Record<string, string>> }
  | { readonly suffix: Readonly<Record<string, string>> }
  | { readonly all: readonly FilterSpec[] }
  | { readonly any: readonly FilterSpec[] }
  | { readonly not: FilterSpec }
  /** Not read here: whoever compiles it tells its mistakes at `where`. */
  | { readonly cesql: string; readonly where: Where }

/** Of an expression, in UTF-8. */
const CESQL_BYTES_MAX = 4096

const DIALECTS = ['exact', 'prefix', 'suffix', 'all', 'any', 'not', 'cesql'] as const

const FILTER: Shape<(typeof DIALECTS)[number]> = {
  known: DIALECTS,
  hints: {
    attributes: 'which belongs in the older `spec.filter`; here it is `exact`',
    type: 'attributes stand under a dialect, as in `exact: {type: …}`',
    source: 'attributes stand under a dialect, as in `exact: {source: …}`',
    sql: 'did you mean `cesql`?',
  },
}

/** Reads one filter and those in it. Undefined where it cannot be read. */
export function readFilter(value: Value): FilterSpec | undefined {
  const fields = value.fields(FILTER)
  const given = DIALECTS.filter(name => fields.get(name) !== undefined)
  const [dialect] = given
  if (given.length > 1) {
    const names = given.map(name => `\`${name}\``).join(' and ')
    return value.mistake(
      `multiple dialects found in \`${value.path}\`, a filter can have only one: make ${names} entries of their own`,
    )
  }
  if (dialect === undefined) {
    if (!value.isMap() || fields.misspelt) return undefined
    return value.mistake(`\`${value.path}\` needs a dialect: one of ${DIALECTS.join(', ')}`)
  }
  const inner = fields.get(dialect)
  return inner === undefined ? undefined : readDialect(dialect, inner)
}

function readDialect(dialect: (typeof DIALECTS)[number], value: Value): FilterSpec | undefined {
  switch (dialect) {
    case 'exact':
      return { exact: readPatterns(value) }
    case 'prefix':
      return { prefix: readPatterns(value) }
    case 'suffix':
      return { suffix: readPatterns(value) }
    case 'all':
      return { all: readMembers(value) }
    case 'any':
      return { any: readMembers(value) }
    case 'not': {
      const filter = readFilter(value)
      return filter && { not: filter }
    }
    case 'cesql': {
      const expression = value.word()
      if (expression === undefined) return undefined
      if (new TextEncoder().encode(expression).length > CESQL_BYTES_MAX)
        return value.mistake(`\`${value.path}\` must be at most ${CESQL_BYTES_MAX} bytes: use several filters`)
      return { cesql: expression, where: value.where }
    }
    default:
      return dialect satisfies never
  }
}

function readMembers(value: Value): readonly FilterSpec[] {
  const members = value.list()
  if (members.length === 0 && !value.isMap()) value.mistake(`\`${value.path}\` must hold at least one filter`)
  return members.flatMap(member => readFilter(member) ?? [])
}

/** CloudEvents forbids empty values in these dialects (Subscriptions API §3.2.4). */
function readPatterns(value: Value): Readonly<Record<string, string>> {
  const patterns = value.textMap(
    (name, text) =>
      attributeMistake(name) ??
      (text === '' ? `\`${name}\` must not be empty: leave it out, every event passes without it` : undefined),
  )
  if (value.isMap() && Object.keys(patterns).length === 0 && value.entries().length === 0)
    value.mistake(`\`${value.path}\` must name at least one attribute`)
  return patterns
}

/** Of `spec.filter.attributes`, where an empty value means that the attribute is there, whatever it is. */
export function readAttributes(value: Value): Readonly<Record<string, string>> {
  return value.textMap(attributeMistake)
}

function attributeMistake(name: string): string | undefined {
  if (/^[a-z][a-z0-9]*$/.test(name)) return undefined
  return `\`${short(name)}\` is no attribute name: lower-case letters and digits, beginning with a letter`
}

/** Every CESQL expression of a filter and of those in it, with its place in the Trigger and in the file. */
export function expressionsOf(
  filter: FilterSpec,
  path: string,
): readonly { readonly cesql: string; readonly path: string; readonly where: Where }[] {
  if ('cesql' in filter) return [{ ...filter, path: `${path}.cesql` }]
  if ('not' in filter) return expressionsOf(filter.not, `${path}.not`)
  const [name, inner] = 'all' in filter ? ['all', filter.all] : 'any' in filter ? ['any', filter.any] : ['', []]
  return inner.flatMap((one, i) => expressionsOf(one, `${path}.${name}[${i}]`))
}
