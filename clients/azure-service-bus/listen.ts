import type { MessageHandlers, ServiceBusReceiver } from '@azure/service-bus'
import { type Clock, sleep } from '../../runtime/clock.ts'
import { inTime } from '../../runtime/in-time.ts'
import { TroubleError, trouble } from '../trouble.ts'
import { type BusMessage, messageOf } from './message.ts'
import { type Lost, type Trouble, troubleOf } from './outcome.ts'

export interface Listening {
  /** Messages that are taken and not yet done with, at most. After a broken connection it may be twice as many. */
  readonly max: number
  /** Told when messages can come. */
  readonly onOpen: () => void
  /** One message; the next in its place comes when it has resolved. Must not reject. */
  readonly take: (message: BusMessage) => Promise<void>
}

/** `silent`: nothing has come for long though there is something. The link is to be made anew. */
export type Ended = { readonly kind: 'stopped' | 'silent' } | Lost | Trouble

/** One call, from its first byte to the last of its answer. */
export const CALL_TIMEOUT_MS = 10_000
/** Closing waits for the other side so long; what is left open ends with the connection. */
export const CLOSE_MS = 2_000
/** Links have been seen to go silent: after so long without a message it is asked whether there is one. */
const SILENT_MS = 60_000

/** Told by the client before it attaches its link and when it is attached, though its typings keep that to themselves. */
type Handlers = MessageHandlers & {
  readonly preInitialize: () => Promise<void>
  readonly postInitialize: () => Promise<void>
}

/**
 * Takes messages from `receiver` until it is told to stop, or fails. Never rejects.
 * @param peek asks whether messages wait, where that can be asked.
 */
export async function listenTo(
  receiver: ServiceBusReceiver,
  { max, onOpen, take }: Listening,
  clock: Clock,
  url: string,
  signal: AbortSignal,
  peek: ((signal: AbortSignal) => Promise<number>) | undefined,
): Promise<Ended> {
  if (signal.aborted) return { kind: 'stopped' }
  const over = Promise.withResolvers<Ended>()
  const stop = () => over.resolve({ kind: 'stopped' })
  signal.addEventListener('abort', stop, { once: true })
  const watching = new AbortController()
  const cancelOpening =
    peek === undefined
      ? () => {}
      : clock.after(CALL_TIMEOUT_MS, () => over.resolve(trouble('unreachable', `${url} has not answered in time`)))
  let opening = 0
  let held = 0
  let lastMs = clock.monotonicMs()
  const handlers: Handlers = {
    async processMessage(raw) {
      held++
      lastMs = clock.monotonicMs()
      onOpen()
      await take(messageOf(raw))
      held--
      lastMs = clock.monotonicMs()
    },
    async processError({ error, errorSource }) {
      if (errorSource === 'receive') over.resolve(troubleOf(error, url))
    },
    async preInitialize() {
      if (!opening++) return
      // Its own second try gives credit for what is still held too, and may wait a minute for a server that hangs.
      over.resolve(trouble('unreachable', `${url}: the connection was lost`))
    },
    async postInitialize() {
      cancelOpening()
      // The service says yes to a link and ends it at once where there is nothing: only an answer shows that it stays.
      if (peek !== undefined) void peek(watching.signal).then(onOpen, () => {})
    },
  }
  try {
    const subscription = receiver.subscribe(handlers, { autoCompleteMessages: false, maxConcurrentCalls: max })
    if ('sessionId' in receiver) onOpen() // Its link is there already.
    if (peek !== undefined)
      void watch(peek, () => (held < max ? lastMs : undefined), clock, watching.signal).then(over.resolve, over.reject)
    const ended = await over.promise
    // What is under way to us still arrives: its lock would burn unseen.
    if (ended.kind === 'stopped')
      await inTime(clock, CLOSE_MS, new AbortController().signal, () => subscription.close(), undefined)
    return ended
  } catch (error) {
    return troubleOf(error, url)
  } finally {
    watching.abort()
    cancelOpening()
    signal.removeEventListener('abort', stop)
  }
}

/** Resolves when a link has been silent twice in a row though messages wait. Never, once `signal` aborts. */
async function watch(
  peek: (signal: AbortSignal) => Promise<number>,
  idleSince: () => number | undefined,
  clock: Clock,
  signal: AbortSignal,
): Promise<Ended> {
  try {
    for (let suspicious = 0; suspicious < 2; ) {
      await sleep(clock, SILENT_MS, signal)
      const sinceMs = idleSince()
      if (sinceMs === undefined || clock.monotonicMs() - sinceMs < SILENT_MS / 2) suspicious = 0
      else suspicious = (await peek(signal)) > 0 ? suspicious + 1 : 0
    }
    return { kind: 'silent' }
  } catch (error) {
    if (error instanceof TroubleError) return trouble(error.code, error.message)
    if (!signal.aborted) throw error
    return await new Promise<never>(() => {})
  }
}
