import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLog } from '../../runtime/log.ts'
import { thisProcess } from '../../runtime/outside.ts'
import { openStandalone, type Standalone } from '../../standalone/standalone.ts'
import type { Told } from '../../standalone/told.ts'
import { openServiceBus, type ServiceBusServer } from '../../test/servers/service-bus.ts'
import type { Screen } from '../hello-queue/screen.ts'
import { QUEUE } from './put-orders.ts'

export interface Demo extends AsyncDisposable {
  readonly bus: ServiceBusServer
  readonly world: Standalone
}

/** Where the YAML's Secret looks for it. */
const USUAL_PORT = 5672
const YAML = 'servicebus-orders.yaml'

/**
 * Starts a stand-in for Azure Service Bus, and Weir. Both end with this process.
 * @throws {ManifestError} where the YAML has been edited and is wrong.
 */
export async function openDemo(screen: Screen, fatal: (error: Error) => void): Promise<Demo> {
  await using opening = new AsyncDisposableStack()
  screen.line(
    'Starting a stand-in for Azure Service Bus: Microsoft’s emulator needs Docker, this one is a small AMQP server …',
  )
  const entities = { [QUEUE]: { sessions: true } }
  const bus = opening.use(await openServiceBus(entities, USUAL_PORT).catch(() => openServiceBus(entities)))
  const folder = await folderFor(bus, opening)
  const config = {
    ...{ paths: [join(folder, YAML)], cwd: thisProcess.cwd, port: undefined, consolePort: undefined },
    ...{ dataDir: undefined, memory: false, broker: undefined },
  }
  const deps = {
    ...{ outside: thisProcess, log: await openLog('error'), fatal },
    tell: (told: Told) => say(told, screen),
  }
  const world = opening.use(await openStandalone(config, deps))
  const open = opening.move()
  return { bus, world, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

/** This folder as it is; where the usual port was taken, a copy of it with another connection string. */
async function folderFor(bus: ServiceBusServer, opening: AsyncDisposableStack): Promise<string> {
  const here = import.meta.dirname
  if (bus.port === USUAL_PORT) return here
  const copy = await mkdtemp(join(tmpdir(), 'servicebus-orders-'))
  opening.defer(() => rm(copy, { recursive: true, force: true }))
  await cp(here, copy, { recursive: true })
  const file = join(copy, YAML)
  const yaml = await readFile(file, 'utf8')
  await writeFile(file, yaml.replace(/^( +connectionString: )Endpoint.*$/m, `$1${bus.connectionString}`))
  return copy
}

function say(told: Told, screen: Screen): void {
  if (told.kind === 'info') screen.line(`· ${told.text}`)
  if (told.kind === 'warning') screen.line(`! ${told.text}`)
  if (told.kind === 'mistakes')
    for (const { file, line, column, message } of told.mistakes) screen.line(`✗ ${file}:${line}:${column}: ${message}`)
}
