import { type Clock, sleep } from '../../runtime/clock.ts'
import { trouble } from '../trouble.ts'
import { type RabbitAccess, shownUrl } from './access.ts'
import { type Link, openLink } from './link.ts'
import type { Trouble } from './outcome.ts'
import { type Outgoing, openPublisher, type Published, type Publisher } from './publisher.ts'

/** The way out to one server: connects when first needed, and again after trouble. */
export interface RabbitOut extends AsyncDisposable {
  /**
   * Resolves when the server has confirmed the message, or said that it will not, or has said nothing for long. Any number
   * at once. @throws the signal's reason, the outcome then unknown.
   */
  publish(message: Outgoing, signal: AbortSignal): Promise<Published>
}

/** A server that was not reached is left alone for this long. */
const REST_MS = 500
/** From handing a message over to its confirmation. A server that is short of memory or disk stops reading, and confirms nothing. */
const CONFIRM_TIMEOUT_MS = 20_000

export function openRabbitOut(access: RabbitAccess, clock: Clock): RabbitOut {
  return new Out(access, clock)
}

interface Connected {
  readonly kind: 'connected'
  readonly link: Link
  readonly publisher: Publisher
}

class Out implements RabbitOut {
  readonly #access: RabbitAccess
  readonly #clock: Clock
  readonly #over = new AbortController()
  #connecting: Promise<Connected | Trouble> | undefined
  #link: Link | undefined

  constructor(access: RabbitAccess, clock: Clock) {
    this.#access = access
    this.#clock = clock
  }

  async publish(message: Outgoing, signal: AbortSignal): Promise<Published> {
    signal.throwIfAborted()
    const done = new AbortController()
    const stop = AbortSignal.any([signal, done.signal])
    try {
      return await Promise.race([this.#publish(message), this.#late(stop)])
    } finally {
      done.abort()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Error('the way out is closed'))
    await this.#connecting?.catch(() => {})
    await this.#link?.close()
  }

  async #publish(message: Outgoing): Promise<Published> {
    // Not bound to one caller's signal: others wait for the same connection.
    this.#connecting ??= this.#connect()
    const connected = await this.#connecting
    return connected.kind === 'connected' ? connected.publisher.publish(message) : connected
  }

  async #connect(): Promise<Connected | Trouble> {
    const connected = await this.#open().catch((error: unknown) => {
      if (this.#over.signal.aborted) return trouble('unreachable', `${shownUrl(this.#access)}: the sink is closed`)
      throw error
    })
    if (connected.kind === 'trouble') {
      this.#clock.after(REST_MS, () => this.#forget())
      return connected
    }
    this.#link = connected.link
    // The end of the channel is enough: an exchange that is missing ends it, and the connection with it.
    void connected.publisher.ended.then(() => {
      this.#forget()
      return connected.link.close()
    })
    return connected
  }

  async #open(): Promise<Connected | Trouble> {
    const link = await openLink(this.#access, this.#clock, this.#over.signal)
    if (link.kind === 'trouble') return link
    const publisher = await link.call(openPublisher, this.#over.signal)
    if (publisher.kind === 'publisher') return { kind: 'connected', link, publisher }
    await link.close()
    return publisher
  }

  #forget(): void {
    this.#connecting = undefined
  }

  async #late(stop: AbortSignal): Promise<Trouble> {
    await sleep(this.#clock, CONFIRM_TIMEOUT_MS, stop)
    const url = shownUrl(this.#access)
    // What it holds unconfirmed would grow without end; now it may come twice.
    this.#link?.destroy('no confirmation')
    return trouble('unreachable', `${url} has not confirmed it within ${CONFIRM_TIMEOUT_MS / 1000} s`)
  }
}
