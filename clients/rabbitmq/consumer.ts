import type { Channel, ConsumeMessage } from 'amqplib'
import type { Clock } from '../../runtime/clock.ts'
import { trouble } from '../trouble.ts'
import type { RabbitAccess } from './access.ts'
import { Acks } from './acks.ts'
import { type Link, openLink } from './link.ts'
import { type Received, received } from './message.ts'
import { type Trouble, troubleOf } from './outcome.ts'
import { openPublisher, type Published, type Publisher } from './publisher.ts'
import { prepare, type Wanted } from './topology.ts'

export interface ConsumerOptions extends Wanted {
  /** Messages held at once, 1 to 65,535. */
  readonly prefetch: number
}

/** One message that is held until one of these is called. They do nothing once the connection that brought it is over: it comes again. */
export interface RabbitDelivery extends Received {
  /** It is done with; said at the end of this turn of the event loop. @returns false where something was said of it before. */
  ack(): boolean
  /** Its queue puts it where its dead letters go, and forgets it where they go nowhere. */
  reject(): boolean
  /** Back to its queue, near the head, at once. */
  requeue(): boolean
  /** A copy to the end of its queue, with `messageId` and nothing counted. To be acknowledged where that is confirmed. */
  copyToEnd(messageId: string, signal: AbortSignal): Promise<Published>
}

/** A queue that is being consumed, over a connection of its own. */
export interface RabbitConsumer {
  readonly kind: 'consuming'
  /** Without credentials. */
  readonly url: string
  /** Resolves once, with why nothing comes any more and all that is held will come again. Also after `close`. */
  readonly ended: Promise<Trouble>
  /** No further message is handed over after this resolves; those that are held stay. Never rejects. */
  stop(): Promise<void>
  /** Sends what has been said of messages, gives back what is still held, and ends. Never rejects. */
  close(): Promise<void>
}

/**
 * Consumes a queue until the connection, the channel or the queue ends: it does not come back by itself.
 * @param onDelivery called for each message, one after the other; must not throw.
 * @throws the signal's reason.
 */
export async function openConsumer(
  access: RabbitAccess,
  options: ConsumerOptions,
  onDelivery: (delivery: RabbitDelivery) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<RabbitConsumer | Trouble> {
  const link = await openLink(access, clock, signal)
  if (link.kind === 'trouble') return link
  try {
    const started = await link.call(async () => {
      await prepare(link, options)
      const channel = await link.channel()
      const consumer = new Consumer(link, channel, options.queue, onDelivery)
      await consumer.start(options.prefetch)
      return consumer
    }, signal)
    if (started.kind === 'trouble') await link.close()
    return started
  } catch (error) {
    await link.close()
    throw error
  }
}

/** The server may take this long to hear all that was said. */
const CLOSE_MS = 2_000

class Consumer implements RabbitConsumer {
  readonly kind = 'consuming'
  readonly ended: Promise<Trouble>
  readonly #link: Link
  readonly #channel: Channel
  readonly #acks: Acks
  readonly #queue: string
  readonly #onDelivery: (delivery: RabbitDelivery) => void
  readonly #end: (why: Trouble) => void
  #tag: string | undefined
  #publisher: Promise<Publisher> | undefined
  /** Nothing that is said on the channel reaches the server any more. */
  #over = false

  constructor(link: Link, channel: Channel, queue: string, onDelivery: (delivery: RabbitDelivery) => void) {
    const { promise, resolve } = Promise.withResolvers<Trouble>()
    this.ended = promise
    this.#end = resolve
    this.#link = link
    this.#channel = channel
    this.#acks = new Acks(channel)
    this.#queue = queue
    this.#onDelivery = onDelivery
    void link.ended.then(resolve)
    let found: Trouble | undefined
    channel.on('error', error => {
      found = troubleOf(error, link.url)
    })
    channel.on('close', () => {
      this.#over = true
      if (found !== undefined) resolve(found)
    })
  }

  get url(): string {
    return this.#link.url
  }

  async start(prefetch: number): Promise<void> {
    await this.#channel.prefetch(prefetch)
    const { consumerTag } = await this.#channel.consume(this.#queue, message => this.#deliver(message), {
      noAck: false,
    })
    this.#tag = consumerTag
  }

  async stop(): Promise<void> {
    const tag = this.#tag
    this.#tag = undefined
    if (tag === undefined) return
    await this.#link.call(async () => this.#channel.cancel(tag), new AbortController().signal)
  }

  async close(): Promise<void> {
    this.#acks.flush()
    // What was said last on the channel may wait behind the end of the connection, but not behind that of the channel.
    await this.#link.call(() => this.#channel.close(), new AbortController().signal, CLOSE_MS)
    await this.#link.close()
  }

  #deliver(message: ConsumeMessage | null): void {
    if (message === null) {
      const gone = `${this.url}: queue ${JSON.stringify(this.#queue)} has been deleted`
      this.#end(trouble('missing', `${gone}; it is read as soon as somebody makes it again`))
    } else this.#onDelivery(this.#delivery(message))
  }

  #delivery(message: ConsumeMessage): RabbitDelivery {
    this.#acks.hold(message)
    let settled = false
    // A second word about one message, or one on a channel that is closed, would end the channel or throw.
    const once = (say: () => void) => () => {
      if (settled || this.#over) return false
      settled = true
      try {
        say()
        return true
      } catch {
        return false
      }
    }
    const directly = (say: () => void) =>
      once(() => {
        this.#acks.forget(message)
        say()
      })
    return {
      ...received(message),
      ack: once(() => this.#acks.ack(message)),
      reject: directly(() => this.#channel.reject(message, false)),
      requeue: directly(() => this.#channel.nack(message, false, true)),
      copyToEnd: (messageId, signal) => this.#copyToEnd(message, messageId, signal),
    }
  }

  async #copyToEnd(
    { content, properties }: ConsumeMessage,
    messageId: string,
    signal: AbortSignal,
  ): Promise<Published> {
    const publisher = this.#openPublisher()
    const { 'x-delivery-count': _counted, ...headers } = properties.headers ?? {}
    const { contentType, contentEncoding, deliveryMode, priority, correlationId, replyTo } = properties
    const { expiration, timestamp, type, appId } = properties
    const kept = { contentType, contentEncoding, priority, correlationId, replyTo, expiration, timestamp, type, appId }
    // A `userId` is left out: the server refuses one that is not ours.
    const options = { ...kept, headers, messageId, ...(deliveryMode === 1 && { persistent: false }) }
    // The default exchange leads to every queue by its name.
    const outgoing = { exchange: '', routingKey: this.#queue, body: content, properties: options }
    return this.#link.call(async () => (await publisher).publish(outgoing), signal)
  }

  #openPublisher(): Promise<Publisher> {
    if (this.#publisher !== undefined) return this.#publisher
    const opening = openPublisher(this.#link)
    this.#publisher = opening
    // Its channel ends with a refusal of the server; the next copy takes a new one.
    const forget = () => {
      this.#publisher = undefined
    }
    opening.then(publisher => publisher.ended.then(forget), forget)
    return opening
  }
}
