import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SourceView } from '../contract/api.ts'
import { type Figure, median } from './figure.ts'
import { openSink } from './load.ts'
import { type Measured, start, startWeir } from './process.ts'
import { openKafkaQueue, openRabbitQueue, type Queue } from './queues.ts'

/** Read before the clock starts: optimised code, and memory that the system has given. */
const WARM_UP = 60_000
const MESSAGES = 100_000
const ROUNDS = 3
const IDLE_MESSAGES = 200

/** Each source beside a bare client of its queue; a queue that cannot be had here is said and left out. */
export async function adapters(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const open of [openRabbitQueue, openKafkaQueue].filter(one =>
    one.name.toLowerCase().includes(process.env.ONLY ?? ''),
  )) {
    const queue = await open()
    if (typeof queue === 'string') {
      process.stderr.write(`  ${queue}\n`)
      continue
    }
    figures.push(...(await beside(queue)), await idle(queue))
  }
  return figures
}

/** How long messages take that wait already, from the first to the last, by the client alone and as events to 202. */
async function beside(queue: Queue): Promise<Figure[]> {
  const [bares, weirs]: [Rate[], Rate[]] = [[], []]
  for (let i = 0; i < ROUNDS; i++) {
    await queue.fill(WARM_UP + MESSAGES)
    bares.push(await bareRate(queue))
    await queue.fill(WARM_UP + MESSAGES)
    weirs.push(await weirRate(queue))
  }
  const speed = (rates: readonly Rate[]) => median(rates.map(one => one.perSecond))
  const cpu = (rates: readonly Rate[]) => median(rates.map(one => one.cpuUs))
  return [
    {
      name: `${queue.name}: the rate of a bare client beside that of the source, to 202 at a durable Broker`,
      value: speed(bares) / speed(weirs),
      unit: '×',
      goal: 2,
      detail: `${speed(bares).toFixed(0)}/s bare (${cpu(bares).toFixed(0)} µs CPU), ${speed(weirs).toFixed(0)}/s as events (${cpu(weirs).toFixed(0)} µs)`,
    },
  ]
}

interface Rate {
  readonly perSecond: number
  /** Of the process, all threads, for a message. */
  readonly cpuUs: number
}

async function bareRate(queue: Queue): Promise<Rate> {
  let said = ''
  await using _ = await start(
    ['bench/bare-client.ts', JSON.stringify(queue.place), String(WARM_UP), String(MESSAGES)],
    output => {
      said = output
      return output.includes('"perSecond"') ? 1 : undefined
    },
  )
  return JSON.parse(said.slice(said.indexOf('{"perSecond"')))
}

async function weirRate(queue: Queue): Promise<Rate> {
  await using weir = await startWeir(BROKER, ['--console-port', String(CONSOLE_PORT)])
  writeFileSync(join(weir.dir, 'weir.yaml'), BROKER + queue.yaml)
  return await rateOf(weir, async () => (await source()).emitted)
}

/** From when it is warm to the last message. */
async function rateOf(process: Measured, done: () => Promise<number>): Promise<Rate> {
  let began: { readonly atMs: number; readonly done: number; readonly cpuMs: number } | undefined
  for (const untilMs = performance.now() + 120_000; performance.now() < untilMs; await sleep(20)) {
    const count = await done()
    const atMs = performance.now()
    if (count >= WARM_UP && began === undefined) began = { atMs, done: count, cpuMs: process.cpuMs() }
    if (count < WARM_UP + MESSAGES || began === undefined) continue
    const messages = Math.max(1, count - began.done)
    return {
      perSecond: messages / ((atMs - began.atMs) / 1000),
      cpuUs: ((process.cpuMs() - began.cpuMs) * 1000) / messages,
    }
  }
  throw new Error(`not all of ${WARM_UP + MESSAGES} messages were read within two minutes`)
}

/** The way of one message at a time, from its publishing to the subscriber. */
async function idle(queue: Queue): Promise<Figure> {
  const sink = await openSink()
  try {
    await using weir = await startWeir(BROKER, ['--console-port', String(CONSOLE_PORT)])
    const trigger = `---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: all}
spec: {broker: default, subscriber: {uri: 'http://127.0.0.1:${sink.port}/'}}
`
    await queue.fill(0)
    writeFileSync(join(weir.dir, 'weir.yaml'), BROKER + trigger + queue.yaml)
    for (const untilMs = performance.now() + 60_000; !(await source()).ready; await sleep(50))
      if (performance.now() > untilMs) throw new Error(`the source of ${queue.name} was not ready within a minute`)
    const took: number[] = []
    for (let i = 0; i < IDLE_MESSAGES; i++) {
      const before = sink.received()
      const beganMs = performance.now()
      await queue.put()
      while (sink.received() === before) await sleep(0)
      took.push(performance.now() - beganMs)
      await sleep(10)
    }
    took.sort((a, b) => a - b)
    return {
      name: `${queue.name}: from publish to delivery, idle, p50`,
      value: took[Math.floor(took.length / 2)] ?? 0,
      unit: 'ms',
      goal: 10,
      detail: `p99 ${(took[Math.floor(took.length * 0.99)] ?? 0).toFixed(1)} ms, the client's own confirmation included`,
    }
  } finally {
    sink.close()
  }
}

const CONSOLE_PORT = 19_080
const BROKER = `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default}
`

async function source(): Promise<Pick<SourceView, 'emitted' | 'ready'>> {
  const response = await fetch(`http://127.0.0.1:${CONSOLE_PORT}/api/v1/sources`)
  const [found] = (await response.json()) as SourceView[]
  return found ?? { emitted: 0, ready: false }
}
