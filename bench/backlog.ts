import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Figure, median } from './figure.ts'
import { load, openSink, type Sink } from './load.ts'
import { startWeir } from './process.ts'
import { alternate, type Round, round } from './rounds.ts'
import { PATH, TYPE, yamlOf } from './yaml.ts'

const TOTAL = 60_000
const ROUNDS = 3

/** A store on which a million events wait for a Trigger that is paused, beside an empty one; then how they drain. */
export async function backlog(waiting = 1_000_000): Promise<Figure[]> {
  const sink = await openSink()
  const url = `http://127.0.0.1:${sink.port}/`
  const orders = { name: 'orders', type: TYPE, url }
  const audit = { name: 'audit', type: TYPE, url }
  const paused = { ...audit, annotations: { 'weir.dev/paused': 'true' } }
  const one = { connections: 64, total: TOTAL, deliveries: 1 }
  try {
    await using empty = await startWeir(yamlOf([orders]))
    await using full = await startWeir(yamlOf([paused]))
    process.stderr.write(`  ${waiting} events into the store …\n`)
    await load({ port: full.port, path: PATH, connections: 64, total: waiting })
    const file = join(full.dir, 'weir.yaml')
    writeFileSync(file, yamlOf([paused, orders]))
    const subjects = [
      { server: empty, path: PATH },
      { server: full, path: PATH },
    ]
    const probes = await untilRouted(full.port, sink)
    const [empties = [], fulls = []] = await alternate(subjects, ROUNDS, subject => round(subject, sink, one))
    const residentMb = full.residentMb()

    const owed = waiting + probes + TOTAL * ROUNDS
    const received = sink.received()
    writeFileSync(file, yamlOf([audit, orders]))
    const beganMs = performance.now()
    await sink.reached(received + owed, 600_000)
    const drainedPerSecond = owed / ((performance.now() - beganMs) / 1000)
    return [
      {
        name: `an empty store’s throughput beside that on a backlog of ${waiting}`,
        value: speed(empties) / speed(fulls),
        unit: '×',
        goal: 2,
        detail: `${speed(empties).toFixed(0)}/s and ${speed(fulls).toFixed(0)}/s accepted and delivered`,
      },
      {
        name: `an empty store’s throughput beside the draining of ${owed} events`,
        value: speed(empties) / drainedPerSecond,
        unit: '×',
        goal: 2,
        detail: `${drainedPerSecond.toFixed(0)}/s drained`,
      },
      {
        name: `resident memory with a backlog of ${waiting}`,
        value: Math.max(residentMb, full.residentMb()),
        unit: 'MB',
        goal: 350,
        detail: `${residentMb.toFixed(0)} MB under load, ${full.residentMb().toFixed(0)} MB when drained`,
      },
    ]
  } finally {
    sink.close()
  }
}

/** An edited file takes effect within moments; events until then do not arrive. Returns how many were sent. */
async function untilRouted(port: number, sink: Sink): Promise<number> {
  const received = sink.received()
  for (let sent = 1; sent <= 60; sent++) {
    await load({ port, path: PATH, connections: 1, total: 1 })
    await new Promise(resolve => setTimeout(resolve, 500))
    if (sink.received() > received) return sent
  }
  throw new Error('the new Trigger was not routed within 30 s')
}

function speed(rounds: readonly Round[]): number {
  return median(rounds.map(one => one.perSecond))
}
