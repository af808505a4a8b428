import type { ConfirmChannel, Options } from 'amqplib'
import type { AdapterJob } from '../../../adapters/registry.ts'
import type { Upstream } from '../../conformance/adapter.ts'
import { type Rabbitmq, testChannel, uniqueName } from '../../servers/rabbitmq.ts'
import { sourceOf } from './source.ts'

/** The server counts every 250 ms. */
const STABLE_MS = 700
const PATIENCE_MS = 10_000

/** One queue of a real server, as the promises of adapters ask for it. */
export class TestQueue implements Upstream {
  readonly name: string
  readonly aside: Upstream['aside']
  readonly crash: Upstream['crash']
  readonly server: Rabbitmq
  readonly #options: Options.AssertQueue
  readonly #parallelism: number
  #messages = 0

  constructor(
    server: Rabbitmq,
    settings: {
      readonly queue?: Options.AssertQueue
      readonly parallelism?: number
      readonly crash?: Upstream['crash']
    } = {},
  ) {
    const { queue = {}, parallelism = 16, crash } = settings
    this.server = server
    this.name = uniqueName()
    this.crash = crash
    this.#parallelism = parallelism
    const { arguments: own = { 'x-queue-type': 'quorum' } } = queue
    // Nobody takes them away: they go when nobody has used them for a while.
    const expires = own['x-queue-type'] === 'stream' ? {} : { 'x-expires': 600_000 }
    this.#options = { durable: true, ...queue, arguments: { ...expires, ...own } }
    this.aside = this.#options.deadLetterExchange === undefined ? undefined : () => this.#dead()
  }

  async make(): Promise<void> {
    await this.use(async channel => {
      const { deadLetterExchange } = this.#options
      if (deadLetterExchange !== undefined) {
        await channel.assertExchange(deadLetterExchange, 'fanout', { durable: true, autoDelete: true })
        await channel.assertQueue(`${this.name}-dead`, { durable: true, arguments: { 'x-expires': 600_000 } })
        await channel.bindQueue(`${this.name}-dead`, deadLetterExchange, '')
      }
      await channel.assertQueue(this.name, this.#options)
    })
  }

  async remove(): Promise<void> {
    await this.use(channel => channel.deleteQueue(this.name))
  }

  async put(texts: readonly string[]): Promise<string[]> {
    const ids = texts.map(() => `m-${this.name}-${++this.#messages}`)
    await this.use(async channel => {
      for (const [i, text] of texts.entries()) {
        const options = { messageId: ids[i] ?? '', persistent: true }
        channel.sendToQueue(this.name, Buffer.from(text), options)
      }
      await channel.waitForConfirms()
    })
    return ids
  }

  job(sinkUrl: string, deadLetterUrl?: string): AdapterJob {
    return {
      source: sourceOf(this.name, { parallelism: this.#parallelism }),
      credentials: this.server.credentials,
      sink: { url: sinkUrl, takesBatches: false },
      deadLetterSink: deadLetterUrl === undefined ? undefined : { url: deadLetterUrl },
    }
  }

  /** The server tells of messages that are held a moment later: an answer counts once it has been the same for a while. */
  async owed(): Promise<number> {
    const untilMs = performance.now() + PATIENCE_MS
    let last = await this.#count()
    let sinceMs = performance.now()
    while (performance.now() - sinceMs < STABLE_MS && performance.now() < untilMs) {
      await new Promise(resolve => setTimeout(resolve, 100))
      const now = await this.#count()
      if (now !== last) sinceMs = performance.now()
      last = now
    }
    return last
  }

  async steal(): Promise<string | undefined> {
    return this.use(async channel => {
      const message = await channel.get(this.name, { noAck: true })
      return message === false ? undefined : message.properties.messageId
    })
  }

  async use<T>(work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
    await using opened = await testChannel(this.server)
    return await work(opened.channel)
  }

  async #count(): Promise<number> {
    const query = `disable_stats=true&enable_queue_totals=true&page=1&page_size=10&name=${this.name}`
    const headers = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` }
    const response = await fetch(`http://127.0.0.1:${this.server.port + 10_000}/api/queues/%2F?${query}`, { headers })
    const { items } = (await response.json()) as {
      readonly items: { readonly name: string; readonly messages: number }[]
    }
    return items.find(one => one.name === this.name)?.messages ?? 0
  }

  async #dead(): Promise<string[]> {
    return this.use(async channel => {
      const texts: string[] = []
      for (;;) {
        const message = await channel.get(`${this.name}-dead`, { noAck: true })
        if (message === false) return texts
        texts.push(message.content.toString())
      }
    })
  }
}
