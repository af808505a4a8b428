import type { ConfirmChannel } from 'amqplib'
import { connect } from 'amqplib'
import type { Rabbitmq } from '../../test/servers/rabbitmq.ts'

/** One of the two ways through `rabbitmq-burst.yaml`. */
export interface Way {
  readonly name: string
  /** The queue it begins at. */
  readonly queue: string
  /** The Deployment at its end. */
  readonly workload: string
}

export const WAYS: readonly Way[] = [
  { name: 'a worker that pulls, scaled by a ScaledObject', queue: 'burst-pulled', workload: 'puller' },
  { name: "a Trigger's subscriber", queue: 'burst-pushed', workload: 'worker' },
]

/** As many messages waiting for a confirmation at once. */
const BATCH = 500

/** The other side of the queues: puts messages there. */
export class Sender implements AsyncDisposable {
  readonly #channel: ConfirmChannel
  readonly #close: () => Promise<void>

  private constructor(channel: ConfirmChannel, close: () => Promise<void>) {
    this.#channel = channel
    this.#close = close
  }

  /** Makes the queues anew: what a run before has left on them is gone. */
  static async open(server: Rabbitmq): Promise<Sender> {
    const connection = await connect(server.url, { noDelay: true })
    const channel = await connection.createConfirmChannel()
    for (const { queue } of WAYS) {
      await channel.deleteQueue(queue)
      await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    }
    return new Sender(channel, () => connection.close())
  }

  /** Puts the messages on the queue of a way, as fast as it takes them. Resolves when RabbitMQ has confirmed all. */
  async put({ queue }: Way, messages: readonly string[]): Promise<void> {
    for (let i = 0; i < messages.length; i += BATCH) {
      for (const text of messages.slice(i, i + BATCH))
        this.#channel.sendToQueue(queue, Buffer.from(text), {
          messageId: text,
          contentType: 'text/plain',
          persistent: true,
        })
      await this.#channel.waitForConfirms()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close()
  }
}
