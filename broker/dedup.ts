import type { BrokerId, TriggerId } from '../contract/ids.ts'
import type { BrokerRoute } from '../contract/routes.ts'
import type { CloudEvent } from '../event/event.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Archive } from './archive.ts'
import type { Match } from './store.ts'
import { TWINS_MAX, Twins, UNTIL_DURABLE } from './twins.ts'

/** What became of the first of two events of one source and id. */
export type First =
  | { readonly kind: 'stored'; readonly seq: number }
  /** It is on its way to the disk; whoever comes meanwhile waits for it. */
  | { readonly kind: 'pending'; readonly waiting: ((seq: number | undefined) => void)[] }

/** Of events with their data: a page has to fit into memory. */
const PAGE = 100
/** All Triggers of a Broker together; where it is not enough, each remembers less. */
const TRIGGER_TWINS_MAX = 1_000_000

/** The events that count as known, for one Broker: by its own window, and by those of its Triggers. */
export class Dedup {
  readonly #clock: Clock
  readonly #onTheirWay: Twins<First>
  #broker: Twins<First> | undefined
  #triggers = new Map<TriggerId, { readonly uid: string; readonly twins: Twins<true> }>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#onTheirWay = new Twins(UNTIL_DURABLE, clock)
  }

  /**
   * For the door: what is known in the Broker as a whole. Where only Triggers ask, what is on its way to the disk, for until
   * then nobody knows who is given it. Undefined where nobody asks.
   */
  get door(): Twins<First> | undefined {
    return this.#broker ?? (this.#triggers.size === 0 ? undefined : this.#onTheirWay)
  }

  /** Takes the windows of `route`; what is remembered stays, and what is not yet is read from `archive`. */
  async apply(route: BrokerRoute, archive: Archive): Promise<void> {
    const asked: Twins<unknown>[] = []
    const broker = sameWindow(this.#broker, route.dedupMs) ?? this.#twins<First>(route.dedupMs)
    if (broker !== undefined && broker !== this.#broker) asked.push(broker)
    const triggers = new Map<TriggerId, { readonly uid: string; readonly twins: Twins<true> }>()
    for (const { id, uid, dedupMs } of route.triggers) {
      const old = this.#triggers.get(id)
      const twins = (old?.uid === uid ? sameWindow(old.twins, dedupMs) : undefined) ?? this.#twins<true>(dedupMs)
      if (twins === undefined) continue
      if (twins !== old?.twins) asked.push(twins)
      triggers.set(id, { uid, twins })
    }
    const most = Math.min(TWINS_MAX, Math.ceil(TRIGGER_TWINS_MAX / Math.max(1, triggers.size)))
    for (const { twins } of triggers.values()) twins.most = most
    if (asked.length > 0) await this.#remember(route.id, archive, asked, broker, triggers)
    this.#broker = broker
    this.#triggers = triggers
  }

  /** The same Triggers, without those that were given an event of its source and id before. */
  unknown(matched: readonly TriggerId[], event: CloudEvent): readonly TriggerId[] {
    if (this.#triggers.size === 0) return matched
    return matched.filter(id => this.#triggers.get(id)?.twins.find(event) === undefined)
  }

  /** An event is durable: from now on it is known. */
  stored(event: CloudEvent, matched: readonly TriggerId[]): void {
    if (this.#triggers.size === 0) return
    for (const id of matched) this.#triggers.get(id)?.twins.add(event, true)
  }

  #twins<Kept>(windowMs: number | undefined): Twins<Kept> | undefined {
    return windowMs === undefined ? undefined : new Twins<Kept>(windowMs, this.#clock)
  }

  async #remember(
    broker: BrokerId,
    archive: Archive,
    asked: readonly Twins<unknown>[],
    ofBroker: Twins<First> | undefined,
    ofTriggers: ReadonlyMap<TriggerId, { readonly twins: Twins<true> }>,
  ): Promise<void> {
    const nowMs = this.#clock.nowMs()
    const sinceMs = nowMs - Math.max(...asked.map(one => one.windowMs))
    const found = []
    let before: number | undefined
    do {
      const page = await archive.events({ broker, sinceMs, limit: PAGE, ...(before !== undefined && { before }) })
      found.push(
        ...page.events
          .filter(({ damaged }) => !damaged)
          .map(({ seq, acceptedMs, event, matched }) => ({ seq, acceptedMs, event: bare(event), matched })),
      )
      before = page.next
    } while (before !== undefined && found.length < TWINS_MAX)
    // The oldest first, as they came.
    for (const { seq, acceptedMs, event, matched } of found.reverse()) {
      const ageMs = nowMs - acceptedMs
      if (ofBroker !== undefined && asked.includes(ofBroker)) ofBroker.add(event, { kind: 'stored', seq }, ageMs)
      for (const id of matched) {
        const twins = ofTriggers.get(id)?.twins
        if (twins !== undefined && asked.includes(twins)) twins.add(event, true, ageMs)
      }
    }
  }
}

/** Nothing but what is compared: a hundred thousand bodies need not be in memory for it. */
function bare({ mode, attributes }: CloudEvent): CloudEvent {
  return { mode, attributes, body: NOTHING }
}

const NOTHING = new Uint8Array()

function sameWindow<Kept>(twins: Twins<Kept> | undefined, windowMs: number | undefined): Twins<Kept> | undefined {
  return twins?.windowMs === windowMs ? twins : undefined
}

/** The same match, for Brokers that have Triggers which ask not to be given an event twice. */
export function withDedup(match: Match, dedups: ReadonlyMap<BrokerId, Dedup>): Match {
  if (dedups.size === 0) return match
  return (broker, event) => {
    const matched = match(broker, event)
    return dedups.get(broker)?.unknown(matched, event) ?? matched
  }
}
