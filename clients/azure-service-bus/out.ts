import type { ServiceBusClient, ServiceBusMessage, ServiceBusSender } from '@azure/service-bus'
import type { Clock } from '../../runtime/clock.ts'
import { endInTime, inTime } from '../../runtime/in-time.ts'
import { noAnswer, trouble } from '../trouble.ts'
import { type BusAccess, urlOf } from './access.ts'
import { connectBus } from './connect.ts'
import { CALL_TIMEOUT_MS } from './listen.ts'
import { type Trouble, troubleOf } from './outcome.ts'

/** What is sent. */
export interface Outgoing {
  /** Where the entity detects duplicates, messages with the same one are the same. 128 characters at most. */
  readonly messageId: string
  readonly sessionId: string | undefined
  readonly contentType: string | undefined
  readonly properties: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** The way into a queue or topic. Calls may be made concurrently. */
export interface BusOut extends AsyncDisposable {
  /** `sb://namespace/entity`: safe to show. */
  readonly url: string
  /** Resolves when the service has the message, within `CALL_TIMEOUT_MS`. Tried once. @throws the signal's reason. */
  send(message: Outgoing, signal: AbortSignal): Promise<{ readonly kind: 'sent' } | Trouble>
}

/** Closing waits for the other side so long. */
const CLOSE_MS = 2_000

/** A place, not yet connected to: the client is loaded when it is first needed. */
export function openBusOut(access: BusAccess, clock: Clock): BusOut {
  return new SdkOut(access, clock)
}

interface Generation {
  readonly client: ServiceBusClient
  readonly sender: ServiceBusSender
}

class SdkOut implements BusOut {
  readonly url: string
  readonly #access: BusAccess
  readonly #clock: Clock
  #generation: Promise<Generation> | undefined

  constructor(access: BusAccess, clock: Clock) {
    this.#access = access
    this.#clock = clock
    this.url = urlOf(access)
  }

  async send(message: Outgoing, signal: AbortSignal): Promise<{ readonly kind: 'sent' } | Trouble> {
    const opening = this.#current()
    const found = await this.#send(opening, message, signal)
    // A connection that does not answer may never again.
    if (found.kind === 'trouble' && found.what === 'unreachable') this.#drop(opening)
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#generation !== undefined) await this.#close(this.#generation)
  }

  async #send(opening: Promise<Generation>, message: Outgoing, signal: AbortSignal) {
    try {
      const send = async (abortSignal: AbortSignal) => {
        const { sender } = await opening
        await sender.sendMessages(rawOf(message), { abortSignal })
        return { kind: 'sent' as const }
      }
      return await inTime(this.#clock, CALL_TIMEOUT_MS, signal, send, noAnswer(this.url, CALL_TIMEOUT_MS))
    } catch (error) {
      signal.throwIfAborted()
      const found = troubleOf(error, this.url)
      return found.kind === 'trouble'
        ? found
        : trouble('unreachable', `${this.url} speaks of a lock where none was named`)
    }
  }

  #current(): Promise<Generation> {
    this.#generation ??= connectBus(this.#access).then(client => ({
      client,
      sender: client.createSender(this.#access.entity),
    }))
    return this.#generation
  }

  #drop(opening: Promise<Generation>): void {
    if (this.#generation !== opening) return // Another call has seen it too.
    this.#generation = undefined
    void this.#close(opening)
  }

  async #close(opening: Promise<Generation>): Promise<void> {
    await endInTime(this.#clock, CLOSE_MS, async () => (await opening).client.close())
  }
}

function rawOf({ messageId, sessionId, contentType, properties, body }: Outgoing): ServiceBusMessage {
  return {
    messageId,
    body: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
    applicationProperties: { ...properties },
    ...(contentType !== undefined && { contentType }),
    ...(sessionId !== undefined && { sessionId }),
  }
}
