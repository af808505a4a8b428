import type { TriggerId } from '../../../contract/ids.ts'
import { noAttributes } from '../../../event/attributes.ts'
import { eventOf } from '../../../event/stored.ts'
import type {
  Archive,
  ArchivedEvent,
  CatchUp,
  DeliveryPage,
  DeliveryQuery,
  EventPage,
  EventQuery,
  StoredDelivery,
  StoredEvent,
} from '../../archive.ts'
import { StoreFullError } from '../../store.ts'
import type { Answer, Ask, DeliveryRow, EventRow } from './archive-protocol.ts'
import { BLOCKED, PARKED, RETRYING, WAITING } from './protocol.ts'
import type { SqliteQueue } from './queue.ts'
import type { Queues } from './queues.ts'

/** Seqs that are made due, or discarded, in one slice. */
const SLICE = 500

export interface ArchiveDeps {
  readonly queues: Queues
  /** Asks behind everything that was settled so far. @throws {StoreFailedError} */
  readonly ask: (ask: Ask) => Promise<Answer>
  readonly nowMs: () => number
  /** The last seq that was given to an event. */
  readonly lastSeq: () => number
  /** Its rows changed; something may be due. */
  readonly onDue: (queue: SqliteQueue) => void
}

export function openArchive(deps: ArchiveDeps): Archive {
  return new SqliteArchive(deps)
}

/** The archive of the durable store, as the broker's thread sees it. */
class SqliteArchive implements Archive {
  readonly #deps: ArchiveDeps

  constructor(deps: ArchiveDeps) {
    this.#deps = deps
  }

  async events(query: EventQuery): Promise<EventPage> {
    const { ask, queues } = this.#deps
    const broker = query.broker === undefined ? undefined : queues.brokerKey(query.broker)
    if (query.broker !== undefined && broker === undefined) return { events: [], next: undefined }
    const found: ArchivedEvent[] = []
    let from = query.after ?? query.before ?? Number.MAX_SAFE_INTEGER
    for (;;) {
      const left = { ...query, limit: query.limit - found.length }
      const answer = await ask({ kind: 'events', query: left, broker, from })
      if (answer.kind !== 'events') return { events: found, next: undefined }
      found.push(...answer.events.map(row => this.#event(row)))
      if (answer.to === undefined || found.length >= query.limit) return { events: found, next: answer.to }
      from = answer.to
    }
  }

  async event(seq: number): Promise<StoredEvent | undefined> {
    const answer = await this.#deps.ask({ kind: 'event', seq })
    if (answer.kind !== 'event' || answer.event === undefined) return undefined
    const deliveries = answer.deliveries.flatMap(row => this.#delivery(row) ?? [])
    return { ...this.#event(answer.event), deliveries }
  }

  async deliveries(query: DeliveryQuery): Promise<DeliveryPage> {
    const { ask, queues } = this.#deps
    const trigger = queues.find(query.trigger)?.key
    const found: DeliveryPage['deliveries'][number][] = []
    let from = query.after ?? 0
    for (;;) {
      if (trigger === undefined) return { deliveries: [], next: undefined }
      const left = { ...query, limit: query.limit - found.length }
      const answer = await ask({ kind: 'deliveries', query: left, trigger, from })
      if (answer.kind !== 'deliveries') return { deliveries: found, next: undefined }
      for (const [i, row] of answer.deliveries.entries()) {
        const event = answer.events[i]
        const delivery = this.#delivery(row)
        if (event !== undefined && delivery !== undefined) found.push({ ...delivery, event: this.#event(event) })
      }
      if (answer.to === undefined || found.length >= query.limit) return { deliveries: found, next: answer.to }
      from = answer.to
    }
  }

  async owe(trigger: TriggerId, seqs: readonly number[]): Promise<number> {
    const { ask, nowMs, queues, onDue } = this.#deps
    let events = 0
    for (const slice of slices(seqs)) {
      const queue = queues.find(trigger)
      if (queue === undefined) break
      const busy = new Set(Array.from(queue.items(), item => item.seq))
      const answer = await ask({ kind: 'owe', trigger: queue.key, seqs: slice, busy, nowMs: nowMs() })
      if (answer.kind === 'full') throw new StoreFullError('The disk is full: not all was made due.')
      if (answer.kind !== 'owed') break
      events += answer.events
      queue.owed(answer, nowMs())
      onDue(queue)
    }
    return events
  }

  async catchUp(trigger: TriggerId): Promise<CatchUp | undefined> {
    const { ask, lastSeq, queues } = this.#deps
    const key = queues.find(trigger)?.key
    if (key === undefined) return undefined
    const answer = await ask({ kind: 'catch-up', trigger: key, to: lastSeq() })
    if (answer.kind === 'full') throw new StoreFullError('The disk is full: it cannot be said where a Trigger begins.')
    return answer.kind === 'catch-up' ? answer.catchUp : undefined
  }

  async caughtUp(trigger: TriggerId, seq: number): Promise<void> {
    const { ask, queues } = this.#deps
    const key = queues.find(trigger)?.key
    const answer = key === undefined ? undefined : await ask({ kind: 'caught-up', trigger: key, seq })
    if (answer?.kind === 'full') throw new StoreFullError('The disk is full: it cannot be said how far a Trigger is.')
  }

  async discard(trigger: TriggerId, seqs: readonly number[]): Promise<number> {
    const { ask, nowMs, queues } = this.#deps
    let events = 0
    for (const slice of slices(seqs)) {
      const queue = queues.find(trigger)
      if (queue === undefined) break
      const answer = await ask({ kind: 'discard', trigger: queue.key, seqs: slice, nowMs: nowMs() })
      if (answer.kind === 'full') throw new StoreFullError('The disk is full: not all was discarded.')
      if (answer.kind !== 'discarded') break
      events += answer.events
      queue.discarded(answer.events)
    }
    return events
  }

  #event({ seq, broker, acceptedMs, structured, head, body, matched }: EventRow): ArchivedEvent {
    const mode = structured ? 'structured' : 'binary'
    return {
      seq,
      broker: this.#deps.queues.brokerOf(broker),
      acceptedMs,
      event: head === undefined ? { mode, attributes: noAttributes(), body } : eventOf(head, mode, body),
      damaged: head === undefined,
      matched: matched.flatMap(key => this.#deps.queues.byKey(key)?.trigger ?? []),
    }
  }

  /** Undefined where the Trigger is gone. */
  #delivery(row: DeliveryRow): StoredDelivery | undefined {
    const trigger = this.#deps.queues.byKey(row.trigger)?.trigger
    if (trigger === undefined) return undefined
    const attempts = row.attempts.map(({ deadLetter, ...rest }) => ({ ...rest, stage: stageOf(deadLetter) }))
    return {
      trigger,
      seq: row.seq,
      state: this.#stateOf(row),
      stage: stageOf(row.deadLetter),
      attempt: row.attempt,
      dueMs: row.state === RETRYING ? row.dueMs : undefined,
      failure: row.failure,
      attempts,
    }
  }

  #stateOf({ trigger, seq, state, attempts }: DeliveryRow): StoredDelivery['state'] {
    if (state === PARKED) return 'parked'
    if (state === undefined) {
      const fate = attempts.at(-1)?.fate
      return fate === 'dead-lettered' || fate === 'discarded' ? fate : 'delivered'
    }
    const queue = this.#deps.queues.byKey(trigger)
    if (queue?.ready.isLeased(seq) === true) return 'in-flight'
    if (state === BLOCKED) return 'blocked'
    const isHere = queue?.items().some(item => item.seq === seq) === true
    return state === WAITING || isHere ? 'waiting' : 'retrying'
  }
}

function stageOf(deadLetter: boolean): StoredDelivery['stage'] {
  return deadLetter ? 'dead-letter' : 'subscriber'
}

function* slices(seqs: readonly number[]): Iterable<number[]> {
  for (let at = 0; at < seqs.length; at += SLICE) yield seqs.slice(at, at + SLICE)
}
