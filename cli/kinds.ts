import type { BrokerView, EventView, ScaleView, SinkView, SourceView, TriggerView } from '../contract/api.ts'
import { brokerColumns, eventColumns, scaleColumns, sinkColumns, sourceColumns, triggerColumns } from './columns.ts'
import type { Paint } from './style.ts'
import { type Column, tableLines } from './table.ts'

/** What `weir get` can list: the view's name in the API and on the command line. */
export const KINDS = ['brokers', 'triggers', 'sources', 'sinks', 'scale', 'events'] as const
export type Kind = (typeof KINDS)[number]

/** One resource as a line of a list, whatever its kind. */
export type Row = (BrokerView | TriggerView | SourceView | SinkView | ScaleView | EventView) & {
  readonly namespace: string
}

const SHORT: Readonly<Record<string, Kind | 'all'>> = {
  broker: 'brokers',
  br: 'brokers',
  trigger: 'triggers',
  tr: 'triggers',
  source: 'sources',
  src: 'sources',
  sink: 'sinks',
  scales: 'scale',
  so: 'scale',
  scaledobjects: 'scale',
  event: 'events',
  ev: 'events',
  all: 'all',
}

export const KIND_WORDS: readonly string[] = [...KINDS, ...Object.keys(SHORT)]

/** The kind that a person means by `word`. */
export function kindOf(word: string): Kind | 'all' | undefined {
  const low = word.toLowerCase()
  return KINDS.find(kind => kind === low) ?? (Object.hasOwn(SHORT, low) ? SHORT[low] : undefined)
}

/** What a person calls `row` by: an event by its id, all else by its name. */
export function nameOf(row: Row): string {
  return 'name' in row ? row.name : (row.attributes.id ?? '')
}

/** `trigger/shop/orders`. */
export function fullName(kind: Kind, row: Row): string {
  const single = kind === 'scale' ? 'scale' : kind.slice(0, -1)
  return `${single}/${row.namespace}/${nameOf(row)}`
}

/** A table of rows of one kind. The rows are what the API answered for that kind. */
export function kindTable(
  kind: Kind,
  rows: readonly Row[],
  wide: boolean,
  withNamespace: boolean,
  nowMs: number,
  paint: Paint,
): string[] {
  const namespace: Column<Row> = { title: 'NAMESPACE', of: row => row.namespace }
  const table = <View extends Row>(columns: readonly Column<View>[]) =>
    // Each kind has one type of rows: `rows` came from its own address.
    tableLines(rows as readonly View[], withNamespace ? [namespace, ...columns] : columns, wide, paint)
  switch (kind) {
    case 'brokers':
      return table(brokerColumns)
    case 'triggers':
      return table(triggerColumns)
    case 'sources':
      return table(sourceColumns)
    case 'sinks':
      return table(sinkColumns)
    case 'scale':
      return table(scaleColumns)
    case 'events':
      return table(eventColumns(nowMs))
    default:
      return kind satisfies never
  }
}
