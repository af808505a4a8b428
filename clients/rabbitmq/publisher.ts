import type { ConfirmChannel, Message, Options } from 'amqplib'
import { trouble } from '../trouble.ts'
import type { Link } from './link.ts'
import { type Trouble, troubleOf } from './outcome.ts'

/** A message on its way out. */
export interface Outgoing {
  readonly exchange: string
  readonly routingKey: string
  readonly body: Uint8Array
  readonly properties: Options.Publish
}

export type Published =
  /** The server has it for good (publisher confirms). */
  | { readonly kind: 'confirmed' }
  /** No queue wants it: it is nowhere. */
  | { readonly kind: 'unroutable'; readonly reason: string }
  /** It cannot be written down in this protocol, or is larger than the server takes. */
  | { readonly kind: 'unfit'; readonly reason: string }
  | Trouble

/**
 * Carries the number by which a message that the server returns is known again: neither a return nor a message has one of
 * its own, and an unroutable message is confirmed like any other.
 */
const NUMBER = 'x-weir-publish'

interface Waiting {
  returned: string | undefined
  settle(published: Published): void
}

/** Publishes over one link, as long as that lasts. Any number at once. */
export interface Publisher {
  readonly kind: 'publisher'
  /** Resolves once, when nothing can be published any more. */
  readonly ended: Promise<Trouble>
  publish(message: Outgoing): Promise<Published>
}

/** @throws what the library throws. */
export async function openPublisher(link: Link): Promise<Publisher> {
  const channel = await link.model.createConfirmChannel()
  return new Confirmed(channel, link.url)
}

class Confirmed implements Publisher {
  readonly kind = 'publisher'
  readonly ended: Promise<Trouble>
  readonly #channel: ConfirmChannel
  readonly #url: string
  readonly #waiting = new Map<number, Waiting>()
  #last = 0
  /** Why the server ends the channel, known before anything else ends. */
  #found: Trouble | undefined
  #over: Trouble | undefined

  constructor(channel: ConfirmChannel, url: string) {
    const { promise, resolve } = Promise.withResolvers<Trouble>()
    this.#channel = channel
    this.#url = url
    this.ended = promise
    channel.on('error', error => {
      this.#found = troubleOf(error, url)
    })
    channel.on('close', () => {
      this.#over = this.#found ?? trouble('unreachable', `${url}: the connection ended`)
      for (const waiting of this.#waiting.values()) waiting.settle(this.#over)
      this.#waiting.clear()
      resolve(this.#over)
    })
    channel.on('return', message => this.#returned(message))
  }

  publish({ exchange, routingKey, body, properties }: Outgoing): Promise<Published> {
    if (this.#over !== undefined) return Promise.resolve(this.#over)
    const number = ++this.#last
    const headers = { ...properties.headers, [NUMBER]: number }
    const { promise, resolve } = Promise.withResolvers<Published>()
    const waiting: Waiting = { returned: undefined, settle: resolve }
    this.#waiting.set(number, waiting)
    try {
      const content = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
      const options = { persistent: true, ...properties, headers, mandatory: true }
      this.#channel.publish(exchange, routingKey, content, options, error => this.#answered(number, error))
    } catch (error) {
      // The message itself cannot be encoded, or the channel closed a moment ago.
      this.#waiting.delete(number)
      const gone = error instanceof Error && error.name === 'IllegalOperationError'
      resolve(gone ? troubleOf(error, this.#url) : { kind: 'unfit', reason: wordsOf(error) })
    }
    return promise
  }

  #returned(message: Message): void {
    const waiting = this.#waiting.get(Number(message.properties.headers?.[NUMBER]))
    const { replyText } = message.fields as { readonly replyText?: string }
    if (waiting !== undefined) waiting.returned = replyText ?? 'NO_ROUTE'
  }

  /** Comes after the return of the same message. */
  #answered(number: number, error: unknown): void {
    const waiting = this.#waiting.get(number)
    if (waiting === undefined) return // It has been answered by the end of the channel.
    this.#waiting.delete(number)
    if (error) {
      waiting.settle(this.#found ?? this.#refusal(error))
    } else if (waiting.returned !== undefined) {
      waiting.settle({ kind: 'unroutable', reason: `no queue is bound for it (${waiting.returned})` })
    } else waiting.settle({ kind: 'confirmed' })
  }

  #refusal(error: unknown): Trouble {
    const nacked = wordsOf(error) === 'message nacked'
    if (nacked) return trouble('busy', `${this.#url} does not take it now (its queue may be full)`)
    return trouble('unreachable', `${this.#url}: the connection ended`)
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '').slice(0, 200) : String(error)
}
