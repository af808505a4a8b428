import type { Channel, ConsumeMessage } from 'amqplib'

/**
 * Acknowledgements of one channel, said together: a frame for every message costs more than the message. What is acknowledged
 * in one turn of the event loop goes at its end, in one frame as far as no earlier message is still held.
 */
export class Acks {
  readonly #channel: Pick<Channel, 'ack'>
  /** Held messages by their tags, which grow; `true` once acknowledged. */
  readonly #held = new Map<number, boolean>()
  readonly #messages = new Map<number, ConsumeMessage>()
  #planned: NodeJS.Immediate | undefined

  constructor(channel: Pick<Channel, 'ack'>) {
    this.#channel = channel
  }

  /** `message` is held from now on. */
  hold({ fields: { deliveryTag } }: ConsumeMessage): void {
    this.#held.set(deliveryTag, false)
  }

  ack(message: ConsumeMessage): void {
    const { deliveryTag } = message.fields
    this.#held.set(deliveryTag, true)
    this.#messages.set(deliveryTag, message)
    this.#planned ??= setImmediate(() => this.flush())
  }

  /** Something else was said of it, directly. */
  forget({ fields: { deliveryTag } }: ConsumeMessage): void {
    this.#held.delete(deliveryTag)
  }

  /** Says now what is to be said. Where the channel is over, the messages come again. */
  flush(): void {
    clearImmediate(this.#planned)
    this.#planned = undefined
    let last: ConsumeMessage | undefined
    for (const [tag, done] of this.#held) {
      if (!done) break
      last = this.#messages.get(tag)
      this.#held.delete(tag)
      this.#messages.delete(tag)
    }
    try {
      if (last !== undefined) this.#channel.ack(last, true)
      for (const [tag, message] of this.#messages) {
        this.#held.delete(tag)
        this.#channel.ack(message)
      }
    } catch {
      // The channel has ended.
    }
    this.#messages.clear()
  }
}
