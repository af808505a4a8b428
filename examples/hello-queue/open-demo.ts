import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLog } from '../../runtime/log.ts'
import { thisProcess } from '../../runtime/outside.ts'
import { openStandalone, type Standalone } from '../../standalone/standalone.ts'
import type { Told } from '../../standalone/told.ts'
import { type Azurite, openAzurite } from '../../test/servers/azurite.ts'
import type { Screen } from './screen.ts'

export interface Demo extends AsyncDisposable {
  readonly azurite: Azurite
  readonly world: Standalone
}

/** What the YAML's Secret says: the emulator on its usual port. */
const EMULATOR = 'UseDevelopmentStorage=true'
const EMULATOR_PORT = 10001

/**
 * Starts the queue service and Weir. Both end with this process, however it ends.
 * @throws {ManifestError} where the YAML has been edited and is wrong.
 */
export async function openDemo(screen: Screen, fatal: (error: Error) => void): Promise<Demo> {
  await using opening = new AsyncDisposableStack()
  screen.line('Starting an Azure Storage queue (Azurite) …')
  const azurite = opening.use(await openAzurite(EMULATOR_PORT).catch(() => openAzurite()))
  const folder = await folderFor(azurite, opening)
  const config = {
    ...{ paths: [join(folder, 'hello-queue.yaml')], cwd: thisProcess.cwd, port: undefined, consolePort: undefined },
    ...{ dataDir: undefined, memory: false, broker: undefined },
  }
  const deps = {
    ...{ outside: thisProcess, log: await openLog('error'), fatal },
    tell: (told: Told) => say(told, screen),
  }
  const world = opening.use(await openStandalone(config, deps))
  const open = opening.move()
  return { azurite, world, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

/** This folder as it is; where the usual port was taken, a copy of it with another connection string. */
async function folderFor(azurite: Azurite, opening: AsyncDisposableStack): Promise<string> {
  const here = import.meta.dirname
  if (new URL(azurite.url).port === String(EMULATOR_PORT)) return here
  const copy = await mkdtemp(join(tmpdir(), 'hello-queue-'))
  opening.defer(() => rm(copy, { recursive: true, force: true }))
  await cp(here, copy, { recursive: true })
  const file = join(copy, 'hello-queue.yaml')
  const yaml = await readFile(file, 'utf8')
  await writeFile(file, yaml.replace(EMULATOR, azurite.connectionString))
  return copy
}

function say(told: Told, screen: Screen): void {
  if (told.kind === 'info') screen.line(`· ${told.text}`)
  if (told.kind === 'warning') screen.line(`! ${told.text}`)
  if (told.kind === 'mistakes')
    for (const { file, line, column, message } of told.mistakes) screen.line(`✗ ${file}:${line}:${column}: ${message}`)
}
