import { readLabels } from './metadata.ts'
import type { Shape, Value } from './reader.ts'

/** Kubernetes' LabelSelector: all of it must hold; an empty one selects everything. */
export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>
  readonly matchExpressions: readonly LabelRequirement[]
}

export interface LabelRequirement {
  readonly key: string
  readonly operator: (typeof OPERATORS)[number]
  /** At least one for `In` and `NotIn`, none otherwise. */
  readonly values: readonly string[]
}

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const

const REQUIREMENT: Shape<'key' | 'operator' | 'values'> = { known: ['key', 'operator', 'values'] }

/** Reads the two fields of a selector out of the map that holds them. */
export function readSelector(labels: Value | undefined, expressions: readonly Value[]): LabelSelector {
  return { matchLabels: readLabels(labels), matchExpressions: expressions.flatMap(one => readRequirement(one) ?? []) }
}

function readRequirement(value: Value): LabelRequirement | undefined {
  const fields = value.fields(REQUIREMENT)
  const key = fields.required('key')?.word()
  const operator = fields.required('operator')?.oneOf(OPERATORS)
  const given = fields.get('values')
  const values = given?.texts() ?? []
  if (key === undefined || operator === undefined) return undefined
  const needsValues = operator === 'In' || operator === 'NotIn'
  if (needsValues && values.length === 0) fields.miss(`\`${value.path}.values\` must name at least one for ${operator}`)
  if (!needsValues && values.length > 0) given?.mistake(`\`${value.path}.values\` must be empty for ${operator}`)
  return { key, operator, values }
}

/** Whether `labels` fit. Pure. An absent label is not in any list of values, as in Kubernetes. */
export function selects(
  { matchLabels, matchExpressions }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  const labelAt = (key: string) => (Object.hasOwn(labels, key) ? labels[key] : undefined)
  return (
    Object.entries(matchLabels).every(([key, value]) => labelAt(key) === value) &&
    matchExpressions.every(({ key, operator, values }) => {
      const value = labelAt(key)
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value)
        case 'NotIn':
          return value === undefined || !values.includes(value)
        case 'Exists':
          return value !== undefined
        case 'DoesNotExist':
          return value === undefined
        default:
          return operator satisfies never
      }
    })
  )
}
