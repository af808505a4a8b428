import assert from 'node:assert/strict'
import type { Accepted } from '../../broker/accept.ts'
import type { Attempt, DeliveryRequest } from '../../broker/attempt.ts'
import type { LaneSpec } from '../../broker/job.ts'
import type { Lease } from '../../broker/store.ts'
import type { DeliveryPolicy } from '../../contract/delivery-policy.ts'
import { brokerId, type TriggerId, triggerId, workloadId } from '../../contract/ids.ts'
import { PLAIN_TRIGGER, type TriggerRoute } from '../../contract/routes.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { silentLog } from '../../runtime/log.ts'
import { type Dice, openDice } from '../support/dice.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { CrashStore, Disk } from './crash-store.ts'
import type { Subject } from './subject.ts'

/** How long things go wrong, and how long all that is left may take afterwards; virtual ms. */
const TROUBLE_MS = 3000
const HEALED_MS = 60_000
const EVENTS = 12
/** An attempt takes longer than a group waits for its commit. */
const LEAST_MS = 5
const broker = brokerId('sim', 'main')
const worker = workloadId('Deployment', 'sim', 'worker')

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

class Simulation {
  readonly #subject: Subject
  readonly #dice: Dice
  readonly #clock = new ManualClock()
  readonly #disk = new Disk()
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
  #store: CrashStore | undefined
  #endpoints: InstanceType<Subject['Endpoints']> | undefined
  #take: ((event: CloudEvent) => Promise<void>) | undefined
  #broken: Error | undefined

  constructor(subject: Subject, seed: number) {
    this.#subject = subject
    this.#dice = openDice(seed)
    this.#crashes = this.#dice.chance(0.6)
    this.#routes = Array.from({ length: 1 + this.#dice.below(3) }, (_, i) => randomRoute(i, this.#dice))
  }

  async run(): Promise<void> {
    this.#begin()
    for (let i = 0; i < EVENTS; i++) this.#clock.after(this.#dice.below(TROUBLE_MS), () => this.#send(`e${i}`))
    if (this.#crashes) {
      for (let i = this.#dice.below(4); i >= 0; i--)
        this.#clock.after(this.#dice.below(TROUBLE_MS), () => this.#crash())
    }
    if (this.#dice.chance(0.3)) this.#clock.after(this.#dice.below(TROUBLE_MS), () => void this.#restart())
    for (let i = 0; i < 4; i++) this.#clock.after(this.#dice.below(TROUBLE_MS), () => this.#scale(this.#dice.below(3)))
    await this.#until(TROUBLE_MS, () => false)
    this.#healed = true
    this.#scale(2)
    await this.#until(HEALED_MS, () => this.#store?.drained === true)
    assert(this.#store?.drained === true, 'liveness: something is still owed long after everything was healed')
    this.#nothingLost()
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

  /** A new process on the same disk. */
  #begin(): void {
    const life = ++this.#life
    this.#lives++
    const { accept, Budget, Delivery, Endpoints, openJournal, StoreFullError } = this.#subject
    const clock = this.#clock
    const store = new CrashStore({
      disk: this.#disk,
      clock,
      dice: this.#dice,
      match: event => this.#routes.filter(route => wants(route, event)).map(route => route.id),
      full: () => !this.#healed && this.#dice.chance(0.15),
      fullError: StoreFullError,
      onDone: (trigger, seq) => this.#isDone(trigger, seq),
    })
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
    this.#begin()
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
    const event = eventOf(id, `t${this.#dice.below(2)}`)
    take?.(event).catch((error: unknown) => {
      this.#broken ??= error instanceof Error ? error : new Error(String(error))
    })
  }

  /** A subscriber, or what is in between, at its worst until everything is healed. */
  #deliver(request: DeliveryRequest, life: number, signal: AbortSignal): Promise<Attempt> {
    const { trigger, stage, id } = this.#identify(request)
    const route = this.#routes.find(one => one.id === trigger)
    assert(route !== undefined)
    const key = `${trigger} ${stage} ${id}`
    const seen = this.#begun(key, route, life)
    const tookMs = LEAST_MS + this.#dice.below(40)
    return new Promise(resolve => {
      const cancel = this.#clock.after(tookMs, () => {
        const { attempt, arrived } = this.#outcome(request, tookMs)
        if (arrived) this.#arrived.add(key)
        if (life !== this.#life) return // the process that asked is dead
        this.#remember(seen, `${trigger} ${id}`, attempt)
        resolve(attempt)
      })
      const abandon = () => {
        cancel()
        seen.attempts-- // the broker gave it up: it counts as none
        resolve({ kind: 'abandoned', tookMs })
      }
      signal.addEventListener('abort', abandon, { once: true })
    })
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

  #identify({ url, event }: DeliveryRequest): { trigger: TriggerId; stage: Lease['stage']; id: string } {
    const [, name = '', sink] = new URL(url).pathname.split('/')
    const stage = sink === 'sink' ? 'dead-letter' : 'subscriber'
    return { trigger: triggerId('sim', name), stage, id: event.attributes.id ?? '' }
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
    const most = route.delivery.retries + 1 + 2 * (this.#lives - 1)
    if (seen.attempts > most) this.#broken ??= new Error(`attempts: ${key} is tried ${seen.attempts} times, of ${most}`)
    if (seen.doneInLife === life) this.#broken ??= new Error(`once: ${key} is tried again after a success`)
    if (seen.failedAtMs !== undefined && seen.lifeOfFailure === life && this.#lives === 1) {
      const waitedMs = this.#clock.nowMs() - seen.failedAtMs
      const leastMs = backoffMs(route.delivery, seen.failures - 1)
      if (waitedMs < leastMs) this.#broken ??= new Error(`backoff: ${key} after ${waitedMs} ms, not ${leastMs}`)
    }
    return seen
  }

  #outcome(request: DeliveryRequest, tookMs: number): { attempt: Attempt; arrived: boolean } {
    const id = request.event.attributes.id ?? ''
    const wantsReply = request.wantsReply && !id.startsWith('r')
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
      return { attempt: delivered(eventOf(`r-${id}-${this.#seen.size}-${this.#dice()}`, 't1')), arrived: true }
    if (roll < 0.6)
      return {
        attempt: { kind: 'answered', status: 422, tookMs, retryAfterMs: undefined, excerpt: 'no' },
        arrived: false,
      }
    if (roll < 0.7) return { attempt: { kind: 'unreachable', tookMs, cause: 'timeout', reason: 'late' }, arrived: true }
    if (roll < 0.8)
      return { attempt: { kind: 'unreachable', tookMs, cause: 'refused', reason: 'nobody' }, arrived: false }
    if (roll < 0.85) return { attempt: { kind: 'broken-reply', status: 200, tookMs, reason: 'odd' }, arrived: true }
    return { attempt: { kind: 'answered', status: 503, tookMs, retryAfterMs: undefined, excerpt: '' }, arrived: false }
  }

  #isDone(trigger: TriggerId, seq: number): void {
    const id = this.#disk.events.get(seq)?.event.attributes.id ?? ''
    const reply = this.#replyOf.get(`${trigger} ${id}`)
    if (reply === undefined || this.#disk.everStored.has(reply)) return
    this.#broken ??= new Error(`replies: ${trigger} is done with ${id}, and its reply is not on disk`)
  }

  /** Every event that was acknowledged or stored is with everybody who wanted it, or parked. */
  #nothingLost(): void {
    const parked = new Set([...this.#disk.owed.values()].map(owed => `${owed.trigger} ${owed.seq}`))
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

function eventOf(id: string, type: string): CloudEvent {
  const attributes = Object.assign(noAttributes(), { specversion: '1.0', id, source: '/sim', type })
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
