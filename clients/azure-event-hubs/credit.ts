import assert from 'node:assert/strict'
import type { EventHubConsumerClient } from '@azure/event-hubs'

/** What is used of the client's inside; all of it is looked at before it is relied on. */
interface Context {
  connection: Connection
}
interface Connection {
  createReceiver(options: unknown): Promise<Receiver>
}
interface Receiver {
  /** Events that the other side may send. */
  readonly credit: number
  addCredit(credit: number): void
}

/**
 * Keeps a client from fetching without end. For each batch it is asked for, the client (6.0.4) grants the hub as many events
 * as it wants to have ahead, on top of all that it has granted before; behind a slow sink a whole hub would come into memory.
 * From here on its word counts as how many may be on their way in all.
 */
export function limitCredit(client: EventHubConsumerClient): void {
  const context = (client as unknown as { readonly _context?: Partial<Context> })._context
  assert(typeof context?.connection?.createReceiver === 'function', 'the client of Event Hubs is built otherwise')
  let current = limited(context.connection)
  // After a break the client makes itself a new one.
  Object.defineProperty(context, 'connection', {
    get: () => current,
    set: (next: Connection) => {
      current = limited(next)
    },
  })
}

function limited(connection: Connection): Connection {
  const create = connection.createReceiver.bind(connection)
  connection.createReceiver = async options => {
    const receiver = await create(options)
    const add = receiver.addCredit.bind(receiver)
    receiver.addCredit = wanted => {
      const more = wanted - receiver.credit
      if (more > 0) add(more)
    }
    return receiver
  }
  return connection
}
