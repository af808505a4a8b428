import { type Figure, median } from './figure.ts'
import { openSink } from './load.ts'
import { startWeir } from './process.ts'
import { alternate, type Round, round, type Subject } from './rounds.ts'
import { PATH, TYPE, yamlOf } from './yaml.ts'

const WARM_UP = 30_000
const TOTAL = 30_000
const ROUNDS = 5

/**
 * Deliveries on a thread of their own, beside the same work on one thread. What it may bring is what the busiest thread has
 * left: on a machine whose two cores also run the load, the events per second cannot show it.
 */
export async function threads(): Promise<Figure[]> {
  const sink = await openSink()
  const url = `http://127.0.0.1:${sink.port}/`
  const yaml = yamlOf([{ name: 'orders', type: TYPE, url }])
  try {
    await using one = await startWeir(yaml, ['--delivery-threads', '0'])
    await using two = await startWeir(yaml, ['--delivery-threads', '1'])
    const subjects = [one, two].map(server => ({ server, path: PATH }))
    const run = (total: number) => (subject: Subject) => round(subject, sink, { connections: 64, total, deliveries: 1 })
    await alternate(subjects, 1, run(WARM_UP))
    const [ones = [], twos = []] = await alternate(subjects, ROUNDS, run(TOTAL))
    const of = (rounds: readonly Round[], what: 'cpuUs' | 'busiestUs' | 'perSecond') =>
      median(rounds.map(round => round[what]))
    const words = (what: 'cpuUs' | 'busiestUs') =>
      `${of(twos, what).toFixed(1)} µs (${twos.map(round => round[what].toFixed(0))}), alone ${of(ones, what).toFixed(1)} µs (${ones.map(round => round[what].toFixed(0))})`
    return [
      {
        name: 'CPU per event with a thread for deliveries',
        value: of(twos, 'cpuUs') / of(ones, 'cpuUs'),
        unit: '× that of one thread',
        goal: 1.15,
        detail: words('cpuUs'),
      },
      {
        name: "the busiest thread's part of it",
        value: of(twos, 'busiestUs') / of(ones, 'busiestUs'),
        unit: '× that of one thread',
        goal: 0.67,
        detail: `${words('busiestUs')}; events/s ${of(twos, 'perSecond').toFixed(0)}, alone ${of(ones, 'perSecond').toFixed(0)}`,
      },
    ]
  } finally {
    sink.close()
  }
}
