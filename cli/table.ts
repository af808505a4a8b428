import { type Paint, plain, type Tone, widthOf } from './style.ts'

/** One column of a table, over rows of one kind. */
export interface Column<Row> {
  readonly title: string
  readonly of: (row: Row) => string | number
  readonly tone?: (row: Row) => Tone | undefined
  /** Never cut. */
  readonly whole?: boolean
  /** Only with `-o wide`. */
  readonly wide?: boolean
}

const GAP = '   '
/** In a table that is not wide, longer cells are cut. */
const LONGEST = 64

/** The lines of a table, titles first. Numbers stand right. */
export function tableLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  wide: boolean,
  paint: Paint,
): string[] {
  const shown = columns.filter(column => wide || !column.wide)
  const cells = rows.map(row => shown.map(column => cellText(column.of(row), wide || column.whole === true)))
  const widths = shown.map((column, i) => Math.max(column.title.length, ...cells.map(line => widthOf(line[i] ?? ''))))
  const right = shown.map(column => rows.length > 0 && rows.every(row => typeof column.of(row) === 'number'))
  const line = (texts: readonly string[], tones: readonly (Tone | undefined)[]) =>
    texts
      .map((text, i) => paint(tones[i], padded(text, widths[i] ?? 0, right[i] === true, i === texts.length - 1)))
      .join(GAP)
  return [
    line(
      shown.map(column => column.title),
      shown.map(() => 'dim' as const),
    ).trimEnd(),
    ...rows.map((row, i) =>
      line(
        cells[i] ?? [],
        shown.map(column => column.tone?.(row)),
      ).trimEnd(),
    ),
  ]
}

function cellText(value: string | number, whole: boolean): string {
  const text = plain(String(value))
  return whole || text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`
}

function padded(text: string, width: number, right: boolean, last: boolean): string {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)))
  if (right) return space + text
  return last ? text : text + space
}
