import type { TriggerId } from '../../contract/ids.ts'
import type {
  Archive,
  ArchivedEvent,
  DeliveryPage,
  DeliveryQuery,
  EventPage,
  EventQuery,
  StoredDelivery,
  StoredEvent,
} from '../archive.ts'
import type { MemoryQueue, Retry } from './memory-queue.ts'
import { FRESH, Item } from './ready-queue.ts'
import { says } from './said.ts'

export interface MemoryArchiveDeps {
  readonly queues: () => Iterable<MemoryQueue>
  readonly retries: () => Iterable<Retry>
  readonly again: (queue: MemoryQueue, item: Item) => void
  readonly release: (item: Item) => void
  readonly onDue: (queue: MemoryQueue) => void
  readonly forget: (retries: ReadonlySet<Retry>) => void
}

interface Owed {
  readonly queue: MemoryQueue
  readonly item: Item
  readonly state: StoredDelivery['state']
  readonly dueMs: number | undefined
}

/** What a transient store has: events that are owed or parked, and no history. */
export class MemoryArchive implements Archive {
  readonly #deps: MemoryArchiveDeps

  constructor(deps: MemoryArchiveDeps) {
    this.#deps = deps
  }

  async events(query: EventQuery): Promise<EventPage> {
    const up = query.after !== undefined
    const all = [...this.#events().values()]
      .filter(event => (up ? event.seq > (query.after ?? 0) : event.seq < (query.before ?? Number.POSITIVE_INFINITY)))
      .filter(event => isWanted(event, query))
      .sort((a, b) => (up ? a.seq - b.seq : b.seq - a.seq))
    const events = all.slice(0, query.limit)
    return { events, next: all.length > events.length ? events.at(-1)?.seq : undefined }
  }

  async event(seq: number): Promise<StoredEvent | undefined> {
    const event = this.#events().get(seq)
    if (event === undefined) return undefined
    const owed = [...this.#owed()].filter(one => one.item.seq === seq)
    return { ...event, deliveries: owed.map(deliveryOf) }
  }

  async deliveries(query: DeliveryQuery): Promise<DeliveryPage> {
    const events = this.#events()
    const all = [...this.#owed()]
      .filter(({ queue, state, item }) => {
        return queue.trigger === query.trigger && state === query.state && item.seq > (query.after ?? 0)
      })
      .map(deliveryOf)
      .flatMap(delivery => {
        const event = events.get(delivery.seq)
        return event !== undefined && isWanted(event, query) && says(delivery, query.text)
          ? [{ ...delivery, event }]
          : []
      })
      .sort((a, b) => a.seq - b.seq)
    const deliveries = all.slice(0, query.limit)
    return { deliveries, next: all.length > deliveries.length ? deliveries.at(-1)?.seq : undefined }
  }

  async owe(trigger: TriggerId, seqs: readonly number[]): Promise<number> {
    const wanted = new Set(seqs)
    const retries = new Set<Retry>()
    let events = 0
    for (const owed of [...this.#owed()]) {
      const { queue, item, state } = owed
      if (queue.trigger !== trigger || !wanted.has(item.seq)) continue
      if (state === 'parked') queue.parked.splice(queue.parked.indexOf(item), 1)
      else if (state === 'retrying') {
        for (const retry of this.#deps.retries()) if (retry.item === item) retries.add(retry)
        queue.retrying--
      } else continue
      events++
      const again = new Item(trigger, item.held, FRESH)
      // A retry is the head of its key still.
      if (state === 'retrying') this.#deps.again(queue, again)
      else queue.pushAgain(again)
    }
    this.#deps.forget(retries)
    for (const queue of this.#deps.queues()) if (queue.trigger === trigger && events > 0) this.#deps.onDue(queue)
    return events
  }

  /** What nobody was owed is not kept. */
  async catchUp(): Promise<undefined> {
    return undefined
  }

  async caughtUp(): Promise<void> {}

  async discard(trigger: TriggerId, seqs: readonly number[]): Promise<number> {
    const wanted = new Set(seqs)
    let events = 0
    for (const queue of this.#deps.queues()) {
      if (queue.trigger !== trigger) continue
      for (const item of queue.parked.filter(one => wanted.has(one.seq))) {
        queue.parked.splice(queue.parked.indexOf(item), 1)
        queue.records.delete(item.seq)
        this.#deps.release(item)
        events++
      }
    }
    return events
  }

  #events(): Map<number, ArchivedEvent & { matched: TriggerId[] }> {
    const events = new Map<number, ArchivedEvent & { matched: TriggerId[] }>()
    for (const { queue, item } of this.#owed()) {
      const { seq, acceptedMs, event } = item
      const known = events.get(seq)
      if (known !== undefined) known.matched.push(queue.trigger)
      else events.set(seq, { seq, broker: queue.broker, acceptedMs, event, damaged: false, matched: [queue.trigger] })
    }
    return events
  }

  *#owed(): Iterable<Owed> {
    for (const queue of this.#deps.queues()) {
      const due = new Set(queue.ready.waitingItems())
      for (const item of queue.waitingItems()) {
        yield { queue, item, state: due.has(item) ? 'waiting' : 'blocked', dueMs: undefined }
      }
      for (const item of queue.ready.leases()) yield { queue, item, state: 'in-flight', dueMs: undefined }
      for (const item of queue.parked) yield { queue, item, state: 'parked', dueMs: undefined }
    }
    for (const { queue, item, dueMs } of this.#deps.retries()) yield { queue, item, state: 'retrying', dueMs }
  }
}

function deliveryOf({ queue, item, state, dueMs }: Owed): StoredDelivery {
  const { trigger, seq, stage, attempt, failure } = item
  return { trigger, seq, state, stage, attempt, dueMs, failure, attempts: queue.records.get(seq) ?? [] }
}

type Wanted = Pick<EventQuery, 'broker' | 'id' | 'source' | 'type' | 'subject' | 'sinceMs' | 'untilMs'>

function isWanted({ broker, acceptedMs, event }: ArchivedEvent, query: Wanted): boolean {
  if (query.broker !== undefined && broker !== query.broker) return false
  if (acceptedMs < (query.sinceMs ?? 0) || acceptedMs >= (query.untilMs ?? Number.POSITIVE_INFINITY)) return false
  const names = ['id', 'source', 'type', 'subject'] as const
  return names.every(name => query[name] === undefined || event.attributes[name] === query[name])
}
