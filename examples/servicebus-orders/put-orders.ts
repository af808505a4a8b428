import { ServiceBusClient, type ServiceBusMessage } from '@azure/service-bus'

export const QUEUE = 'orders'
const BATCH = 50

/** Two messages of `customer`, as CloudEvents in binary mode (CloudEvents AMQP binding §3.1): an order made, and cancelled. */
export function ordersOf(customer: string, order: number): readonly ServiceBusMessage[] {
  return ['made', 'cancelled'].map(what => ({
    sessionId: customer,
    contentType: 'application/json',
    body: Buffer.from(JSON.stringify({ order })),
    applicationProperties: {
      cloudEvents_specversion: '1.0',
      cloudEvents_id: `${customer}-${order}-${what}`,
      cloudEvents_source: '/shop',
      cloudEvents_type: `com.example.order.${what}`,
    },
  }))
}

/** Puts `orders` orders of each customer on the queue, those of different customers among each other. */
export async function putOrders(connectionString: string, customers: number, orders: number): Promise<void> {
  const client = new ServiceBusClient(connectionString)
  try {
    const sender = client.createSender(QUEUE)
    const messages: ServiceBusMessage[] = []
    for (let order = 1; order <= orders; order++) {
      for (let customer = 1; customer <= customers; customer++)
        messages.push(...ordersOf(`customer-${customer}`, order))
    }
    for (let at = 0; at < messages.length; at += BATCH) await sender.sendMessages(messages.slice(at, at + BATCH))
  } finally {
    await client.close()
  }
}
