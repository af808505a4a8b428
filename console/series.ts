/** The last minute of one number, a sample a second, oldest first. Null: nobody was there to look. */
export type Series = readonly (number | null)[]

/** A minute. */
export const SAMPLES = 60

/**
 * `series` moved on by `steps` seconds with `value` as its newest sample; the seconds between are unknown. Hands back
 * the very same array where nothing would look different, so that a quiet row is not drawn again.
 */
export function advance(series: Series, steps: number, value: number | null): Series {
  if (steps <= 0) return series
  const whole = value === 0 || series.length === SAMPLES // nothing is drawn for zeros, however many there are
  if (whole && steps === 1 && series.length > 0 && series.every(sample => sample === value)) return series
  const unseen = Array.from({ length: Math.min(steps - 1, SAMPLES) }, () => null)
  return [...series, ...unseen, value].slice(-SAMPLES)
}

export interface Curve {
  /** SVG path data of the line; empty where there is nothing to see. */
  readonly line: string
  /** The same, closed down to the ground. */
  readonly area: string
  readonly highest: number
}

/** The series as a curve in a box, newest at the right edge, its highest sample at the top. Unknown seconds are gaps. */
export function curve(series: Series, width: number, height: number): Curve {
  const highest = series.reduce<number>((most, sample) => Math.max(most, sample ?? 0), 0)
  if (highest === 0) return { line: '', area: '', highest }
  const step = width / (SAMPLES - 1)
  const left = width - (series.length - 1) * step
  const parts = runs(series).map(run =>
    run.map(({ at, value }) => `${fixed(left + at * step)} ${fixed(height - (value / highest) * height)}`),
  )
  const line = parts.map(points => `M${points.join('L')}${points.length === 1 ? 'h.01' : ''}`).join('')
  const area = parts
    .map(points => {
      const [first, last] = [points[0]?.split(' ')[0], points.at(-1)?.split(' ')[0]]
      return `M${first} ${height}L${points.join('L')}L${last} ${height}Z`
    })
    .join('')
  return { line, area, highest }
}

/** The known samples, parted where something is unknown. */
function runs(series: Series): { at: number; value: number }[][] {
  const found: { at: number; value: number }[][] = []
  let open: { at: number; value: number }[] | undefined
  for (const [at, value] of series.entries()) {
    if (value === null) {
      open = undefined
      continue
    }
    if (open === undefined) {
      open = []
      found.push(open)
    }
    open.push({ at, value })
  }
  return found
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10)
}
