import type { ReplicasView } from '../contract/api.ts'
import { type ReplicaBar, replicaBar } from './replica-bar.ts'

const WIDTH = 64
const HEIGHT = 10
/** More than these are drawn as one bar in proportion. */
const SEGMENTS_MOST = 16
const parts = ['ready', 'starting', 'draining', 'free'] as const

/** How many run, how many are asked for, how many there may be. */
export function Replicas({ replicas }: { readonly replicas: ReplicasView }) {
  const bar = replicaBar(replicas)
  const total = parts.reduce((sum, part) => sum + bar[part], 0)
  return (
    <span class="replicas" title={parts.map(part => `${bar[part]} ${part}`).join(', ')}>
      <svg width={WIDTH} height={HEIGHT} aria-hidden="true">
        {total <= SEGMENTS_MOST ? <Segments bar={bar} total={total} /> : <Proportions bar={bar} total={total} />}
      </svg>
      <span>{bar.words}</span>
    </span>
  )
}

interface BarProps {
  readonly bar: ReplicaBar
  readonly total: number
}

function Segments({ bar, total }: BarProps) {
  const step = WIDTH / Math.max(1, total)
  return (
    <>
      {parts
        .flatMap(part => Array<(typeof parts)[number]>(bar[part]).fill(part))
        .map((part, at) => (
          <rect key={at} class={part} x={at * step + 0.5} y={0.5} width={step - 2} height={HEIGHT - 1} rx={1.5} />
        ))}
    </>
  )
}

function Proportions({ bar, total }: BarProps) {
  let x = 0.5
  return (
    <>
      {parts.map(part => {
        const width = (bar[part] / total) * (WIDTH - 1)
        const from = x
        x += width
        return width > 0 && <rect key={part} class={part} x={from} y={0.5} width={width} height={HEIGHT - 1} />
      })}
    </>
  )
}
