import { count } from './format.ts'
import { curve, type Series } from './series.ts'

const WIDTH = 76
const HEIGHT = 20

/** The last minute of a backlog. Draws nothing where nothing waited. */
export function Sparkline({ series }: { readonly series: Series }) {
  const { line, area, highest } = curve(series, WIDTH, HEIGHT - 3)
  if (line === '') return <svg class="sparkline" width={WIDTH} height={HEIGHT} aria-hidden="true" />
  return (
    <svg
      class="sparkline"
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={`at most ${count(highest)} in a minute`}
    >
      <title>{`Backlog of the last minute, at most ${count(highest)}`}</title>
      <g transform="translate(0 2)">
        <path class="area" d={area} />
        <path class="line" d={line} />
      </g>
    </svg>
  )
}
