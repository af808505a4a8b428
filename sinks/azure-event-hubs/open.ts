import { hubAccessOf } from '../../clients/azure-event-hubs/access.ts'
import { type HubOut, openHubOut } from '../../clients/azure-event-hubs/out.ts'
import type { AzureEventHubsSinkResource } from '../../crds/azure-event-hubs-sink.ts'
import { writeAmqp } from '../../event/amqp.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { EventSink, OpenSink, Sent } from '../sink.ts'

/**
 * Events go into a hub of Azure Event Hubs by the AMQP binding of CloudEvents. Those with the same `partitionkey` go to the
 * same partition.
 * @throws {EventHubsAccessError} where the credentials cannot be right.
 */
export const openEventHubsSink: OpenSink<AzureEventHubsSinkResource> = async ({ resource, credentials }, { clock }) => {
  return new Sink(resource.spec, openHubOut(hubAccessOf(resource.spec, credentials), clock))
}

/** The service takes no longer ones. */
const PARTITION_KEY_MAX = 128

class Sink implements EventSink {
  readonly #spec: AzureEventHubsSinkResource['spec']
  readonly #out: HubOut

  constructor(spec: AzureEventHubsSinkResource['spec'], out: HubOut) {
    this.#spec = spec
    this.#out = out
  }

  async send(event: CloudEvent, signal: AbortSignal): Promise<Sent> {
    const partitionKey = event.attributes.partitionkey
    if (partitionKey !== undefined && partitionKey.length > PARTITION_KEY_MAX)
      return { kind: 'refused', reason: `its partitionkey is longer than ${PARTITION_KEY_MAX} characters` }
    const published = await this.#out.publish({ partitionKey, ...writeAmqp(event, this.#spec.contentMode) }, signal)
    switch (published.kind) {
      case 'confirmed':
        return { kind: 'sent' }
      case 'too-large':
        return { kind: 'refused', reason: `it is larger than ${this.#out.url} takes` }
      case 'trouble':
        return { kind: 'again', reason: published.reason }
      default:
        return published satisfies never
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#out[Symbol.asyncDispose]()
  }
}
