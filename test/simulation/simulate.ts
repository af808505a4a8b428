import assert from 'node:assert/strict'
import type { Accepted } from '../../broker/accept.ts'
import type { LaneSpec } from '../../broker/job.ts'
import { brokerId, type TriggerId } from '../../contract/ids.ts'
import type { CloudEvent } from '../../event/event.ts'
import { silentLog } from '../../runtime/log.ts'
import { settle } from '../support/manual-clock.ts'
import { CrashStore } from './crash-store.ts'
import { History, type SimulatedStore, type StoreWorld } from './history.ts'
import { eventOf, wants, worker } from './routes.ts'
import type { StoreSubject, Subject } from './subject.ts'
import { Subscribers } from './subscribers.ts'

/** How long things go wrong, and how long all that is left may take afterwards; virtual ms. */
const TROUBLE_MS = 3000
const HEALED_MS = 60_000
const KEYS = ['a', 'a', 'b', 'c', undefined] as const
/** So long after everything was healed only what is behind the stuck one may be left. */
const OTHERS_MS = 5000
const broker = brokerId('sim', 'main')

/**
 * Plays one history of senders, subscribers, crashes and full disks, all of it decided by `seed`, against the shipped
 * acceptance and delivery. @throws at the first promise that is broken, with its name first.
 */
export async function simulate(subject: Subject, seed: number): Promise<void> {
  await new Simulation(subject, seed).run()
}

/** The same with the shipped durable store, Triggers that ask for an order per key or for batches, and an event that is stuck. */
export async function simulateOrder(subject: Subject & StoreSubject, seed: number): Promise<void> {
  await new Simulation(subject, seed, subject).run()
}

class Simulation {
  readonly #subject: Subject
  readonly #history: History
  readonly #subscribers: Subscribers
  readonly #acknowledged = new Set<string>()
  #store: SimulatedStore | undefined
  #endpoints: InstanceType<Subject['Endpoints']> | undefined
  #take: ((event: CloudEvent) => Promise<void>) | undefined

  constructor(subject: Subject, seed: number, storeSubject?: StoreSubject) {
    this.#subject = subject
    this.#history = new History(seed, storeSubject)
    this.#subscribers = new Subscribers(this.#history)
  }

  async run(): Promise<void> {
    this.#start()
    for (let i = 0; i < this.#history.events; i++)
      this.#history.clock.after(this.#sendAfterMs(), () => this.#send(`e${i}`))
    if (this.#history.crashes) {
      for (let i = this.#history.dice.below(4); i >= 0; i--)
        this.#history.clock.after(this.#history.dice.below(TROUBLE_MS), () => this.#crash())
    }
    if (this.#history.dice.chance(0.3))
      this.#history.clock.after(this.#history.dice.below(TROUBLE_MS), () => void this.#restart())
    for (let i = 0; i < 4; i++)
      this.#history.clock.after(this.#history.dice.below(TROUBLE_MS), () => this.#scale(this.#history.dice.below(3)))
    await this.#until(TROUBLE_MS, () => false)
    this.#history.healed = true
    this.#scale(2)
    if (this.#history.ordered) {
      await this.#until(OTHERS_MS, () => this.#store?.drained === true)
      this.#nobodyHeldUp()
    }
    await this.#until(HEALED_MS, () => this.#store?.drained === true)
    assert(this.#store?.drained === true, 'liveness: something is still owed long after everything was healed')
    let flushed = false
    void this.#store.flush().then(() => {
      flushed = true
    })
    await this.#until(TROUBLE_MS, () => flushed)
    this.#nothingLost()
    this.#history.sqlite?.close()
  }

  /** Where there is an order, some come all at once: what is behind a key is busy then. */
  #sendAfterMs(): number {
    if (!this.#history.ordered || this.#history.dice.chance(0.5)) return this.#history.dice.below(TROUBLE_MS)
    return 500 * (1 + this.#history.dice.below(5)) + this.#history.dice.below(100)
  }

  /** Moves time until `ms` have passed or `done`. */
  async #until(ms: number, done: () => boolean): Promise<void> {
    const endMs = this.#history.clock.monotonicMs() + ms
    await settle()
    while (!done()) {
      if (this.#history.broken !== undefined) throw this.#history.broken
      const nextMs = this.#history.clock.nextInMs
      if (nextMs === undefined || this.#history.clock.monotonicMs() + nextMs > endMs) break
      await this.#history.clock.advance(nextMs)
    }
    if (this.#history.broken !== undefined) throw this.#history.broken
  }

  #start(): void {
    this.#begin().catch(error => this.#history.fail(error))
  }

  /** A new process on the same disk. */
  async #begin(): Promise<void> {
    const life = ++this.#history.life
    this.#history.lives++
    this.#take = undefined
    const { accept, Budget, Delivery, Endpoints, openJournal } = this.#subject
    const clock = this.#history.clock
    const store = await this.#open()
    if (life !== this.#history.life) return
    const endpoints = new Endpoints(clock)
    const delivery = new Delivery({
      clock,
      random: this.#history.dice,
      log: silentLog,
      deliver: (request, signal) => this.#subscribers.deliver(request, life, signal),
      endpoints,
      budget: new Budget(1 << 20),
      onBroken: error => {
        if (life === this.#history.life) this.#history.fail(error)
      },
    })
    const intake = {
      broker,
      store,
      budget: new Budget(1 << 20),
      onStored: (_broker: unknown, _event: CloudEvent, { matched }: { matched: readonly TriggerId[] | undefined }) =>
        delivery.offered(matched ?? []),
    }
    const recorder = openJournal(clock).recorder()
    const specs = this.#history.routes.map(
      (route): LaneSpec => ({ route, broker, namespace: 'sim', store, intake, recorder }),
    )
    store.onDue(trigger => delivery.wake(trigger))
    this.#store = store
    this.#endpoints = endpoints
    this.#scale(this.#history.healed ? 2 : this.#history.dice.below(3))
    delivery.apply(specs)
    this.#rescale = () => delivery.replicasChanged([worker])
    this.#drain = withinMs => delivery.drain(withinMs)
    this.#take = async event => {
      const accepted = await new Promise<Accepted>(tell => accept(event, undefined, intake, tell))
      if (life !== this.#history.life || accepted.kind !== 'stored') return
      const id = event.attributes.id ?? ''
      if (!this.#history.disk.everStored.has(id))
        this.#history.fail(new Error(`durability: ${id} is acknowledged and not on disk`))
      this.#acknowledged.add(id)
    }
  }

  async #open(): Promise<SimulatedStore> {
    const world: StoreWorld = {
      routes: this.#history.routes,
      match: event => this.#history.matchOf(event),
      onDone: (trigger, seq) => this.#subscribers.isDone(trigger, seq),
      onEnd: (trigger, seq) => this.#history.watch.end(trigger, seq),
    }
    if (this.#history.sqlite !== undefined) {
      const store = await this.#history.sqlite.open(world)
      this.#history.watch.begin()
      return store
    }
    return new CrashStore({
      ...world,
      disk: this.#history.plain,
      clock: this.#history.clock,
      dice: this.#history.dice,
      full: () => !this.#history.healed && this.#history.dice.chance(0.15),
      fullError: this.#subject.StoreFullError,
    })
  }

  #rescale: () => void = () => {}
  #drain: (withinMs: number) => Promise<void> = async () => {}
  #stopping = false

  #scale(replicas: number): void {
    const ready = Array.from({ length: replicas }, (_, i) => ({
      id: `w${i}`,
      origin: `http://w${i}`,
      state: 'ready' as const,
    }))
    this.#endpoints?.apply({ [worker]: ready })
    this.#rescale()
  }

  /** kill -9, and a new process. */
  #crash(): void {
    if (this.#stopping) return
    this.#history.life = 0 // whoever still belongs to the old life is not listened to any more
    this.#store?.crash()
    this.#history.life = this.#history.lives
    this.#start()
  }

  /** SIGTERM, and a new process: what is in flight may end within a time, the rest is given back. */
  async #restart(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    this.#take = undefined
    await this.#drain(this.#history.dice.below(60))
    await this.#store?.flush()
    this.#stopping = false
    this.#crash()
  }

  #send(id: string): void {
    const take = this.#take
    const type = `t${this.#history.dice.below(2)}`
    const event = eventOf(id, type, this.#history.ordered ? this.#history.dice.pick(KEYS) : undefined)
    take?.(event).catch(error => this.#history.fail(error))
  }

  /** Whoever is not of the key of the event that is stuck is served, and whoever is, waits. */
  #nobodyHeldUp(): void {
    for (const [seq, { event }] of this.#history.disk.events) {
      for (const route of this.#history.routes) {
        if (!wants(route, event) || this.#history.watch.hasEnded(route.id, seq)) continue
        const stuck = [...this.#history.disk.events.values()].find(
          one => `${route.id} ${one.event.attributes.id}` === this.#history.stuck,
        )
        const key = event.attributes.partitionkey
        // A batch may have the stuck one in it, and is stuck as a whole until it is halved.
        const waits =
          stuck !== undefined &&
          (stuck.event === event ||
            route.batch !== undefined ||
            (stuck.event.attributes.partitionkey === key && key !== undefined && route.order !== undefined))
        assert(waits, `held up: ${route.id} has not got ${event.attributes.id} of key ${key}`)
      }
    }
  }

  /** Every event that was acknowledged or stored is with everybody who wanted it, or parked. */
  #nothingLost(): void {
    const parked = this.#history.disk.parked()
    const stored = new Map(
      [...this.#history.disk.events].map(([seq, row]) => [row.event.attributes.id ?? '', { seq, row }]),
    )
    for (const id of this.#acknowledged) assert(stored.has(id), `lost: ${id} was acknowledged and is nowhere`)
    for (const [id, { seq, row }] of stored) {
      for (const route of this.#history.routes) {
        if (!wants(route, row.event)) continue
        assert(
          this.#subscribers.has(route.id, id) || parked.has(`${route.id} ${seq}`),
          `lost: ${route.id} never got ${id}`,
        )
      }
    }
  }
}
