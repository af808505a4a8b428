/** The promises of the adapter against a real namespace: `WEIR_SERVICE_BUS=<connection string with the right to manage>`. */
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus'
import type { AdapterJob } from '../../../adapters/registry.ts'
import { openBus } from '../../../clients/azure-service-bus/bus.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { adapterConformance, type Upstream } from '../../conformance/adapter.ts'
import { sourceOf } from './source.ts'

const connectionString = process.env.WEIR_SERVICE_BUS ?? ''
/** The shortest that the service allows. */
const LEASE_MS = 5_000
const signal = new AbortController().signal
const closing = new AsyncDisposableStack()
after(() => closing.disposeAsync())

class RealQueue implements Upstream {
  /** Nobody can kill it. */
  readonly crash = undefined
  readonly #name = `weir-test-${randomUUID()}`
  readonly #sessions: readonly string[]
  readonly #admin = new ServiceBusAdministrationClient(connectionString)
  readonly #client = new ServiceBusClient(connectionString)
  readonly steal: Upstream['steal']

  constructor(sessions: readonly string[]) {
    this.#sessions = sessions
    this.steal = sessions.length > 0 ? undefined : () => this.#steal()
    closing.defer(() => this.#client.close())
    closing.defer(() => this.remove().catch(() => {}))
  }

  job(sinkUrl: string, deadLetterUrl?: string): AdapterJob {
    const sessions = { enabled: this.#sessions.length > 0, maxConcurrent: 8 }
    return {
      source: sourceOf({ queueName: this.#name, sessions, idFrom: 'messageId' }),
      credentials: { connectionString },
      sink: { url: sinkUrl, takesBatches: false },
      deadLetterSink: deadLetterUrl === undefined ? undefined : { url: deadLetterUrl },
    }
  }

  async put(texts: readonly string[]): Promise<string[]> {
    const sender = this.#client.createSender(this.#name)
    const messages = texts.map((text, i) => {
      const sessionId = this.#sessions[i % this.#sessions.length]
      return { body: Buffer.from(text), messageId: randomUUID(), ...(sessionId !== undefined && { sessionId }) }
    })
    await sender.sendMessages(messages)
    await sender.close()
    return messages.map(one => one.messageId)
  }

  async owed(): Promise<number> {
    await using bus = openBus({ connectionString, entity: this.#name }, systemClock)
    return await bus.peekCount(1_000, signal)
  }

  async aside(): Promise<string[]> {
    const options = { subQueueType: 'deadLetter', skipParsingBodyAsJson: true } as const
    const receiver = this.#client.createReceiver(this.#name, { ...options, receiveMode: 'receiveAndDelete' })
    const messages = await receiver.receiveMessages(32, { maxWaitTimeInMs: 3_000 })
    await receiver.close()
    return messages.map(one => String(one.body))
  }

  async remove(): Promise<void> {
    await this.#admin.deleteQueue(this.#name)
  }

  async make(): Promise<void> {
    const requiresSession = this.#sessions.length > 0
    await this.#admin.createQueue(this.#name, { lockDuration: 'PT5S', requiresSession, maxDeliveryCount: 50 })
  }

  async #steal(): Promise<string | undefined> {
    const receiver = this.#client.createReceiver(this.#name, { receiveMode: 'receiveAndDelete' })
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 1_000 })
    await receiver.close()
    return message?.messageId?.toString()
  }
}

async function open(sessions: readonly string[]): Promise<RealQueue> {
  const queue = new RealQueue(sessions)
  await queue.make()
  return queue
}

if (connectionString === '') {
  const skip = 'WEIR_SERVICE_BUS is not set: give the connection string of a namespace, with the right to manage'
  test('Azure Service Bus, a real namespace', { skip }, () => {})
} else {
  const each = { leaseMs: LEASE_MS } as const
  adapterConformance({ ...each, name: 'Azure, queue', parallelism: 16, ordered: false, open: () => open([]) })
  adapterConformance({
    ...each,
    name: 'Azure, sessions',
    parallelism: 8,
    ordered: true,
    open: () => open(['a', 'b', 'c']),
  })
}
