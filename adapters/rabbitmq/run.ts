import { type RabbitAccess, rabbitAccessOf } from '../../clients/rabbitmq/access.ts'
import {
  type ConsumerOptions,
  openConsumer,
  type RabbitConsumer,
  type RabbitDelivery,
} from '../../clients/rabbitmq/consumer.ts'
import type { Trouble } from '../../clients/rabbitmq/outcome.ts'
import { trouble } from '../../clients/trouble.ts'
import type { RabbitmqSourceResource } from '../../crds/rabbitmq-source.ts'
import { sleep } from '../../runtime/clock.ts'
import type { AdapterDeps, RunAdapter } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import { DeadLetterExchange } from './dead-letters.ts'
import { Deliveries } from './deliveries.ts'
import { randomId } from './to-event.ts'

/** A connection that failed is opened again in this rhythm. */
const TROUBLE: Backoff = { minMs: 500, maxMs: 30_000 }

/**
 * The messages of a RabbitMQ queue become events, at least once, up to `parallelism` at a time. A message is acknowledged
 * when somebody has taken its event. The connection, the channel and what the source declares are made again as often as
 * they are lost.
 * @throws {RabbitAccessError} where the credentials cannot be right.
 */
export const runRabbitmq: RunAdapter<RabbitmqSourceResource> = async ({ source, credentials }, deps, signal) => {
  const access = rabbitAccessOf(credentials, source.spec.rabbitmqResourcesConfig.vhost)
  await new Runner(source, access, deps).run(signal)
}

class Runner {
  readonly #access: RabbitAccess
  readonly #options: ConsumerOptions
  readonly #deps: AdapterDeps
  readonly #deliveries: Deliveries
  #failures = 0

  constructor(source: RabbitmqSourceResource, access: RabbitAccess, deps: AdapterDeps) {
    const { queueName: queue, exchangeName, predeclared, parallelism } = source.spec.rabbitmqResourcesConfig
    this.#access = access
    this.#options = { queue, exchange: predeclared ? undefined : exchangeName, prefetch: parallelism }
    this.#deps = deps
    const { namespace, name } = source.metadata
    const from = {
      source: `/apis/v1/namespaces/${namespace}/rabbitmqsources/${name}#${encodeURIComponent(queue)}`,
      newId: () => randomId(deps.random),
      extensions: source.spec.extensions,
    }
    const deadLetters = new DeadLetterExchange(access, queue, deps.clock)
    this.#deliveries = new Deliveries({ queue, from, deadLetters }, deps)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps
    const stop = AbortSignal.any([signal, this.#deliveries.broken])
    const stopped = new Promise<undefined>(resolve => {
      const stopping = () => {
        this.#deliveries.limitDrain()
        resolve(undefined)
      }
      if (stop.aborted) stopping()
      else stop.addEventListener('abort', stopping, { once: true })
    })
    while (!stop.aborted) {
      const why = await this.#consume(stop, stopped)
      if (why === undefined) break
      log.warn({ queue: this.#options.queue, reason: why.reason }, 'a queue cannot be consumed')
      this.#deliveries.tellConnection(why)
      await sleep(clock, backoffMs(this.#failures++, TROUBLE, random), stop).catch(() => {})
    }
    await this.#deliveries.settled()
    this.#deliveries.broken.throwIfAborted()
  }

  /** One connection, from its beginning to its end. @returns undefined when it is told to stop. */
  async #consume(stop: AbortSignal, stopped: Promise<undefined>): Promise<Trouble | undefined> {
    const session = new AbortController()
    const stream = Promise.withResolvers<Trouble>()
    const take = (delivery: RabbitDelivery) => {
      if (delivery.inStream) stream.resolve(streamTrouble(this.#options.queue))
      else this.#deliveries.take(delivery, session.signal)
    }
    const consumer = await openConsumer(this.#access, this.#options, take, this.#deps.clock, stop).catch(
      (error: unknown) => {
        if (stop.aborted) return undefined
        throw error
      },
    )
    if (consumer === undefined || consumer.kind === 'trouble') {
      session.abort(new Error('the connection is lost'))
      return consumer
    }
    this.#failures = 0
    this.#deliveries.tellConnection(undefined)
    const why = await Promise.race([consumer.ended, stream.promise, stopped])
    await this.#leave(consumer, session, why)
    return why
  }

  async #leave(consumer: RabbitConsumer, session: AbortController, why: Trouble | undefined): Promise<void> {
    if (why === undefined) {
      await this.#deliveries.orTooLate(consumer.stop())
      await this.#deliveries.settled()
      session.abort(new Error('the connection is over'))
      return consumer.close()
    }
    // What was held of a deleted queue is nowhere else any more: it is finished, while the queue is looked for again.
    if (why.what === 'missing') return void this.#finish(consumer, session)
    session.abort(new Error('the connection is lost'))
    await consumer.close()
  }

  /** Never rejects. */
  async #finish(consumer: RabbitConsumer, session: AbortController): Promise<void> {
    await this.#deliveries.settled(session.signal)
    session.abort(new Error('the connection is over'))
    await consumer.close()
  }
}

function streamTrouble(queue: string): Trouble {
  const what = `the queue ${JSON.stringify(queue)} is a stream, which keeps no position for its readers`
  return trouble('rejected', `${what}: that is not supported, use a quorum or a classic queue`)
}
