import { relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SourceView, TriggerView } from '../../contract/api.ts'
import type { Standalone } from '../../standalone/standalone.ts'
import { ACCOUNT, ACCOUNT_KEY } from '../../test/servers/azurite.ts'
import type { Demo } from './open-demo.ts'
import { follow, NO_PROGRESS, type Progress, summary } from './progress.ts'
import { putMessages } from './put-messages.ts'
import type { Screen } from './screen.ts'
import { plainLine, type Seen, tableLines } from './table.ts'

export interface PlayOptions {
  readonly messages: number
  readonly exitWhenIdle: boolean
}

/** The queue that `hello-queue.yaml` reads. */
const QUEUE = 'js-queue-items'
const LOOK_MS = 250
/** On a pipe there is a line at most this often, and none where nothing changed. */
const LINE_MS = 1_000
/** With `--exit-when-idle` it is over after this, at a good deal less than the speed of the slowest machine it was tried on. */
const PATIENCE_MS = 180_000
const PATIENCE_PER_MESSAGE_MS = 100

/**
 * Puts the messages and shows what becomes of them, until all is idle again with `exitWhenIdle`, and else for ever.
 * @returns whether all messages arrived and everything went back to zero.
 * @throws where the queue or the API cannot be used, and the signal's reason when it aborts.
 */
export async function play(
  { azurite, world }: Demo,
  screen: Screen,
  { messages, exitWhenIdle }: PlayOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const startedMs = performance.now()
  const sinceMs = () => performance.now() - startedMs
  screen.line(`Console ${world.console}   Broker ${brokerUrl(world)}`)
  screen.line(`Putting ${messages} messages on the queue ${QUEUE} over its REST API …`)
  const putting = new Putting(azurite.url, messages, signal)
  const show = shower(screen)
  let progress: Progress = NO_PROGRESS
  let idle = false
  for (;;) {
    putting.check()
    const state = await readState(world.console, signal)
    show(state, sinceMs())
    progress = follow(progress, state, messages)
    if (progress.done && !idle) {
      idle = true
      screen.line(`All is idle. ${summary(progress, messages, sinceMs())}`)
      if (exitWhenIdle) return progress.parked === 0
      for (const line of whatNext(world)) screen.line(line)
    }
    if (exitWhenIdle && sinceMs() > PATIENCE_MS + PATIENCE_PER_MESSAGE_MS * messages) {
      screen.line(`Not idle in time. ${summary(progress, messages, sinceMs())}`)
      return false
    }
    await sleep(LOOK_MS, undefined, { signal })
  }
}

/** The messages on their way to the queue, while the table is drawn. */
class Putting {
  #failure: unknown

  constructor(accountUrl: string, messages: number, signal: AbortSignal) {
    const target = { accountUrl, account: ACCOUNT, key: ACCOUNT_KEY, queue: QUEUE }
    putMessages(target, messages, signal).catch((error: unknown) => {
      this.#failure = error
    })
  }

  /** @throws what went wrong since. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure
  }
}

/** A table that is drawn over, or, on a pipe, lines. */
function shower(screen: Screen): (state: Seen, elapsedMs: number) => void {
  let last = ''
  let lastMs = -LINE_MS
  return (state, elapsedMs) => {
    if (screen.isTerminal) return screen.table(tableLines(state, elapsedMs, screen.width))
    const timeless = plainLine(state, 0)
    if (timeless === last || elapsedMs - lastMs < LINE_MS) return
    last = timeless
    lastMs = elapsedMs
    screen.line(plainLine(state, elapsedMs))
  }
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

function whatNext(world: Standalone): string[] {
  const [yaml = ''] = world.files
  return [
    '',
    'Try this in a second terminal:',
    '',
    `  curl -i ${brokerUrl(world)} -H 'ce-specversion: 1.0' -H "ce-id: $RANDOM" -H 'ce-source: /me' \\`,
    `    -H 'ce-type: com.microsoft.azure.queuestorage' -H 'content-type: text/plain' -d 'hello, worker'`,
    '',
    `  Open ${world.console}, or edit ${relative('.', yaml)} while this runs.`,
    '',
    'Ctrl-C ends it.',
  ]
}

function brokerUrl(world: Standalone): string {
  return `${world.ingress}/default/default`
}
