import type { Channel, ChannelModel } from 'amqplib'
import { type Clock, sleep } from '../../runtime/clock.ts'
import { inTime } from '../../runtime/in-time.ts'
import { noAnswer, trouble } from '../trouble.ts'
import { type RabbitAccess, shownUrl } from './access.ts'
import { type Trouble, troubleOf } from './outcome.ts'
import { trustOf } from './secure.ts'

/** One request to the server, and the whole of connecting. */
export const CALL_TIMEOUT_MS = 15_000
/** Seconds; a peer that says nothing for twice as long is gone (AMQP 0-9-1 §4.2.7). */
const HEARTBEAT_SECONDS = 10
/** A polite end may take this long. */
const CLOSE_TIMEOUT_MS = 2_000

/** One connection to a server, from its beginning to its end. It does not come back: whoever needs another one opens it. */
export interface Link {
  readonly kind: 'link'
  /** Without credentials. */
  readonly url: string
  /** Resolves once, when the connection is over, for whatever reason. */
  readonly ended: Promise<Trouble>
  /** A new channel. What goes wrong on it ends that channel and nothing else; it needs no listener for errors. */
  channel(): Promise<Channel>
  /** Runs requests within `timeoutMs`, `CALL_TIMEOUT_MS` where it is not given; a server that has not answered by then has lost the connection. @throws the signal's reason. */
  call<T>(requests: (link: Link) => Promise<T>, signal: AbortSignal, timeoutMs?: number): Promise<T | Trouble>
  readonly model: ChannelModel
  /** Ends it at once, for a reason. */
  destroy(why: string): void
  /** Ends it politely, or at once where that takes too long. Never rejects. */
  close(): Promise<void>
}

/** Connects, within `CALL_TIMEOUT_MS`. The client library is loaded with the first connection. @throws the signal's reason. */
export async function openLink(access: RabbitAccess, clock: Clock, signal: AbortSignal): Promise<Link | Trouble> {
  signal.throwIfAborted()
  const url = shownUrl(access)
  const connecting = connect(access)
  // One that comes after all is not needed any more.
  const forget = () =>
    void connecting.then(model => new OpenLink(model, url, clock).destroy('too late')).catch(() => {})
  try {
    const found = await inTime(clock, CALL_TIMEOUT_MS, signal, () => connecting, undefined)
    if (found !== undefined) return new OpenLink(found, url, clock)
    forget()
    return noAnswer(url, CALL_TIMEOUT_MS)
  } catch (error) {
    forget()
    signal.throwIfAborted()
    return troubleOf(error, url)
  }
}

async function connect(access: RabbitAccess): Promise<ChannelModel> {
  const { connect } = await import('amqplib')
  const { host, port, tls, vhost, username, password } = access
  // An object, not an address: the library would decode what stands in one, and garble what is not ASCII.
  const place = {
    protocol: tls ? 'amqps' : 'amqp',
    hostname: host,
    port,
    username,
    password,
    heartbeat: HEARTBEAT_SECONDS,
  }
  // The library decodes this one name all the same.
  const options = { ...place, vhost: encodeURIComponent(vhost) }
  return connect(options, {
    ...trustOf(access),
    noDelay: true,
    timeout: CALL_TIMEOUT_MS,
    clientProperties: { connection_name: 'weir' },
  })
}

class OpenLink implements Link {
  readonly kind = 'link'
  readonly url: string
  readonly model: ChannelModel
  readonly ended: Promise<Trouble>
  readonly #clock: Clock
  readonly #over = new AbortController()

  constructor(model: ChannelModel, url: string, clock: Clock) {
    const { promise, resolve } = Promise.withResolvers<Trouble>()
    let found: Trouble | undefined
    this.model = model
    this.url = url
    this.ended = promise
    this.#clock = clock
    model.on('error', error => {
      found ??= troubleOf(error, url)
    })
    model.on('close', error => {
      resolve(
        found ?? (error === undefined ? trouble('unreachable', `${url} ended the connection`) : troubleOf(error, url)),
      )
      this.#over.abort()
      socketOf(model)?.destroy() // The other side may never say goodbye.
    })
  }

  async channel(): Promise<Channel> {
    const channel = await this.model.createChannel()
    channel.on('error', () => {})
    return channel
  }

  async call<T>(
    requests: (link: Link) => Promise<T>,
    signal: AbortSignal,
    timeoutMs = CALL_TIMEOUT_MS,
  ): Promise<T | Trouble> {
    signal.throwIfAborted()
    const done = new AbortController()
    const stop = AbortSignal.any([signal, done.signal])
    try {
      return await Promise.race([
        requests(this),
        this.ended,
        sleep(this.#clock, timeoutMs, stop).then(() => {
          this.destroy('no answer')
          return noAnswer(this.url, timeoutMs)
        }),
      ])
    } catch (error) {
      signal.throwIfAborted()
      return troubleOf(error, this.url)
    } finally {
      done.abort()
    }
  }

  destroy(why: string): void {
    socketOf(this.model)?.destroy(new Error(why))
  }

  async close(): Promise<void> {
    if (this.#over.signal.aborted) return
    const closing = this.model.close().catch(() => {})
    const late = sleep(this.#clock, CLOSE_TIMEOUT_MS, this.#over.signal).catch(() => {})
    await Promise.race([closing.then(() => this.ended), late])
    if (!this.#over.signal.aborted) this.destroy('the other side does not let go')
  }
}

interface Socket {
  destroy(error?: Error): void
}

/** The library has no way to end a connection whose other side is silent; its socket has. */
function socketOf(model: ChannelModel): Socket | undefined {
  const { stream } = model.connection as { readonly stream?: Partial<Socket> }
  return typeof stream?.destroy === 'function' ? (stream as Socket) : undefined
}
