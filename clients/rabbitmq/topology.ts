import type { Link } from './link.ts'

/** What is to be there before anything is consumed. */
export interface Wanted {
  readonly queue: string
  /** Undefined: nothing is made, the queue is used as it is. */
  readonly exchange: string | undefined
}

export interface QueueSeen {
  readonly kind: 'queue'
  /** Waiting; what consumers hold is not counted. */
  readonly ready: number
}

/**
 * Looks at a queue. On a channel of its own: the server closes the channel where the queue is missing.
 * @throws what the library throws.
 */
export async function seeQueue(link: Link, queue: string): Promise<QueueSeen> {
  const channel = await link.channel()
  const { messageCount } = await channel.checkQueue(queue)
  await channel.close()
  return { kind: 'queue', ready: messageCount }
}

/**
 * Makes what is missing of exchange, queue and binding, as the RabbitMQ topology operator is asked to by Knative's source: a
 * durable `headers` exchange, a durable quorum queue, and a binding with an empty key, which passes every message. What is
 * there already is taken as it is.
 * @throws what the library throws.
 */
export async function prepare(link: Link, { queue, exchange }: Wanted): Promise<void> {
  if (exchange === undefined) return void (await seeQueue(link, queue))
  const exchangeThere = await isThere(link, channel => channel.checkExchange(exchange))
  const queueThere = await isThere(link, channel => channel.checkQueue(queue))
  const channel = await link.channel()
  if (!exchangeThere) await channel.assertExchange(exchange, 'headers', { durable: true })
  if (!queueThere) await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  if (exchange !== '') await channel.bindQueue(queue, exchange, '')
  await channel.close()
}

const NOT_FOUND = 404

type Channel = Awaited<ReturnType<Link['channel']>>

async function isThere(link: Link, look: (channel: Channel) => Promise<unknown>): Promise<boolean> {
  const channel = await link.channel()
  try {
    await look(channel)
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === NOT_FOUND) return false
    throw error
  }
  await channel.close()
  return true
}
