import { after, before } from 'node:test'
import { ContainerClient } from '@azure/storage-blob'
import type { AdapterJob } from '../../../adapters/registry.ts'
import { adapterConformance, type Upstream } from '../../conformance/adapter.ts'
import { type Azurite, openAzurite } from '../../servers/azurite.ts'
import { type EventHubsServer, openEventHubs } from '../../servers/event-hubs.ts'
import { sourceOf } from './source.ts'

const PARTITIONS = 3
const LEASE_MS = 3_000
let hubs: EventHubsServer
let blobs: Azurite
let count = 0
before(async () => {
  hubs = await openEventHubs()
  blobs = await openAzurite(0, 'blob')
})
after(async () => {
  await hubs[Symbol.asyncDispose]()
  await blobs[Symbol.asyncDispose]()
})

class Hub implements Upstream {
  /** A log has no place for what nobody takes. */
  readonly aside = undefined
  readonly steal = undefined
  readonly name = `hub-${++count}`
  readonly crash = { kill: () => hubs.kill(), start: () => hubs.start() }
  readonly #container = new ContainerClient(blobs.connectionString, this.name)

  async make(): Promise<void> {
    hubs.make(this.name, PARTITIONS)
  }

  async remove(): Promise<void> {
    hubs.remove(this.name)
  }

  async put(texts: readonly string[]): Promise<string[]> {
    return texts.map((text, i) => {
      const partition = i % PARTITIONS
      return `partition:${partition}/sequencenumber:${hubs.put(this.name, partition, text)}`
    })
  }

  job(sinkUrl: string, deadLetterUrl?: string): AdapterJob {
    const { checkpoint } = sourceOf().spec
    return {
      source: sourceOf({
        eventHubName: this.name,
        ownershipTimeoutMs: LEASE_MS,
        checkpoint: { ...checkpoint, containerName: this.name },
      }),
      credentials: {
        connectionString: hubs.connectionString,
        checkpointConnectionString: blobs.connectionString,
      },
      sink: { url: sinkUrl, takesBatches: false },
      deadLetterSink: deadLetterUrl === undefined ? undefined : { url: deadLetterUrl },
    }
  }

  /** By the blobs as anybody sees them, not by our own reader. */
  async owed(): Promise<number> {
    const done = new Map<number, number>()
    const prefix = `127.0.0.1:${hubs.port}/${this.name}/$default/checkpoint/`
    if (await this.#container.exists())
      for await (const { name, metadata } of this.#container.listBlobsFlat({ prefix, includeMetadata: true }))
        done.set(Number(name.slice(prefix.length)), Number(metadata?.sequencenumber))
    const waiting = [0, 1, 2].map(one => hubs.kept(this.name, one).length - 1 - (done.get(one) ?? -1))
    return waiting.reduce((sum, one) => sum + one, 0)
  }
}

adapterConformance({
  name: 'Azure Event Hubs',
  leaseMs: LEASE_MS,
  parallelism: 100,
  ordered: true,
  open: async () => {
    const hub = new Hub()
    await hub.make()
    return hub
  },
})
