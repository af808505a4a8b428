import type { EventStore, Lease, StoredSettlement } from '../../broker/store.ts'
import type { CommitRequest, Reply, Request } from '../../broker/stores/sqlite/protocol.ts'
import { brokerId, type TriggerId } from '../../contract/ids.ts'
import type { TriggerRoute } from '../../contract/routes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { silentLog } from '../../runtime/log.ts'
import type { Dice } from '../support/dice.ts'
import type { ManualClock } from '../support/manual-clock.ts'
import type { SimulatedDisk, SimulatedStore, StoreWorld } from './history.ts'
import type { StoreSubject } from './subject.ts'

const DAY_MS = 86_400_000
/** No group ever asks for its ballast: the disk of these histories is never full. */
const NO_FOLDER = '/nonexistent'

/**
 * The shipped SQLite store on a database in memory, without its thread: requests take virtual time, and a crash loses those
 * that were not worked on. What a committed transaction wrote survives.
 */
export class SqliteDisk implements SimulatedDisk {
  readonly events = new Map<number, { readonly event: CloudEvent }>()
  readonly everStored = new Set<string>()
  readonly #subject: StoreSubject
  readonly #clock: ManualClock
  readonly #dice: Dice
  readonly #db: ReturnType<StoreSubject['openTables']>
  readonly #cacheMaxBytes: number
  #lastSeq = 0

  constructor(subject: StoreSubject, clock: ManualClock, dice: Dice) {
    this.#subject = subject
    this.#clock = clock
    this.#dice = dice
    this.#db = subject.openTables(':memory:')
    // Without memory, what is behind a key is on disk.
    this.#cacheMaxBytes = dice.chance(0.5) ? 1 : 1 << 20
  }

  close(): void {
    this.#db.close()
  }

  async open(world: StoreWorld): Promise<SimulatedStore> {
    const link = new ThreadlessLink(this.#subject, this.#db, this.#clock, this.#dice, () => this.#read())
    const options = {
      dir: NO_FOLDER,
      clock: this.#clock,
      log: silentLog,
      retentionMs: DAY_MS,
      retentionMaxBytes: Number.MAX_SAFE_INTEGER,
      cacheMaxBytes: this.#cacheMaxBytes,
      open: () => link.open(),
    }
    const store = await this.#subject.openSqliteStore(options)
    this.#read()
    const broker = brokerId('sim', 'main')
    const triggers = world.routes.map(({ id, uid, order }) => ({ id, uid, broker, order }))
    await store.route({ triggers, match: (_broker, event) => world.match(event) })
    return new MortalStore(store, link, world)
  }

  /** `Trigger seq` of what waits for a person. */
  parked(): ReadonlySet<string> {
    return this.#deliveries('state = 2')
  }

  #deliveries(where: string): ReadonlySet<string> {
    const sql = `SELECT id, seq FROM delivery JOIN trigger ON key = trigger WHERE ${where}`
    return new Set(
      this.#db
        .prepare(sql)
        .all()
        .map(({ id, seq }) => `${id} ${seq}`),
    )
  }

  /** What the last transaction added. */
  #read(): void {
    const added = this.#db
      .prepare('SELECT seq, attributes, body FROM event WHERE seq > ? ORDER BY seq')
      .all(this.#lastSeq)
    for (const { seq, attributes, body } of added) {
      this.#lastSeq = Number(seq)
      const event = {
        mode: 'binary',
        attributes: JSON.parse(String(attributes)),
        body: Buffer.from(String(body)),
      } as const
      this.events.set(this.#lastSeq, { event })
      this.everStored.add(event.attributes.id)
    }
  }
}

/** In the place of `Link`: requests are answered in their order, each after a while. */
class ThreadlessLink {
  readonly #subject: StoreSubject
  readonly #db: ReturnType<StoreSubject['openTables']>
  readonly #clock: ManualClock
  readonly #dice: Dice
  readonly #onCommit: () => void
  readonly #requests: Request[] = []
  #writer: InstanceType<StoreSubject['Writer']> | undefined
  #onReply: (reply: Reply) => void = () => {}
  #dead = false

  constructor(
    subject: StoreSubject,
    db: ReturnType<StoreSubject['openTables']>,
    clock: ManualClock,
    dice: Dice,
    onCommit: () => void,
  ) {
    this.#subject = subject
    this.#db = db
    this.#clock = clock
    this.#dice = dice
    this.#onCommit = onCommit
  }

  /** As `worker.ts` opens it. */
  async open() {
    const { Checkpoints, lastMs, lastSeq, recover, storedTriggers, Writer } = this.#subject
    const db = this.#db
    const damaged = recover(db)
    const triggers = storedTriggers(db)
    const keys = triggers.map(({ key }) => key)
    this.#writer = new Writer(db, NO_FOLDER, new Checkpoints(db), keys)
    const brokers = db
      .prepare('SELECT key, id FROM broker')
      .all()
      .map(({ key, id }) => [Number(key), String(id)] as const)
    return { link: this, opened: { lastSeq: lastSeq(db), lastMs: lastMs(db), brokers, triggers, damaged } }
  }

  get idle(): boolean {
    return this.#requests.length === 0
  }

  listen(onReply: (reply: Reply) => void): void {
    this.#onReply = onReply
  }

  post(request: Request, transfer: ArrayBuffer[] = []): void {
    if (this.#dead) return
    this.#requests.push(structuredClone(request, { transfer }))
    if (this.#requests.length === 1) this.#next()
  }

  async end(): Promise<void> {}

  /** The thread is gone: some of what it was asked is done, and nobody hears of it. */
  crash(): void {
    this.#dead = true
    const done = this.#dice.below(this.#requests.length + 1)
    for (const request of this.#requests.slice(0, done)) this.#work(request)
  }

  #next(): void {
    const [request] = this.#requests
    if (request === undefined) return
    // Triggers are there from the first moment of a life.
    if (request.kind === 'route') queueMicrotask(() => this.#answer(request))
    else this.#clock.after(1 + this.#dice.below(this.#dice.chance(0.2) ? 60 : 4), () => this.#answer(request))
  }

  #answer(request: Request): void {
    if (this.#dead) return
    const reply = this.#work(request)
    this.#requests.shift()
    this.#next()
    this.#onReply(reply)
  }

  /** As `worker.ts` does. */
  #work(request: Request): Reply {
    const writer = this.#writer
    if (writer === undefined) throw new Error('it is not open')
    switch (request.kind) {
      case 'commit':
        return this.#commit(writer, request)
      case 'load': {
        const { Reader, stalled } = this.#subject
        const ready = !writer.isBehind && (request.what === 'due' || writer.ageAll())
        return ready ? new Reader(this.#db).load(request) : stalled(request)
      }
      case 'route':
        return { kind: 'routed', keys: writer.route(request) }
      case 'retain':
        return { kind: 'retained', events: 0, more: false }
      default:
        throw new Error(`nobody asks a simulated store to ${request.kind}`)
    }
  }

  #commit(writer: InstanceType<StoreSubject['Writer']>, request: CommitRequest): Reply {
    const committed = writer.commit(request)
    this.#onCommit()
    return committed
  }
}

/** One life of a store: after its crash nothing comes out of it and nothing goes in. */
class MortalStore implements SimulatedStore {
  readonly #store: EventStore
  readonly #link: ThreadlessLink
  readonly #world: StoreWorld
  #dead = false

  constructor(store: EventStore, link: ThreadlessLink, world: StoreWorld) {
    this.#store = store
    this.#link = link
    this.#world = world
  }

  crash(): void {
    this.#dead = true
    this.#link.crash()
  }

  get drained(): boolean {
    return (
      this.#link.idle &&
      this.#world.routes.every(({ id }: TriggerRoute) => {
        const counts = this.#store.counts(id)
        return counts !== undefined && counts.waiting + counts.blocked + counts.retrying + counts.inFlight === 0
      })
    )
  }

  get archive() {
    return this.#store.archive
  }

  route: EventStore['route'] = routing => this.#store.route(routing)
  append: EventStore['append'] = (broker, event, hops) => this.#store.append(broker, event, hops)
  appendAll: EventStore['appendAll'] = (broker, events) => this.#store.appendAll(broker, events)
  counts: EventStore['counts'] = trigger => this.#store.counts(trigger)
  onFailure: EventStore['onFailure'] = listener => this.#store.onFailure(listener)
  flush: EventStore['flush'] = () => this.#store.flush()

  lease(trigger: TriggerId, max: number): readonly Lease[] {
    return this.#dead ? [] : this.#store.lease(trigger, max)
  }

  onDue(listener: (trigger: TriggerId) => void): void {
    this.#store.onDue(trigger => {
      if (!this.#dead) listener(trigger)
    })
  }

  settle: EventStore['settle'] = (lease, settlement, record) => {
    if (this.#dead) return
    if (endsStage(lease, settlement)) this.#world.onEnd(lease.trigger, lease.seq)
    if (settlement.kind === 'done') this.#world.onDone(lease.trigger, lease.seq)
    this.#store.settle(lease, settlement, record)
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function endsStage({ stage }: Lease, { kind }: StoredSettlement): boolean {
  return stage === 'subscriber' && kind !== 'postponed' && kind !== 'returned'
}
