import assert from 'node:assert/strict'
import { after } from 'node:test'
import { ServiceBusClient } from '@azure/service-bus'
import type { AdapterJob } from '../../../adapters/registry.ts'
import { adapterConformance, type Upstream } from '../../conformance/adapter.ts'
import { openServiceBus, type ServiceBusServer } from '../../servers/service-bus.ts'
import { sourceOf } from './source.ts'

const LEASE_MS = 2_000
const QUEUE = 'orders'

const closing = new AsyncDisposableStack()
after(async () => {
  await closing.disposeAsync()
  // The client lets go of its timers only after a minute; nothing of ours is open any more.
  setTimeout(() => process.exit(), 500).unref()
})

class Queue implements Upstream {
  readonly #server: ServiceBusServer
  readonly #client: ServiceBusClient
  readonly #sessions: readonly string[]
  readonly steal: Upstream['steal']
  readonly crash: Upstream['crash']

  constructor(server: ServiceBusServer, sessions: readonly string[]) {
    this.#server = server
    this.#sessions = sessions
    this.#client = new ServiceBusClient(server.connectionString, { retryOptions: { retryDelayInMs: 100 } })
    this.steal = sessions.length > 0 ? undefined : () => this.#steal()
    this.crash = { kill: () => server.kill(), start: () => server.start() }
    closing.use(server)
    closing.defer(() => this.#client.close())
  }

  job(sinkUrl: string, deadLetterUrl?: string): AdapterJob {
    return {
      source: sourceOf({ sessions: { enabled: this.#sessions.length > 0, maxConcurrent: 8 } }),
      credentials: { connectionString: this.#server.connectionString },
      sink: { url: sinkUrl, takesBatches: false },
      deadLetterSink: deadLetterUrl === undefined ? undefined : { url: deadLetterUrl },
    }
  }

  async put(texts: readonly string[]): Promise<string[]> {
    const sender = this.#client.createSender(QUEUE)
    const ids: string[] = []
    for (const [i, text] of texts.entries()) {
      const sessionId = this.#sessions[i % this.#sessions.length]
      await sender.sendMessages({ body: Buffer.from(text), ...(sessionId !== undefined && { sessionId }) })
      ids.push(String(this.#server.entity(QUEUE).lastSequence()))
    }
    await sender.close()
    return ids
  }

  async owed(): Promise<number> {
    return this.#server.entity(QUEUE).active()
  }

  async aside(): Promise<string[]> {
    return this.#server.texts(`${QUEUE}/$DeadLetterQueue`)
  }

  async remove(): Promise<void> {
    this.#server.remove(QUEUE)
  }

  async make(): Promise<void> {
    this.#server.create(QUEUE, { lockMs: LEASE_MS, sessions: this.#sessions.length > 0 })
  }

  async #steal(): Promise<string | undefined> {
    const receiver = this.#client.createReceiver(QUEUE, { receiveMode: 'receiveAndDelete' })
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 200 })
    await receiver.close()
    return message?.sequenceNumber?.toString()
  }
}

async function open(sessions: readonly string[]): Promise<Queue> {
  const server = await openServiceBus()
  const queue = new Queue(server, sessions)
  await queue.make()
  assert.equal(await queue.owed(), 0)
  return queue
}

const each = { leaseMs: LEASE_MS } as const
const customers = ['ann', 'bob', 'cat', 'dan', 'eve']

adapterConformance({
  ...each,
  name: 'Azure Service Bus queue',
  parallelism: 16,
  ordered: false,
  open: () => open([]),
})
adapterConformance({
  ...each,
  name: 'Azure Service Bus sessions',
  parallelism: 8,
  ordered: true,
  open: () => open(customers),
})
