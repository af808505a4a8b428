import type { ServiceBusClient, ServiceBusReceiver, ServiceBusSessionReceiver } from '@azure/service-bus'
import type { Clock } from '../../runtime/clock.ts'
import { endInTime, inTime } from '../../runtime/in-time.ts'
import { noAnswer, TroubleError, trouble } from '../trouble.ts'
import { type BusAccess, urlOf } from './access.ts'
import { connectBus } from './connect.ts'
import { CALL_TIMEOUT_MS, CLOSE_MS, type Ended, type Listening, listenTo } from './listen.ts'
import type { BusMessage } from './message.ts'
import { type Lost, type Trouble, troubleOf } from './outcome.ts'

export type Settled = { readonly kind: 'settled' } | Lost | Trouble
/** `untilMs` by the clock of the service. */
export type Renewed = { readonly kind: 'renewed'; readonly untilMs: number } | Lost | Trouble

/** What can be done with a message that is locked. Each is tried once, and ends within `CALL_TIMEOUT_MS`. @throws the signal's reason. */
export interface Holder {
  complete(message: BusMessage, signal: AbortSignal): Promise<Settled>
  /** It can be received again at once, and counts one delivery more. */
  abandon(message: BusMessage, signal: AbortSignal): Promise<Settled>
  /** Into the entity's dead-letter queue. */
  deadLetter(message: BusMessage, reason: string, description: string, signal: AbortSignal): Promise<Settled>
}

/** A queue or a subscription. Calls may be made concurrently; locks outlive a broken connection, those of sessions do not. */
export interface Bus extends Holder, AsyncDisposable {
  /** `sb://namespace/entity`: safe to show. */
  readonly url: string
  /** Takes messages until it is told to stop, or fails. What has been taken can be settled afterwards. Never rejects. */
  listen(listening: Listening, signal: AbortSignal): Promise<Ended>
  renew(message: BusMessage, signal: AbortSignal): Promise<Renewed>
  /** Waits for a session that is free and has messages, and locks it. @throws the signal's reason. */
  nextSession(
    signal: AbortSignal,
  ): Promise<{ readonly kind: 'session'; readonly session: Session } | { readonly kind: 'none' } | Trouble>
  /** Messages that are neither deferred nor scheduled, locked ones included; counts up to `max`. @throws {TroubleError} */
  peekCount(max: number, signal: AbortSignal): Promise<number>
}

/** A session that is locked for us, until it is disposed or lost. */
export interface Session extends Holder, AsyncDisposable {
  readonly id: string
  readonly lockedUntilMs: number
  /** As of a queue, one message at a time and in order. */
  listen(listening: Omit<Listening, 'max'>, signal: AbortSignal): Promise<Ended>
  /** Renews the lock of the session and with it of all its messages. */
  renew(signal: AbortSignal): Promise<Renewed>
}

/** What is peeked at in one call. */
const PEEK_MAX = 250
/** Longer texts are refused by the service. */
const REASON_MAX = 4_096

/** A place, not yet connected to: the client is loaded when it is first needed. */
export function openBus(access: BusAccess, clock: Clock): Bus {
  return new SdkBus(access, clock)
}

/** A connection, and the receiver on it. After trouble both are made anew. */
interface Generation {
  readonly client: ServiceBusClient
  readonly receiver: ServiceBusReceiver
}

const RECEIVER = {
  // The client renews by message id, which two messages may share and some lack: renewal is ours.
  maxAutoLockRenewalDurationInMs: 0,
  skipParsingBodyAsJson: true,
  skipConvertingDate: true,
} as const

class SdkBus implements Bus {
  readonly url: string
  readonly #access: BusAccess
  readonly #clock: Clock
  #generation: Promise<Generation> | undefined

  constructor(access: BusAccess, clock: Clock) {
    this.#access = access
    this.#clock = clock
    this.url = urlOf(access)
  }

  async listen(listening: Listening, signal: AbortSignal): Promise<Ended> {
    const opened = await this.#current().catch((error: unknown) => troubleOf(error, this.url))
    if ('kind' in opened) return opened
    const ended = await listenTo(opened.receiver, listening, this.#clock, this.url, signal, stop =>
      this.peekCount(1, stop),
    )
    // The client heals itself too, but gives credit anew for what is still held: twice as much each time.
    if (ended.kind !== 'stopped') this.#drop(opened)
    return ended
  }

  renew(message: BusMessage, signal: AbortSignal): Promise<Renewed> {
    return this.#call(signal, async ({ receiver }) => {
      const until = await receiver.renewMessageLock(message.raw)
      return { kind: 'renewed' as const, untilMs: until.getTime() }
    })
  }

  complete(message: BusMessage, signal: AbortSignal): Promise<Settled> {
    return this.#call(signal, ({ receiver }) => receiver.completeMessage(message.raw).then(settled))
  }

  abandon(message: BusMessage, signal: AbortSignal): Promise<Settled> {
    return this.#call(signal, ({ receiver }) => receiver.abandonMessage(message.raw).then(settled))
  }

  deadLetter(message: BusMessage, reason: string, description: string, signal: AbortSignal): Promise<Settled> {
    return this.#call(signal, ({ receiver }) =>
      receiver.deadLetterMessage(message.raw, deadLetterOptions(reason, description)).then(settled),
    )
  }

  async nextSession(signal: AbortSignal) {
    let late = false
    const answer = await this.#call(signal, async ({ client }) => {
      const receiver = await client.acceptNextSession(this.#access.entity, RECEIVER).catch((error: unknown) => {
        if (isNoSession(error)) return undefined
        throw error
      })
      if (receiver === undefined) return { kind: 'none' as const }
      // Nobody waits for it any more: others must not wait for its lock to end.
      if (late) await receiver.close()
      return { kind: 'session' as const, session: new SdkSession(receiver, this.url, this.#clock) }
    }).finally(() => {
      late = true
    })
    // The client may wait a minute for a server that hangs, on every try.
    if (answer.kind === 'trouble' && answer.what === 'unreachable') await this.#dropCurrent()
    return answer.kind === 'lost' ? trouble('rejected', `${this.url} speaks of a lock where none was named`) : answer
  }

  async peekCount(max: number, signal: AbortSignal): Promise<number> {
    let count = 0
    let seen = 0
    const { default: Long } = await import('long')
    // Without a number the client goes on after what it peeked at last.
    let from = Long.ZERO
    while (seen < max) {
      const asked = Math.min(PEEK_MAX, max - seen)
      const answer = await this.#call(signal, async ({ receiver }) => {
        const options = { omitMessageBody: true, fromSequenceNumber: from }
        return { kind: 'peeked' as const, messages: await receiver.peekMessages(asked, options) }
      })
      if (answer.kind === 'lost') throw new TroubleError(trouble('rejected', `${this.url} cannot be counted`))
      if (answer.kind === 'trouble') throw new TroubleError(answer)
      count += answer.messages.filter(one => one.state === 'active').length
      seen += answer.messages.length
      const last = answer.messages.at(-1)?.sequenceNumber
      if (last === undefined || answer.messages.length < asked) break
      from = last.add(1)
    }
    return count
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const opened = await this.#generation?.catch(() => undefined)
    if (opened !== undefined) await this.#close(opened)
  }

  #current(): Promise<Generation> {
    this.#generation ??= connectBus(this.#access).then(client => ({
      client,
      receiver: client.createReceiver(this.#access.entity, RECEIVER),
    }))
    return this.#generation
  }

  async #dropCurrent(): Promise<void> {
    const opened = await this.#generation?.catch(() => undefined)
    if (opened !== undefined) this.#drop(opened)
  }

  #drop(opened: Generation): void {
    this.#generation = undefined
    void this.#close(opened)
  }

  async #close({ client }: Generation): Promise<void> {
    await endInTime(this.#clock, CLOSE_MS, () => client.close())
  }

  async #call<T>(signal: AbortSignal, ask: (opened: Generation) => Promise<T>): Promise<T | Lost | Trouble> {
    return await calling(this.#clock, this.url, signal, async () => ask(await this.#current()))
  }
}

class SdkSession implements Session {
  readonly id: string
  readonly lockedUntilMs: number
  readonly #receiver: ServiceBusSessionReceiver
  readonly #url: string
  readonly #clock: Clock

  constructor(receiver: ServiceBusSessionReceiver, url: string, clock: Clock) {
    this.#receiver = receiver
    this.#url = url
    this.#clock = clock
    this.id = receiver.sessionId
    this.lockedUntilMs = receiver.sessionLockedUntilUtc.getTime()
  }

  listen(listening: Omit<Listening, 'max'>, signal: AbortSignal): Promise<Ended> {
    const one = { ...listening, max: 1 }
    return listenTo(this.#receiver, one, this.#clock, this.#url, signal, undefined)
  }

  renew(signal: AbortSignal): Promise<Renewed> {
    return calling(this.#clock, this.#url, signal, async () => {
      const until = await this.#receiver.renewSessionLock()
      return { kind: 'renewed' as const, untilMs: until.getTime() }
    })
  }

  complete(message: BusMessage, signal: AbortSignal): Promise<Settled> {
    return calling(this.#clock, this.#url, signal, () => this.#receiver.completeMessage(message.raw).then(settled))
  }

  abandon(message: BusMessage, signal: AbortSignal): Promise<Settled> {
    return calling(this.#clock, this.#url, signal, () => this.#receiver.abandonMessage(message.raw).then(settled))
  }

  deadLetter(message: BusMessage, reason: string, description: string, signal: AbortSignal): Promise<Settled> {
    return calling(this.#clock, this.#url, signal, () =>
      this.#receiver.deadLetterMessage(message.raw, deadLetterOptions(reason, description)).then(settled),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endInTime(this.#clock, CLOSE_MS, () => this.#receiver.close())
  }
}

async function calling<T>(
  clock: Clock,
  url: string,
  signal: AbortSignal,
  ask: () => Promise<T>,
): Promise<T | Lost | Trouble> {
  try {
    return await inTime(clock, CALL_TIMEOUT_MS, signal, ask, noAnswer(url, CALL_TIMEOUT_MS))
  } catch (error) {
    signal.throwIfAborted()
    return troubleOf(error, url)
  }
}

function settled(): { readonly kind: 'settled' } {
  return { kind: 'settled' }
}

/** The service answers a wait for any session that was in vain with a timeout; the client's own timeout reads otherwise. */
function isNoSession(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false
  if (error.code === 'SessionCannotBeLocked') return true
  const words = error instanceof Error ? error.message : ''
  return (
    error.code === 'ServiceTimeout' && !/^unable to create|due to operation timeout|endpoint timed out/i.test(words)
  )
}

function deadLetterOptions(reason: string, description: string) {
  return {
    deadLetterReason: reason.slice(0, REASON_MAX),
    deadLetterErrorDescription: description.slice(0, REASON_MAX),
  }
}
