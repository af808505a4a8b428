import { rabbitAccessOf } from '../../clients/rabbitmq/access.ts'
import { openRabbitOut, type RabbitOut } from '../../clients/rabbitmq/out.ts'
import type { RabbitmqSinkResource } from '../../crds/rabbitmq-sink.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { EventSink, OpenSink, Sent } from '../sink.ts'
import { toMessage } from './to-message.ts'

/**
 * Events become messages of an exchange. An event is sent when RabbitMQ has confirmed it and a queue has it: one that no
 * queue is bound for is refused, and one whose exchange is missing waits until somebody makes it.
 * @throws {RabbitAccessError} where the credentials cannot be right.
 */
export const openRabbitmqSink: OpenSink<RabbitmqSinkResource> = async ({ resource, credentials }, { clock }) => {
  const access = rabbitAccessOf(credentials, resource.spec.vhost)
  return new Sink(resource.spec, openRabbitOut(access, clock))
}

class Sink implements EventSink {
  readonly #spec: RabbitmqSinkResource['spec']
  readonly #out: RabbitOut

  constructor(spec: RabbitmqSinkResource['spec'], out: RabbitOut) {
    this.#spec = spec
    this.#out = out
  }

  async send(event: CloudEvent, signal: AbortSignal): Promise<Sent> {
    const message = toMessage(event, this.#spec)
    if (message.kind === 'unfit') return { kind: 'refused', reason: message.reason }
    const published = await this.#out.publish(message.message, signal)
    switch (published.kind) {
      case 'confirmed':
        return { kind: 'sent' }
      case 'unroutable':
        return { kind: 'refused', reason: `exchange ${JSON.stringify(this.#spec.exchange)}: ${published.reason}` }
      case 'unfit':
        return { kind: 'refused', reason: published.reason }
      case 'trouble':
        // Also where the server rejects it: that ends the channel, and every message on it hears the same.
        return { kind: 'again', reason: published.reason }
      default:
        return published satisfies never
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#out[Symbol.asyncDispose]()
  }
}
