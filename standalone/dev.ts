import { availableParallelism } from 'node:os'
import { openLog } from '../runtime/log.ts'
import { type Outside, thisProcess } from '../runtime/outside.ts'
import { run, type Why } from '../runtime/run.ts'
import { deliveryThreads, PortTakenError, type StandaloneConfig } from './config.ts'
import { ManifestError, openStandalone, type Standalone } from './standalone.ts'
import { events, inFlight, requests, Talk } from './talk.ts'

/** The flags of `weir dev`. */
export interface DevOptions {
  readonly files: readonly string[]
  readonly port?: number | undefined
  readonly consolePort?: number | undefined
  readonly webhookPort?: number | undefined
  readonly data?: string | undefined
  readonly memory: boolean
  readonly broker?: string | undefined
  readonly tlsCert?: string | undefined
  readonly tlsKey?: string | undefined
  readonly tlsPort?: number | undefined
  readonly deliveryThreads?: number | undefined
}

/** Adapters and deliveries have their own, shorter limits; this is for whatever has none. */
const DEADLINE_MS = 90_000
/** After this long a person wants to know what is waited for. */
const PATIENCE_MS = 2_000

/** `weir dev`: the local world until Ctrl-C. @returns the exit code: 0 done, 1 failed, 2 wrong YAML. */
export async function runDev(options: DevOptions, outside: Outside = thisProcess): Promise<number> {
  const talk = new Talk(outside.stdout, outside.env)
  const config: StandaloneConfig = {
    paths: options.files,
    cwd: outside.cwd,
    port: options.port,
    consolePort: options.consolePort,
    webhookPort: options.webhookPort,
    dataDir: options.data,
    memory: options.memory,
    broker: options.broker,
    tls: tlsOf(options),
    deliveryThreads: deliveryThreads(options.deliveryThreads, availableParallelism()),
  }
  let opened = false
  try {
    return await live(config, talk, outside, () => {
      opened = true
    })
  } catch (error) {
    if (error instanceof ManifestError) {
      outside.stderr.write(`${error.message}\n`)
      return 2
    }
    if (!(error instanceof Error)) throw error
    const known = error instanceof PortTakenError || 'code' in error
    outside.stderr.write(
      `weir dev ${opened ? 'did not end in order' : 'cannot start'}: ${known ? error.message : (error.stack ?? error.message)}\n`,
    )
    return 1
  }
}

/** The port next to that of plain HTTP, as Knative has them. */
const TLS_PORT = 8443

function tlsOf({ tlsCert: certFile, tlsKey: keyFile, tlsPort: port = TLS_PORT }: DevOptions): StandaloneConfig['tls'] {
  return certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile, port }
}

async function live(config: StandaloneConfig, talk: Talk, outside: Outside, onOpen: () => void): Promise<number> {
  const { clock } = outside
  const log = await openLog('warn')
  let cancel = () => {}
  let world: Standalone | undefined
  let forced = false
  const code = await run<Standalone>(
    {
      deadlineMs: DEADLINE_MS,
      open: async fatal => {
        world = await openStandalone(config, { outside, log, fatal, tell: told => talk.told(told) })
        return world
      },
      running: opened => {
        onOpen()
        talk.started(opened, keptWhere(config), outside.ageMs())
      },
      stopping: (opened, why) => {
        talk.line(farewell(opened, why))
        cancel = clock.after(PATIENCE_MS, () => talk.line(patience(opened)))
      },
      force: opened => {
        forced = true
        opened?.kill()
        talk.line('ended by force: what was in flight is delivered again where the store is kept')
      },
    },
    outside,
  )
  cancel()
  if (forced) outside.exit(code) // Something is still open and would keep the process.
  if (world !== undefined) talk.line(whatBecame(world.discarding(), config))
  // Client libraries keep timers of connections that were lost, for half a minute and more.
  outside.exitSoon(code)
  return code
}

function keptWhere({ dataDir, memory }: StandaloneConfig): string {
  if (memory) return 'events are in memory only and go with this process'
  if (dataDir !== undefined) return `events are kept in ${dataDir}`
  return 'events are kept until this process ends (--data DIR keeps them longer)'
}

function farewell(world: Standalone, why: Why): string {
  if (why.kind === 'failed') return `! the store failed, so nothing more is accepted: ${why.error.message}`
  const open = inFlight(world.state())
  const doing = open > 0 ? `${requests(open)} in flight may finish` : 'nothing is in flight'
  return `\n${why.signal}: draining, ${doing} (Ctrl-C again forces)`
}

function patience(world: Standalone): string {
  const open = inFlight(world.state())
  if (open > 0) return `still ${requests(open)} in flight …`
  return world.processes > 0 ? `still waiting for local processes to end: ${world.processes} …` : 'still closing …'
}

function whatBecame(discarded: number, { dataDir, memory }: StandaloneConfig): string {
  if (dataDir !== undefined && !memory && discarded === 0) return `events that are owed are kept in ${dataDir}`
  if (discarded === 0) return 'nothing was owed: no event is discarded'
  return `${events(discarded)} not delivered, discarded with this process (--data DIR keeps them)`
}
