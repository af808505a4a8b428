/**
 * `npm start`: a real queue, two Triggers, local services that scale from nothing to many and back.
 * Options: --messages N (1000), --exit-when-idle.
 */
import { parseArgs } from 'node:util'
import { thisProcess } from '../../runtime/outside.ts'
import { run } from '../../runtime/run.ts'
import { ManifestError } from '../../standalone/standalone.ts'
import { type Demo, openDemo } from './open-demo.ts'
import { type PlayOptions, play } from './play.ts'
import { openScreen, type Screen } from './screen.ts'

const USAGE = 'Usage: npm start -- [--messages N] [--exit-when-idle]'
const CLOSE_MS = 60_000

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

async function live(options: PlayOptions, screen: Screen): Promise<number> {
  const over = new AbortController()
  const outcome: { verdict: 'unfinished' | 'arrived' | 'failed' } = { verdict: 'unfinished' }
  let end = () => {}
  const code = await run<Demo>(
    {
      deadlineMs: CLOSE_MS,
      open: fatal => openDemo(screen, fatal),
      running(demo) {
        void watch(demo, screen, options, over.signal).then(arrived => {
          if (over.signal.aborted) return
          outcome.verdict = arrived ? 'arrived' : 'failed'
          end()
        })
      },
      stopping() {
        over.abort()
        if (outcome.verdict === 'unfinished') screen.line('Ending: what is in flight may finish. Ctrl-C again forces.')
      },
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
  if (code !== 0) thisProcess.exit(code) // Something may still be open and would keep the process.
  return outcome.verdict === 'failed' || (options.exitWhenIdle && outcome.verdict === 'unfinished') ? 1 : 0
}

/** @returns whether all messages arrived. Never rejects. */
async function watch(demo: Demo, screen: Screen, options: PlayOptions, signal: AbortSignal): Promise<boolean> {
  try {
    return await play(demo, screen, options, signal)
  } catch (error) {
    if (!signal.aborted) screen.line(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
    return false
  }
}

function parseOptions(args: string[]): PlayOptions | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: { messages: { type: 'string', default: '1000' }, 'exit-when-idle': { type: 'boolean', default: false } },
    })
    if (!/^[1-9]\d{0,5}$/.test(values.messages)) return undefined
    return { messages: Number(values.messages), exitWhenIdle: values['exit-when-idle'] }
  } catch {
    return undefined
  }
}
