/**
 * `npm run example rabbitmq-burst`: bursts of messages on a RabbitMQ queue, and workers that come and go with them.
 * Options: --bursts 1000,10000. Ends by itself: 0 when every message was done and nobody is left.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openLog } from '../../runtime/log.ts'
import { thisProcess } from '../../runtime/outside.ts'
import { openStandalone, type Standalone } from '../../standalone/standalone.ts'
import type { Told } from '../../standalone/told.ts'
import { noRabbitmq, sharedRabbitmq } from '../../test/servers/rabbitmq.ts'
import { Sender, WAYS, type Way } from './burst.ts'
import { Seen } from './seen.ts'

const LOOK_MS = 50
/** For one burst to be done and its workers to go, at a good deal less than the speed of the slowest machine it was tried on. */
const PATIENCE_MS = 120_000
const PATIENCE_PER_MESSAGE_MS = 20

process.exitCode = await main()

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { bursts: { type: 'string', default: '1000,10000' } } })
  if (!/^[1-9]\d{0,5}(,[1-9]\d{0,5})*$/.test(values.bursts)) {
    process.stderr.write('Usage: npm run example rabbitmq-burst -- [--bursts 1000,10000]\n')
    return 2
  }
  const missing = await noRabbitmq()
  if (missing !== false) {
    process.stderr.write('This example needs RabbitMQ: apt-get install --no-install-recommends rabbitmq-server\n')
    return 1
  }
  try {
    return await play(values.bursts.split(',').map(Number))
  } catch (error) {
    // What went wrong while ending, because of what went wrong before, is not the news.
    const first: unknown = error instanceof SuppressedError ? error.suppressed : error
    process.stderr.write(`The demo failed: ${first instanceof Error ? first.message : String(first)}\n`)
    return 1
  }
}

async function play(bursts: readonly number[]): Promise<number> {
  await using open = new AsyncDisposableStack()
  say('Starting RabbitMQ …')
  const sender = open.use(await Sender.open(await sharedRabbitmq()))
  const seen = new Seen()
  const world = open.use(
    await openStandalone(
      {
        ...{ paths: [join(import.meta.dirname, 'rabbitmq-burst.yaml')], cwd: thisProcess.cwd },
        ...{ port: undefined, consolePort: undefined },
        ...{ dataDir: undefined, memory: false, broker: undefined },
      },
      { outside: thisProcess, log: await openLog('error'), fatal: fail, tell: told => hear(told, seen) },
    ),
  )
  say(`Console ${world.console}`)
  let failed = 0
  for (const [number, way] of WAYS.entries()) {
    say('')
    say(`${number + 1}. ${way.name}`)
    for (const burst of bursts) if (!(await burstOf(burst, way, sender, seen, world))) failed++
  }
  return failed === 0 ? 0 : 1
}

/** @returns whether every message of it was done, and every worker gone after that. */
async function burstOf(count: number, way: Way, sender: Sender, seen: Seen, world: Standalone): Promise<boolean> {
  const messages = Array.from({ length: count }, (_, i) => `${way.workload}-${count}-${i + 1}`)
  const startedMs = performance.now()
  const seconds = () => ((performance.now() - startedMs) / 1000).toFixed(1)
  seen.takeReplicas()
  const putting = sender.put(way, messages)
  let doneAfter: string | undefined
  for (;;) {
    const replicas = world.state().scale.find(one => one.name === way.workload)?.replicas
    seen.count(replicas?.desired ?? 0)
    if (doneAfter === undefined && seen.missing(messages) === 0) doneAfter = seconds()
    if (doneAfter !== undefined && replicas?.desired === 0 && replicas.ready === 0) break
    if (performance.now() - startedMs > PATIENCE_MS + PATIENCE_PER_MESSAGE_MS * count) break
    await sleep(LOOK_MS)
  }
  await putting
  const left = seen.missing(messages)
  const twice = seen.twice(messages)
  const chain = seen.takeReplicas().join(' → ')
  say(
    `   ${count} messages: ${count - left} done after ${doneAfter ?? '?'} s${twice > 0 ? `, ${twice} of them twice` : ''}; ` +
      `replicas ${chain}; all over after ${seconds()} s`,
  )
  return left === 0 && chain.endsWith(' → 0')
}

function hear(told: Told, seen: Seen): void {
  seen.hear(told)
  if (told.kind === 'warning') say(`! ${told.text}`)
  if (told.kind === 'mistakes')
    for (const { file, line, column, message } of told.mistakes) say(`✗ ${file}:${line}:${column}: ${message}`)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function fail(error: Error): never {
  process.stderr.write(`Weir failed: ${error.message}\n`)
  process.exit(1)
}
