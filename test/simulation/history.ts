import type { EventStore } from '../../broker/store.ts'
import type { TriggerId } from '../../contract/ids.ts'
import type { TriggerRoute } from '../../contract/routes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { type Dice, openDice } from '../support/dice.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { Disk } from './crash-store.ts'
import { OrderWatch } from './order-watch.ts'
import { orderedRoute, randomRoute, wants } from './routes.ts'
import { SqliteDisk } from './sqlite-disk.ts'
import type { StoreSubject } from './subject.ts'

const EVENTS = 12
/** Several of each key. */
const ORDERED_EVENTS = 20

/** What is under a store, and survives a crash. */
export interface SimulatedDisk {
  readonly events: ReadonlyMap<number, { readonly event: CloudEvent }>
  /** By event id, whether anybody still wants it or not. */
  readonly everStored: ReadonlySet<string>
  /** `Trigger seq` of what waits for a person. */
  parked(): ReadonlySet<string>
}

/** One life of a store. */
export interface SimulatedStore extends EventStore {
  crash(): void
  /** Nothing is waiting, retrying or in flight. */
  readonly drained: boolean
}

/** What a store is told, and tells. */
export interface StoreWorld {
  readonly routes: readonly TriggerRoute[]
  readonly match: (event: CloudEvent) => readonly TriggerId[]
  /** A delivery is over. */
  readonly onDone: (trigger: TriggerId, seq: number) => void
  /** The subscriber's stage of a delivery is over. */
  readonly onEnd: (trigger: TriggerId, seq: number) => void
}

/** What all who play in one history share: what its seed decided, and how far it is. */
export class History {
  readonly dice: Dice
  readonly clock = new ManualClock()
  readonly routes: readonly TriggerRoute[]
  readonly crashes: boolean
  /** How many are sent. */
  readonly events: number
  /** Under the stand-in for a store; not used where there is `sqlite`. */
  readonly plain = new Disk()
  /** Under the shipped store: where there are Triggers with an order. */
  readonly sqlite: SqliteDisk | undefined
  readonly watch: OrderWatch
  /** `Trigger id` of an event that its subscriber never takes. */
  readonly stuck: string | undefined
  /** The process that is alive, 0 while there is none; and how many there were. */
  life = 0
  lives = 0
  healed = false
  /** The first promise that was broken. */
  broken: Error | undefined

  constructor(seed: number, storeSubject: StoreSubject | undefined) {
    this.dice = openDice(seed)
    this.crashes = this.dice.chance(0.6)
    this.routes = Array.from({ length: 1 + this.dice.below(3) }, (_, i) => randomRoute(i, this.dice))
    this.events = storeSubject === undefined ? EVENTS : ORDERED_EVENTS
    this.watch = new OrderWatch(
      () => Array.from(this.disk.events, ([seq, { event }]) => ({ seq, key: event.attributes.partitionkey })),
      (trigger, seq) => this.matchOf(this.disk.events.get(seq)?.event).includes(trigger),
    )
    if (storeSubject === undefined) return
    this.sqlite = new SqliteDisk(storeSubject, this.clock, this.dice)
    this.routes = this.routes.map((route, i) => orderedRoute(route, i, this.dice))
    if (this.dice.chance(0.5)) this.stuck = `${this.routes[0]?.id} e${this.dice.below(this.events)}`
  }

  get ordered(): boolean {
    return this.sqlite !== undefined
  }

  get disk(): SimulatedDisk {
    return this.sqlite ?? this.plain
  }

  matchOf(event: CloudEvent | undefined): readonly TriggerId[] {
    if (event === undefined) return []
    return this.routes.filter(route => wants(route, event)).map(route => route.id)
  }

  /** It ends at the next moment, with the first of these. */
  fail(error: unknown): void {
    this.broken ??= error instanceof Error ? error : new Error(String(error))
  }
}
