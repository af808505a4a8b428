import assert from 'node:assert/strict'
import type { Accepted } from '../../broker/accept.ts'
import type { Attempt, DeliveryRequest } from '../../broker/attempt.ts'
import type { LaneSpec } from '../../broker/job.ts'
import type { EventStore, Lease } from '../../broker/store.ts'
import type { DeliveryPolicy } from '../../contract/delivery-policy.ts'
import { brokerId, type TriggerId, triggerId, workloadId } from '../../contract/ids.ts'
import { PLAIN_TRIGGER, type TriggerRoute } from '../../contract/routes.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { silentLog } from '../../runtime/log.ts'
import { type Dice, openDice } from '../support/dice.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { CrashStore, Disk } from './crash-store.ts'
import { OrderWatch } from './order-watch.ts'
import { SqliteDisk } from './sqlite-disk.ts'
import type { StoreSubject, Subject } from './subject.ts'

/** How long things go wrong, and how long all that is left may take afterwards; virtual ms. */
const TROUBLE_MS = 3000
const HEALED_MS = 60_000
const EVENTS = 12
/** Several of each key. */
const ORDERED_EVENTS = 20
const KEYS = ['a', 'a', 'b', 'c', undefined] as const
/** What fails in spite of all healing is asked for again after this, long after everything else is done. */
const STUCK_MS = 8000
/** So long after everything was healed only what is behind the stuck one may be left. */
const OTHERS_MS = 5000
/** An attempt takes longer than a group waits for its commit. */
const LEAST_MS = 5
const broker = brokerId('sim', 'main')
const worker = workloadId('Deployment', 'sim', 'worker')

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

/** One request, as the simulated subscriber knows it: the path names Trigger and stage, the event names itself. */
interface Seen {
  attempts: number
  doneInLife: number | undefined
  failedAtMs: number | undefined
  failures: number
  lifeOfFailure: number
}

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
  readonly #dice: Dice
  readonly #clock = new ManualClock()
  readonly #disk: SimulatedDisk
  /** Only where there are Triggers with an order. */
  readonly #sqlite: SqliteDisk | undefined
  readonly #plain = new Disk()
  readonly #watch: OrderWatch
  /** `Trigger id` of an event that its subscriber never takes. */
  readonly #stuck: string | undefined
  readonly #routes: readonly TriggerRoute[]
  readonly #crashes: boolean
  readonly #seen = new Map<string, Seen>()
  /** Event ids by Trigger: at the subscriber, and at the sink. */
  readonly #arrived = new Set<string>()
  readonly #acknowledged = new Set<string>()
  /** What must be on disk before its cause is done, by delivery. */
  readonly #replyOf = new Map<string, string>()
  #life = 0
  #lives = 0
  #healed = false
  #store: SimulatedStore | undefined
  #endpoints: InstanceType<Subject['Endpoints']> | undefined
  #take: ((event: CloudEvent) => Promise<void>) | undefined
  #broken: Error | undefined

  constructor(subject: Subject, seed: number, storeSubject?: StoreSubject) {
    this.#subject = subject
    this.#dice = openDice(seed)
    this.#crashes = this.#dice.chance(0.6)
    this.#routes = Array.from({ length: 1 + this.#dice.below(3) }, (_, i) => randomRoute(i, this.#dice))
    this.#watch = new OrderWatch(
      () => this.#keyed,
      (trigger, seq) => this.#matchOf(this.#disk.events.get(seq)?.event).includes(trigger),
    )
    this.#disk = this.#plain
    if (storeSubject === undefined) return
    this.#sqlite = new SqliteDisk(storeSubject, this.#clock, this.#dice)
    this.#disk = this.#sqlite
    this.#routes = this.#routes.map((route, i) => orderedRoute(route, i, this.#dice))
    if (this.#dice.chance(0.5)) this.#stuck = `${this.#routes[0]?.id} e${this.#dice.below(ORDERED_EVENTS)}`
  }

  async run(): Promise<void> {
    this.#start()
    const events = this.#sqlite === undefined ? EVENTS : ORDERED_EVENTS
    for (let i = 0; i < events; i++) this.#clock.after(this.#sendAfterMs(), () => this.#send(`e${i}`))
    if (this.#crashes) {
      for (let i = this.#dice.below(4); i >= 0; i--)
        this.#clock.after(this.#dice.below(TROUBLE_MS), () => this.#crash())
    }
    if (this.#dice.chance(0.3)) this.#clock.after(this.#dice.below(TROUBLE_MS), () => void this.#restart())
    for (let i = 0; i < 4; i++) this.#clock.after(this.#dice.below(TROUBLE_MS), () => this.#scale(this.#dice.below(3)))
    await this.#until(TROUBLE_MS, () => false)
    this.#healed = true
    this.#scale(2)
    if (this.#sqlite !== undefined) {
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
    this.#sqlite?.close()
  }

  /** Where there is an order, some come all at once: what is behind a key is busy then. */
  #sendAfterMs(): number {
    if (this.#sqlite === undefined || this.#dice.chance(0.5)) return this.#dice.below(TROUBLE_MS)
    return 500 * (1 + this.#dice.below(5)) + this.#dice.below(100)
  }

  /** Moves time until `ms` have passed or `done`. */
  async #until(ms: number, done: () => boolean): Promise<void> {
    const endMs = this.#clock.monotonicMs() + ms
    await settle()
    while (!done()) {
      if (this.#broken !== undefined) throw this.#broken
      const nextMs = this.#clock.nextInMs
      if (nextMs === undefined || this.#clock.monotonicMs() + nextMs > endMs) break
      await this.#clock.advance(nextMs)
    }
    if (this.#broken !== undefined) throw this.#broken
  }

  #start(): void {
    this.#begin().catch((error: unknown) => {
      this.#broken ??= error instanceof Error ? error : new Error(String(error))
    })
  }

  /** A new process on the same disk. */
  async #begin(): Promise<void> {
    const life = ++this.#life
    this.#lives++
    this.#take = undefined
    const { accept, Budget, Delivery, Endpoints, openJournal } = this.#subject
    const clock = this.#clock
    const store = await this.#open()
    if (life !== this.#life) return
    const endpoints = new Endpoints(clock)
    const delivery = new Delivery({
      clock,
      random: this.#dice,
      log: silentLog,
      deliver: (request, signal) => this.#deliver(request, life, signal),
      endpoints,
      budget: new Budget(1 << 20),
      onBroken: error => {
        if (life === this.#life) this.#broken ??= error
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
    const specs = this.#routes.map((route): LaneSpec => ({ route, broker, namespace: 'sim', store, intake, recorder }))
    store.onDue(trigger => delivery.wake(trigger))
    this.#store = store
    this.#endpoints = endpoints
    this.#scale(this.#healed ? 2 : this.#dice.below(3))
    delivery.apply(specs)
    this.#rescale = () => delivery.replicasChanged([worker])
    this.#drain = withinMs => delivery.drain(withinMs)
    this.#take = async event => {
      const accepted = await new Promise<Accepted>(tell => accept(event, undefined, intake, tell))
      if (life !== this.#life || accepted.kind !== 'stored') return
      const id = event.attributes.id ?? ''
      if (!this.#disk.everStored.has(id))
        this.#broken ??= new Error(`durability: ${id} is acknowledged and not on disk`)
      this.#acknowledged.add(id)
    }
  }

  async #open(): Promise<SimulatedStore> {
    const world: StoreWorld = {
      routes: this.#routes,
      match: event => this.#matchOf(event),
      onDone: (trigger, seq) => this.#isDone(trigger, seq),
      onEnd: (trigger, seq) => this.#watch.end(trigger, seq),
    }
    if (this.#sqlite !== undefined) {
      const store = await this.#sqlite.open(world)
      this.#watch.begin()
      return store
    }
    return new CrashStore({
      ...world,
      disk: this.#plain,
      clock: this.#clock,
      dice: this.#dice,
      full: () => !this.#healed && this.#dice.chance(0.15),
      fullError: this.#subject.StoreFullError,
    })
  }

  #matchOf(event: CloudEvent | undefined): readonly TriggerId[] {
    if (event === undefined) return []
    return this.#routes.filter(route => wants(route, event)).map(route => route.id)
  }

  get #keyed() {
    return Array.from(this.#disk.events, ([seq, { event }]) => ({ seq, key: event.attributes.partitionkey }))
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
    this.#life = 0 // whoever still belongs to the old life is not listened to any more
    this.#store?.crash()
    this.#life = this.#lives
    this.#start()
  }

  /** SIGTERM, and a new process: what is in flight may end within a time, the rest is given back. */
  async #restart(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    this.#take = undefined
    await this.#drain(this.#dice.below(60))
    await this.#store?.flush()
    this.#stopping = false
    this.#crash()
  }

  #send(id: string): void {
    const take = this.#take
    const type = `t${this.#dice.below(2)}`
    const event = eventOf(id, type, this.#sqlite && this.#dice.pick(KEYS))
    take?.(event).catch((error: unknown) => {
      this.#broken ??= error instanceof Error ? error : new Error(String(error))
    })
  }

  /** A subscriber, or what is in between, at its worst until everything is healed. */
  #deliver(request: DeliveryRequest, life: number, signal: AbortSignal): Promise<Attempt> {
    const { trigger, stage, ids } = this.#identify(request)
    const route = this.#routes.find(one => one.id === trigger)
    assert(route !== undefined)
    const keys = ids.map(id => `${trigger} ${stage} ${id}`)
    const all = keys.map(key => this.#begun(key, route, life))
    const leave = stage === 'subscriber' && life === this.#life ? this.#arrive(route, request) : () => {}
    const hangs = this.#sqlite !== undefined && !this.#healed && this.#dice.chance(0.05)
    const tookMs = hangs ? request.timeoutMs : LEAST_MS + this.#dice.below(40)
    return new Promise(resolve => {
      const cancel = this.#clock.after(tookMs, () => {
        const { attempt, arrived } = hangs ? hung(tookMs) : this.#outcome(request, trigger, ids, tookMs)
        if (arrived) for (const key of keys) this.#arrived.add(key)
        if (life !== this.#life) return // the process that asked is dead
        leave()
        for (const [i, seen] of all.entries()) this.#remember(seen, `${trigger} ${ids[i]}`, attempt)
        resolve(attempt)
      })
      const abandon = () => {
        cancel()
        leave()
        for (const seen of all) seen.attempts-- // the broker gave it up: it counts as none
        resolve({ kind: 'abandoned', tookMs })
      }
      signal.addEventListener('abort', abandon, { once: true })
    })
  }

  /** The events of a request are at the subscriber, until what is returned is called. */
  #arrive({ id: trigger, order }: TriggerRoute, { batch, event }: DeliveryRequest): () => void {
    if (order === undefined) return () => {}
    const keys: string[] = []
    for (const { attributes } of batch ?? [event]) {
      const key = attributes.partitionkey
      if (key === undefined) continue
      keys.push(key)
      try {
        this.#watch.arrives(trigger, this.#seqOf(attributes.id), key)
      } catch (error) {
        this.#broken ??= error instanceof Error ? error : new Error(String(error))
      }
    }
    const life = this.#life
    return () => {
      if (life === this.#life) for (const key of keys) this.#watch.leaves(trigger, key)
    }
  }

  #seqOf(id: string | undefined): number {
    for (const [seq, { event }] of this.#disk.events) if (event.attributes.id === id) return seq
    throw new Error(`durability: ${id} is delivered and not on disk`)
  }

  #remember(seen: Seen, cause: string, attempt: Attempt): void {
    if (attempt.kind !== 'delivered') {
      seen.failures++
      seen.failedAtMs = this.#clock.nowMs()
      seen.lifeOfFailure = this.#life
    } else if (attempt.reply === undefined) {
      seen.doneInLife = this.#life
      this.#replyOf.delete(cause)
    } else {
      this.#replyOf.set(cause, attempt.reply.attributes.id ?? '')
      seen.doneInLife = undefined // until its reply is stored, it may have to be done again
    }
  }

  #identify({ url, event, batch }: DeliveryRequest): { trigger: TriggerId; stage: Lease['stage']; ids: string[] } {
    const [, name = '', sink] = new URL(url).pathname.split('/')
    const stage = sink === 'sink' ? 'dead-letter' : 'subscriber'
    return { trigger: triggerId('sim', name), stage, ids: (batch ?? [event]).map(one => one.attributes.id ?? '') }
  }

  #begun(key: string, route: TriggerRoute, life: number): Seen {
    const fresh: Seen = {
      attempts: 0,
      doneInLife: undefined,
      failedAtMs: undefined,
      failures: 0,
      lifeOfFailure: 0,
    }
    const seen = this.#seen.get(key) ?? fresh
    this.#seen.set(key, seen)
    seen.attempts++
    // A crash may lose the count of the attempt that had ended, not yet written, and of the one that was being made.
    const most = route.delivery.retries + 1 + this.#slackOf(route)
    if (seen.attempts > most) this.#broken ??= new Error(`attempts: ${key} is tried ${seen.attempts} times, of ${most}`)
    if (seen.doneInLife === life) this.#broken ??= new Error(`once: ${key} is tried again after a success`)
    if (
      seen.failedAtMs !== undefined &&
      seen.lifeOfFailure === life &&
      this.#lives === 1 &&
      route.batch === undefined
    ) {
      const waitedMs = this.#clock.nowMs() - seen.failedAtMs
      const leastMs = backoffMs(route.delivery, seen.failures - 1)
      if (waitedMs < leastMs) this.#broken ??= new Error(`backoff: ${key} after ${waitedMs} ms, not ${leastMs}`)
    }
    return seen
  }

  /** Attempts that may come on top of the policy's. */
  #slackOf({ batch }: TriggerRoute): number {
    const crashes = this.#lives - 1
    if (this.#sqlite === undefined) return 2 * crashes
    // Settlements wait for a group longer than an attempt takes; a batch that failed for good goes again in halves.
    return 10 * crashes + (batch === undefined ? 0 : 3)
  }

  #outcome(
    request: DeliveryRequest,
    trigger: TriggerId,
    ids: readonly string[],
    tookMs: number,
  ): { attempt: Attempt; arrived: boolean } {
    const [id = ''] = ids
    const wantsReply = request.wantsReply && !id.startsWith('r') && request.batch === undefined
    if (request.wantsReply && ids.some(one => `${trigger} ${one}` === this.#stuck)) {
      return {
        attempt: { kind: 'answered', status: 503, tookMs, retryAfterMs: STUCK_MS, excerpt: 'stuck' },
        arrived: false,
      }
    }
    const roll = this.#healed ? 0 : this.#dice()
    const delivered = (reply?: CloudEvent): Attempt => ({
      kind: 'delivered',
      status: 200,
      tookMs,
      reply,
      plainBody: false,
    })
    if (roll < 0.35) return { attempt: delivered(), arrived: true }
    if (roll < 0.5 && wantsReply)
      return {
        attempt: delivered(
          eventOf(`r-${id}-${this.#seen.size}-${this.#dice()}`, 't1', request.event.attributes.partitionkey),
        ),
        arrived: true,
      }
    if (roll < 0.6)
      return {
        attempt: { kind: 'answered', status: 422, tookMs, retryAfterMs: undefined, excerpt: 'no' },
        arrived: false,
      }
    if (roll < 0.7) return { attempt: { kind: 'unreachable', tookMs, cause: 'timeout', reason: 'late' }, arrived: true }
    if (roll < 0.8)
      return { attempt: { kind: 'unreachable', tookMs, cause: 'refused', reason: 'nobody' }, arrived: false }
    if (roll < 0.85) return { attempt: { kind: 'broken-reply', status: 200, tookMs, reason: 'odd' }, arrived: true }
    const retryAfterMs = this.#sqlite && this.#dice.pick([undefined, 30, 300])
    return { attempt: { kind: 'answered', status: 503, tookMs, retryAfterMs, excerpt: '' }, arrived: false }
  }

  #isDone(trigger: TriggerId, seq: number): void {
    const id = this.#disk.events.get(seq)?.event.attributes.id ?? ''
    const reply = this.#replyOf.get(`${trigger} ${id}`)
    if (reply === undefined || this.#disk.everStored.has(reply)) return
    this.#broken ??= new Error(`replies: ${trigger} is done with ${id}, and its reply is not on disk`)
  }

  /** Whoever is not of the key of the event that is stuck is served, and whoever is, waits. */
  #nobodyHeldUp(): void {
    for (const [seq, { event }] of this.#disk.events) {
      for (const route of this.#routes) {
        if (!wants(route, event) || this.#watch.hasEnded(route.id, seq)) continue
        const stuck = [...this.#disk.events.values()].find(
          one => `${route.id} ${one.event.attributes.id}` === this.#stuck,
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
    const parked = this.#disk.parked()
    const stored = new Map([...this.#disk.events].map(([seq, row]) => [row.event.attributes.id ?? '', { seq, row }]))
    for (const id of this.#acknowledged) assert(stored.has(id), `lost: ${id} was acknowledged and is nowhere`)
    for (const [id, { seq, row }] of stored) {
      for (const route of this.#routes) {
        if (!wants(route, row.event)) continue
        const there = (['subscriber', 'dead-letter'] as const).some(stage =>
          this.#arrived.has(`${route.id} ${stage} ${id}`),
        )
        assert(there || parked.has(`${route.id} ${seq}`), `lost: ${route.id} never got ${id}`)
      }
    }
  }
}

function wants(route: TriggerRoute, event: CloudEvent): boolean {
  return route.id.endsWith('0') || event.attributes.type === 't1'
}

function eventOf(id: string, type: string, partitionkey?: string): CloudEvent {
  const attributes = Object.assign(noAttributes(), { specversion: '1.0', id, source: '/sim', type })
  if (partitionkey !== undefined) attributes.partitionkey = partitionkey
  return { mode: 'binary', attributes, body: Buffer.from(id) }
}

/** What the Knative delivery spec makes of a policy: exponential delay · 2^i, linear delay · i. */
function backoffMs(policy: DeliveryPolicy, retry: number): number {
  return policy.backoff === 'exponential' ? policy.backoffMs * 2 ** retry : policy.backoffMs * retry
}

function randomRoute(i: number, dice: Dice): TriggerRoute {
  const name = `trigger${i}`
  const url = (path: string) => ({ kind: 'url', address: `http://sim/${path}` }) as const
  return {
    id: triggerId('sim', name),
    uid: name,
    filters: [],
    subscriber: dice.chance(0.4)
      ? { kind: 'workload', address: 'http://worker', workload: worker, path: `/${name}` }
      : url(name),
    deadLetter: dice.chance(0.5) ? url(`${name}/sink`) : undefined,
    delivery: {
      retries: dice.below(5),
      backoff: dice.pick(['exponential', 'linear']),
      backoffMs: dice.pick([0, 1, 10, 100]),
      backoffMaxMs: undefined,
      timeoutMs: 1000,
      retryAfterMaxMs: undefined,
      jitter: false,
      format: undefined,
    },
    concurrency: 1 + dice.below(3),
    reply: 'lenient',
    ...PLAIN_TRIGGER,
  }
}

/** The first is always ordered, the others as it comes; batches are rarer. */
function orderedRoute(route: TriggerRoute, i: number, dice: Dice): TriggerRoute {
  return {
    ...route,
    order: i === 0 || dice.chance(0.5) ? 'partitionkey' : undefined,
    batch: dice.chance(0.25)
      ? { maxEvents: 2 + dice.below(3), maxWaitMs: dice.pick([10, 100]), maxBytes: 1 << 20 }
      : undefined,
  }
}

function hung(tookMs: number): { attempt: Attempt; arrived: boolean } {
  return { attempt: { kind: 'unreachable', tookMs, cause: 'timeout', reason: 'it hangs' }, arrived: true }
}
