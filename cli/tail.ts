import { setTimeout as pause } from 'node:timers/promises'
import type { EventView } from '../contract/api.ts'
import { openStream } from './api.ts'
import { EXIT, Failure } from './failure.ts'
import { findConsole } from './place.ts'
import { paintFor } from './style.ts'
import { Teller, type Told } from './tell.ts'

export interface TailOptions {
  /** NAME or NAMESPACE/NAME. */
  readonly trigger?: string
  /** May have `*` in it. */
  readonly type?: string
  readonly output: 'text' | 'json'
  /** Events from before that are shown at first. */
  readonly last: number
  readonly console?: string
}

/** A world that restarts is back within this time; one that has ended is not. */
const COME_BACK_MS = 5_000
const RETRY_MS = 250

/** `weir tail`: until Ctrl-C, or until the world ends. @throws {Failure} when no world answers at first. */
export async function tail(options: TailOptions): Promise<number> {
  const origin = await findConsole(options.console, process.cwd())
  const teller = new Teller(options, paintFor(process.stdout))
  const stop = new AbortController()
  const late = setInterval(() => print(teller.stillWaiting(Date.now()), options), 500)
  try {
    let connected = false
    let awayMs = 0
    for (;;) {
      try {
        for await (const message of openStream(origin, stop.signal)) {
          if (!connected) process.stderr.write(`following ${origin}, Ctrl-C ends\n`)
          connected = true
          awayMs = 0
          if (message.event === 'events') print(teller.hear(message.data as readonly EventView[], Date.now()), options)
        }
      } catch (error) {
        // Broken in the middle or refused while it restarts: tried again. Never there at all: said.
        if (!connected) throw error
        if (!(error instanceof Error)) throw error
      }
      if (!connected) throw new Failure('failed', `the stream of ${origin} ended before it began`)
      if (awayMs >= COME_BACK_MS) break
      await pause(RETRY_MS)
      awayMs += RETRY_MS
    }
  } finally {
    clearInterval(late)
  }
  process.stderr.write(`Weir at ${origin} has ended\n`)
  return EXIT.done
}

function print(told: readonly Told[], options: TailOptions): void {
  for (const one of told) process.stdout.write(`${options.output === 'json' ? JSON.stringify(one.event) : one.line}\n`)
}
