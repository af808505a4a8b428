/**
 * `node examples/servicebus-orders/demo.ts`: orders of many customers through sessions of Azure Service Bus, each in order.
 * Options: --customers N (20), --exit-when-idle.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { SourceView, TriggerView } from '../../contract/api.ts'
import { thisProcess } from '../../runtime/outside.ts'
import { run } from '../../runtime/run.ts'
import { ManifestError } from '../../standalone/standalone.ts'
import { openScreen, type Screen } from '../hello-queue/screen.ts'
import { plainLine, type Seen, tableLines } from '../hello-queue/table.ts'
import { type Demo, openDemo } from './open-demo.ts'
import { putOrders, QUEUE } from './put-orders.ts'

const USAGE = 'Usage: node examples/servicebus-orders/demo.ts [--customers N] [--exit-when-idle]'
const CLOSE_MS = 60_000
const LOOK_MS = 250
const PATIENCE_MS = 180_000
const ORDERS_EACH = 5

interface Options {
  readonly customers: number
  readonly exitWhenIdle: boolean
}

process.exitCode = await main()

/** 0 done, 1 failed, 2 wrong input. */
async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) {
    process.stderr.write(`${USAGE}\n`)
    return 2
  }
  const screen = openScreen(process.stdout)
  try {
    return await live(options, screen)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    process.stderr.write(`${error instanceof ManifestError ? '' : 'The demo cannot start: '}${error.message}\n`)
    return error instanceof ManifestError ? 2 : 1
  }
}

async function live(options: Options, screen: Screen): Promise<number> {
  const over = new AbortController()
  let failed = options.exitWhenIdle
  let end = () => {}
  const code = await run<Demo>(
    {
      deadlineMs: CLOSE_MS,
      open: fatal => openDemo(screen, fatal),
      running(demo) {
        void play(demo, screen, options, over.signal)
          .catch((error: unknown) => {
            if (!over.signal.aborted)
              screen.line(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
            return false
          })
          .then(arrived => {
            if (over.signal.aborted) return
            failed = !arrived
            end()
          })
      },
      stopping: () => over.abort(),
      force: demo => demo?.world.kill(),
    },
    {
      clock: thisProcess.clock,
      onSignal(listener) {
        end = () => listener('SIGTERM') // The demo ends itself as a person would end it.
        return thisProcess.onSignal(listener)
      },
    },
  )
  // The client of Service Bus lets go of its timers only after a minute.
  thisProcess.exit(failed ? 1 : code)
  return 1
}

/** @returns whether all arrived in order and everything went back to zero. @throws where the bus or the API fails. */
async function play({ bus, world }: Demo, screen: Screen, options: Options, signal: AbortSignal): Promise<boolean> {
  const startedMs = performance.now()
  const { customers, exitWhenIdle } = options
  const put = 2 * ORDERS_EACH * customers
  screen.line(`Console ${world.console}   Broker ${world.ingress}/default/default`)
  screen.line(
    `${customers} customers make ${ORDERS_EACH} orders each and cancel them: ${put} messages on the queue ${QUEUE} …`,
  )
  await putOrders(bus.connectionString, customers, ORDERS_EACH)
  let last = ''
  for (let idle = false; ; await sleep(LOOK_MS, undefined, { signal })) {
    const state = await readState(world.console, signal)
    const elapsedMs = performance.now() - startedMs
    const line = plainLine(state, 0)
    if (screen.isTerminal) screen.table(tableLines(state, elapsedMs, screen.width))
    else if (line !== last) screen.line(plainLine(state, elapsedMs))
    last = line
    const [worker] = state.triggers
    const { delivered = 0, parked = 0 } = worker ?? {}
    if (!idle && delivered + parked >= put && isQuiet(state)) {
      idle = true
      screen.line(
        `All is idle. ${put} messages, ${delivered} handled in order, ${parked} out of order; ${(elapsedMs / 1000).toFixed(0)} s`,
      )
      if (exitWhenIdle) return parked === 0
      screen.line('Ctrl-C ends it.')
    }
    if (exitWhenIdle && elapsedMs > PATIENCE_MS) {
      screen.line(`Not idle in time: ${delivered} of ${put} handled, ${parked} out of order.`)
      return false
    }
  }
}

function isQuiet({ sources, triggers }: Seen): boolean {
  const replicas = triggers.map(one => (one.replicas?.desired ?? 0) + (one.replicas?.ready ?? 0))
  return sources.every(one => one.lag === 0 && one.held === 0) && replicas.every(count => count === 0)
}

/** From the JSON API, as anybody could read it. */
async function readState(origin: string, signal: AbortSignal): Promise<Seen> {
  const read = async <T>(what: string): Promise<T> => {
    const response = await fetch(`${origin}/api/v1/${what}`, { signal })
    if (!response.ok) throw new Error(`${origin}/api/v1/${what} answered ${response.status}`)
    return (await response.json()) as T
  }
  const [triggers, sources] = await Promise.all([read<TriggerView[]>('triggers'), read<SourceView[]>('sources')])
  return { triggers, sources }
}

function parseOptions(args: string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: { customers: { type: 'string', default: '20' }, 'exit-when-idle': { type: 'boolean', default: false } },
    })
    if (!/^[1-9]\d{0,3}$/.test(values.customers)) return undefined
    return { customers: Number(values.customers), exitWhenIdle: values['exit-when-idle'] }
  } catch {
    return undefined
  }
}
