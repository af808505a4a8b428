import { type Figure, median } from './figure.ts'
import { openSink } from './load.ts'
import { startFloor, startWeir } from './process.ts'
import { alternate, type Round, round, type Subject } from './rounds.ts'
import { PATH, TYPE, yamlOf } from './yaml.ts'

/** Optimised code, grown buffers: what a broker has after its first minute. */
const WARM_UP = 60_000
const TOTAL = 60_000
const ROUNDS = 5

/** CPU per accepted event of `weir dev --data`, deliveries included, beside the floor's. */
export async function throughput(matching: number, connections: number): Promise<Figure[]> {
  const sink = await openSink()
  const url = `http://127.0.0.1:${sink.port}/`
  const names = Array.from({ length: matching }, (_, i) => `t${i}`)
  try {
    await using floor = await startFloor(names.map(() => url))
    await using weir = await startWeir(yamlOf(names.map(name => ({ name, type: TYPE, url }))))
    const subjects = [
      { server: floor, path: '/' },
      { server: weir, path: PATH },
    ]
    const run = (total: number) => (subject: (typeof subjects)[number]) =>
      round(subject, sink, { connections, total, deliveries: matching })
    await alternate(subjects, 1, run(WARM_UP))
    const [floors = [], weirs = []] = await alternate(subjects, ROUNDS, run(TOTAL))
    const [floorUs, weirUs] = [cpu(floors), cpu(weirs)]
    return [
      {
        name: `CPU per event, durable, ${matching} matching Trigger${matching === 1 ? '' : 's'}, ${connections} connections, one core`,
        value: weirUs / floorUs,
        unit: '× the floor',
        goal: 1.4,
        detail: `Weir ${cpuWords(weirs)}, floor ${cpuWords(floors)}`,
      },
    ]
  } finally {
    sink.close()
  }
}

/** The same process at many connections, beside itself at fewer. */
export async function connections(many = 256, few = 64): Promise<Figure[]> {
  const sink = await openSink()
  const url = `http://127.0.0.1:${sink.port}/`
  try {
    await using weir = await startWeir(yamlOf([{ name: 'orders', type: TYPE, url }]))
    const subject = { server: weir, path: PATH }
    const at = (connections: number, total: number) => round(subject, sink, { connections, total, deliveries: 1 })
    await at(many, WARM_UP)
    const [manys, fews]: [Round[], Round[]] = [[], []]
    for (let i = 0; i < ROUNDS; i++) {
      fews.push(await at(few, TOTAL))
      manys.push(await at(many, TOTAL))
    }
    return [
      {
        name: `CPU per event at ${many} connections, one core`,
        value: cpu(manys) / cpu(fews),
        unit: `× its own at ${few}`,
        goal: 1.2,
        detail: `${cpuWords(manys)}, at ${few} ${cpuWords(fews)}`,
      },
    ]
  } finally {
    sink.close()
  }
}

/** At the pace that a broker usually has, where waking up and fsync cost more than HTTP. */
export async function paced(perSecond = 500, seconds = 15, rounds = 3): Promise<Figure[]> {
  const sink = await openSink()
  const url = `http://127.0.0.1:${sink.port}/`
  const connections = 16
  try {
    await using floor = await startFloor([url])
    await using weir = await startWeir(yamlOf([{ name: 'orders', type: TYPE, url }]))
    const subjects = [
      { server: floor, path: '/' },
      { server: weir, path: PATH },
    ]
    await alternate(subjects, 1, one => round(one, sink, { connections, total: WARM_UP, deliveries: 1 }))
    const [floors = [], weirs = []] = await alternate(subjects, rounds, one =>
      round(one, sink, { connections, total: perSecond * seconds, perSecond, deliveries: 1 }),
    )
    const p99 = median(weirs.map(one => one.p99))
    return [
      {
        name: `CPU per event at ${perSecond} events/s, durable, one core`,
        value: cpu(weirs) / cpu(floors),
        unit: '× the floor at that pace',
        goal: 2,
        detail: `Weir ${cpuWords(weirs)}, floor ${cpuWords(floors)}`,
      },
      {
        name: `acceptance p99 at ${perSecond} events/s`,
        value: p99,
        unit: 'ms',
        goal: 10,
        detail: `rounds ${weirs.map(one => one.p99.toFixed(1))}; floor ${floors.map(one => one.p99.toFixed(1))}, which stores nothing`,
      },
    ]
  } finally {
    sink.close()
  }
}

/** One match among more and more Triggers costs what one costs. */
export async function triggers(counts: readonly number[] = [1, 10, 100, 1000]): Promise<Figure[]> {
  const sink = await openSink()
  const url = `http://127.0.0.1:${sink.port}/`
  try {
    await using stack = new AsyncDisposableStack()
    const subjects: Subject[] = []
    for (const count of counts) {
      const all = Array.from({ length: count }, (_, i) => ({ name: `t${i}`, type: i === 0 ? TYPE : `other.${i}`, url }))
      subjects.push({ server: stack.use(await startWeir(yamlOf(all))), path: PATH })
    }
    const run = (total: number) => (subject: (typeof subjects)[number]) =>
      round(subject, sink, { connections: 64, total, deliveries: 1 })
    await alternate(subjects, 1, run(WARM_UP))
    const found = await alternate(subjects, ROUNDS, run(TOTAL))
    const first = cpu(found[0] ?? [])
    return counts.slice(1).map((count, i) => ({
      name: `CPU per event, 1 match of ${count} Triggers, one core`,
      value: cpu(found[i + 1] ?? []) / first,
      unit: `× that of ${counts[0]}`,
      goal: 1.1,
      detail: `${cpuWords(found[i + 1] ?? [])}, of ${counts[0]} ${cpuWords(found[0] ?? [])}`,
    }))
  } finally {
    sink.close()
  }
}

function cpu(rounds: readonly Round[]): number {
  return median(rounds.map(one => one.cpuUs))
}

function cpuWords(rounds: readonly Round[]): string {
  return `${cpu(rounds).toFixed(1)} µs (${rounds.map(one => one.cpuUs.toFixed(0))})`
}
