import { Kafka, logLevel, type Producer } from 'kafkajs'
import { makeTopic } from '../../clients/kafka/make-topic.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { Wish } from './tally.ts'

/** The topic that `coffeeshop.yaml` reads. */
export const TOPIC = 'coffeeshop-orders'
const PARTITIONS = 4
const CUSTOMERS = ['ann', 'bob', 'cem', 'dia', 'eva', 'fay', 'gil', 'hal']
const COFFEES = ['espresso', 'cortado', 'flat white', 'filter']
/** Every so many orders one is cancelled right after it was made. */
const CANCELLED_EVERY = 5

/** What the customers of a day of `orders` want, in order. Pure. */
export function wishesOf(orders: number): Wish[] {
  return Array.from({ length: orders }, (_, i) => i + 1).flatMap(n => {
    const order = String(n)
    const customer = CUSTOMERS[n % CUSTOMERS.length] ?? ''
    const made: Wish = { type: 'order.made', order, customer }
    return n % CANCELLED_EVERY === 0 ? [made, { ...made, type: 'order.cancelled' }] : [made]
  })
}

function dataOf({ order, customer }: Wish): string {
  return JSON.stringify({ order, customer, coffee: COFFEES[Number(order) % COFFEES.length] })
}

/** Orders by plain HTTP: once, as most programs do. @returns whether the barista served it. */
export async function orderByHttp(barista: string, wish: Wish): Promise<boolean> {
  try {
    const response = await fetch(barista, { method: 'POST', body: dataOf(wish) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

/** Orders by event: a CloudEvent on a Kafka topic (CloudEvents Kafka binding §3.2), its key the customer. */
export class EventShop implements AsyncDisposable {
  readonly #producer: Producer

  private constructor(producer: Producer) {
    this.#producer = producer
  }

  /** Makes the topic anew: what a day before has left on it is gone. */
  static async open(bootstrap: string): Promise<EventShop> {
    const kafka = new Kafka({
      clientId: 'coffeeshop',
      brokers: [bootstrap],
      logLevel: logLevel.NOTHING,
      retry: { retries: 4 },
    })
    const admin = kafka.admin()
    await admin.connect()
    if ((await admin.listTopics()).includes(TOPIC)) await admin.deleteTopics({ topics: [TOPIC] })
    await admin.deleteGroups(['coffeeshop']).catch(() => {})
    // A topic that was just deleted may still be there for a moment.
    while ((await admin.listTopics()).includes(TOPIC)) await new Promise(resolve => setTimeout(resolve, 250))
    await makeTopic(admin, { topic: TOPIC, numPartitions: PARTITIONS }, systemClock, AbortSignal.timeout(30_000))
    await admin.disconnect()
    const producer = kafka.producer({ allowAutoTopicCreation: false })
    await producer.connect()
    return new EventShop(producer)
  }

  async order(wish: Wish): Promise<void> {
    const headers = {
      ce_specversion: '1.0',
      ce_id: `${wish.type}-${wish.order}`,
      ce_source: '/shop',
      ce_type: wish.type,
      ce_subject: wish.order,
      ce_partitionkey: wish.customer,
      'content-type': 'application/json',
    }
    await this.#producer.send({ topic: TOPIC, messages: [{ key: wish.customer, value: dataOf(wish), headers }] })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#producer.disconnect()
  }
}
