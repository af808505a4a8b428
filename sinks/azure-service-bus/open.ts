import { busAccessOf } from '../../clients/azure-service-bus/access.ts'
import { type BusOut, openBusOut } from '../../clients/azure-service-bus/out.ts'
import type { AzureServiceBusSinkResource } from '../../crds/azure-service-bus-sink.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { EventSink, OpenSink, Sent } from '../sink.ts'
import { toMessage } from './to-message.ts'

/**
 * Events become messages of a queue or topic of Azure Service Bus. An event is sent when the service has confirmed it; one
 * whose queue is missing waits until somebody makes it.
 * @throws {ServiceBusAccessError} where the credentials cannot be right.
 */
export const openServiceBusSink: OpenSink<AzureServiceBusSinkResource> = async ({ resource, credentials }, { clock }) =>
  new Sink(resource.spec, openBusOut(busAccessOf(resource.spec, credentials), clock))

class Sink implements EventSink {
  readonly #spec: AzureServiceBusSinkResource['spec']
  readonly #out: BusOut

  constructor(spec: AzureServiceBusSinkResource['spec'], out: BusOut) {
    this.#spec = spec
    this.#out = out
  }

  async send(event: CloudEvent, signal: AbortSignal): Promise<Sent> {
    const written = toMessage(event, this.#spec)
    if (written.kind === 'unfit') return { kind: 'refused', reason: written.reason }
    const done = await this.#out.send(written.message, signal)
    if (done.kind === 'sent') return { kind: 'sent' }
    return { kind: done.what === 'too-large' ? 'refused' : 'again', reason: done.reason }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#out[Symbol.asyncDispose]()
  }
}
