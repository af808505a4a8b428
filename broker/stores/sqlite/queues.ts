import assert from 'node:assert/strict'
import type { BrokerId, TriggerId } from '../../../contract/ids.ts'
import type { RoutedTrigger } from '../../store.ts'
import type { Key, Opened } from './protocol.ts'
import { emptyQueue, SqliteQueue } from './queue.ts'

/** The queues of the Triggers, by every name that they have, and the keys of the Brokers. */
export class Queues {
  /** Every Trigger that has rows, routed or not, by uid. */
  #stored: Map<string, SqliteQueue>
  #routed = new Map<TriggerId, SqliteQueue>()
  readonly #byKey = new Map<Key, SqliteQueue>()
  readonly #brokers: Map<string, Key>

  constructor({ brokers, triggers }: Opened) {
    // Only `triggerId` made these, before they were written.
    this.#stored = new Map(triggers.map(one => [one.uid, new SqliteQueue(one, one.id as TriggerId)]))
    this.#brokers = new Map(brokers.map(([key, id]) => [id, key]))
  }

  /** Those that are not routed yet, or will never be, included. */
  get all(): Iterable<SqliteQueue> {
    return this.#stored.values()
  }

  get routed(): Iterable<SqliteQueue> {
    return this.#routed.values()
  }

  find(trigger: TriggerId): SqliteQueue | undefined {
    return this.#routed.get(trigger)
  }

  get(trigger: TriggerId): SqliteQueue {
    const queue = this.#routed.get(trigger)
    assert(queue !== undefined, `${trigger} is not routed`)
    return queue
  }

  byKey(key: Key): SqliteQueue | undefined {
    return this.#byKey.get(key)
  }

  /** Those that exist from now on, with the keys of the database. Returns those that are gone. */
  reroute(triggers: readonly RoutedTrigger[], keys: readonly Key[]): readonly SqliteQueue[] {
    const stored = new Map<string, SqliteQueue>()
    const routed = new Map<TriggerId, SqliteQueue>()
    for (const [i, { id, uid }] of triggers.entries()) {
      const old = this.#stored.get(uid)
      const queue = old?.trigger === id ? old : emptyQueue(keys[i] ?? 0, uid, id)
      stored.set(uid, queue)
      routed.set(id, queue)
      this.#byKey.set(queue.key, queue)
    }
    const gone = [...this.#stored.values()].filter(queue => stored.get(queue.uid) !== queue)
    for (const queue of gone) this.#byKey.delete(queue.key)
    this.#stored = stored
    this.#routed = routed
    return gone
  }

  brokerKey(id: BrokerId): Key | undefined {
    return this.#brokers.get(id)
  }

  addBroker(id: BrokerId): Key {
    const key = this.#brokers.size + 1
    this.#brokers.set(id, key)
    return key
  }

  brokerOf(key: Key): BrokerId | undefined {
    for (const [id, known] of this.#brokers) if (known === key) return id as BrokerId
    return undefined
  }
}
