import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { EventStore, Lease, StoredSettlement } from '../../../broker/store.ts'
import { LINGER_LONG_MS } from '../../../broker/stores/sqlite/linger.ts'
import type { TriggerId } from '../../../contract/ids.ts'
import { audit, eventOf, leaseSoon, orders, routingOf, shop } from '../../conformance/event-store.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'
import { openStoreIn, type StorePlace, storePlace } from '../../support/sqlite-store.ts'

const failure = { destination: 'http://127.0.0.1:1/', code: 503, data: 'no' }

/** Where one delivery may be. `owed` carries what the next lease will say. */
type Where =
  | { readonly kind: 'done' }
  | { readonly kind: 'parked' }
  | { readonly kind: 'owed'; readonly attempt: number; readonly stage: Lease['stage']; readonly dueMs: number }

const FRESH: Where = { kind: 'owed', attempt: 0, stage: 'subscriber', dueMs: 0 }

interface Delivery {
  /** What the disk may say: one place, or several after a crash. */
  disk: readonly Where[]
  /** What was settled since, in order; perhaps on disk, perhaps not. */
  since: Where[]
}

/** What may be known of every delivery, by Trigger and id. */
class Model {
  readonly #deliveries = new Map<string, Delivery>()

  appended(trigger: TriggerId, id: string): void {
    this.#deliveries.set(`${trigger} ${id}`, { disk: [FRESH], since: [] })
  }

  moved(lease: Lease, to: Where): void {
    this.#of(lease).since.push(to)
  }

  /** What a lease says must be what is known; from now on it is the only possibility. */
  leased(lease: Lease, nowMs: number): void {
    const delivery = this.#of(lease)
    const { stage, attempt } = lease
    const places = now(delivery)
    const found = places.find(
      place => place.kind === 'owed' && place.attempt === attempt && place.stage === stage && place.dueMs <= nowMs,
    )
    assert.ok(found, `${name(lease)} came as ${stage} ${attempt} at ${nowMs}; possible: ${JSON.stringify(places)}`)
    if (stage === 'dead-letter') assert.deepEqual(lease.failure, failure)
    if (delivery.since.length === 0) delivery.disk = [found]
  }

  /** Everything is on disk as it is now. */
  flushed(): void {
    for (const delivery of this.#deliveries.values()) {
      delivery.disk = now(delivery)
      delivery.since = []
    }
  }

  crashed(): void {
    for (const delivery of this.#deliveries.values()) {
      delivery.disk = [...delivery.disk, ...delivery.since]
      delivery.since = []
    }
  }

  /** Deliveries of `trigger` whose every possibility, or any, satisfies `test`. */
  count(trigger: TriggerId, how: 'every' | 'some', test: (place: Where) => boolean): number {
    const all = [...this.#deliveries].filter(([key]) => key.startsWith(`${trigger} `))
    return all.filter(([, delivery]) => now(delivery)[how](test)).length
  }

  forget(trigger: TriggerId): void {
    for (const key of this.#deliveries.keys()) if (key.startsWith(`${trigger} `)) this.#deliveries.delete(key)
  }

  #of(lease: Lease): Delivery {
    const delivery = this.#deliveries.get(name(lease))
    assert.ok(delivery, `${name(lease)} was never accepted`)
    return delivery
  }
}

/** Where the delivery may be now. */
function now({ disk, since }: Delivery): readonly Where[] {
  const last = since.at(-1)
  return last === undefined ? disk : [last]
}

function name(lease: Lease): string {
  return `${lease.trigger} ${lease.event.attributes.id}`
}

const settlementKind = fc.constantFrom('done', 'postponed', 'dead-letter', 'parked', 'returned', 'kept')
type Kind = 'done' | 'postponed' | 'dead-letter' | 'parked' | 'returned' | 'kept'
const trigger = fc.constantFrom(orders, audit)
const op = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('append' as const), events: fc.integer({ min: 1, max: 40 }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('work' as const),
      trigger,
      kinds: fc.array(settlementKind, { minLength: 1, maxLength: 25 }),
      delayMs: fc.integer({ min: 0, max: 400 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 500 }) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('flush' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('recreate' as const) }) },
)

/** A rate at which groups wait for company. */
const BUSY = Array.from({ length: 6 }, (_, i) =>
  i % 2 === 0 ? { op: 'append' as const, events: 40 } : { op: 'advance' as const, ms: 1 },
)

/** Runs operations on a real store and on the model of it. */
class Run implements AsyncDisposable {
  readonly #model = new Model()
  readonly #clock: ManualClock
  #store: EventStore
  #place: StorePlace
  #uid = 1
  #made = 0

  private constructor(clock: ManualClock, store: EventStore, place: StorePlace) {
    this.#clock = clock
    this.#store = store
    this.#place = place
  }

  static async start(): Promise<Run> {
    const place = await storePlace()
    const clock = new ManualClock()
    const run = new Run(clock, await openStoreIn(place.dir, clock, { cacheMaxBytes: 4000 }), place)
    await run.#route()
    return run
  }

  async step(one: typeof op extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
    switch (one.op) {
      case 'append': {
        const ids = Array.from({ length: one.events }, () => `e${this.#made++}`)
        await this.#untilDone(Promise.all(ids.map(id => this.#append(id))))
        break
      }
      case 'work':
        await this.#work(one.trigger, one.kinds, one.delayMs)
        break
      case 'advance':
        await this.#clock.advance(one.ms)
        break
      case 'flush':
        await this.#store.flush()
        this.#model.flushed()
        break
      case 'crash':
        await this.#crash()
        break
      case 'restart':
        await this.#store[Symbol.asyncDispose]()
        this.#model.flushed()
        this.#store = await openStoreIn(this.#place.dir, this.#clock, { cacheMaxBytes: 4000 })
        await this.#route()
        break
      case 'recreate':
        await this.#recreate()
        break
      default:
        one satisfies never
    }
  }

  /** Every delivery is where it may be, and nowhere else; the counters agree with what comes. */
  async check(): Promise<void> {
    await this.#crash()
    await this.#clock.advance(100_000)
    for (const trigger of [orders, audit]) {
      const { waiting = 0, retrying = 0, parked = 0 } = this.#store.counts(trigger) ?? {}
      const leases = await leaseSoon(this.#store, trigger, 5000)
      for (const lease of leases) this.#model.leased(lease, this.#clock.nowMs())
      const seen = new Set(leases.map(name))
      assert.equal(seen.size, leases.length, 'something came twice')
      assert.equal(waiting + retrying, leases.length)
      // What was leased is certain now, so whatever must be owed and did not come is missing here.
      assert.equal(
        this.#model.count(trigger, 'every', ({ kind }) => kind === 'owed'),
        leases.length,
        'lost',
      )
      assert.ok(parked >= this.#model.count(trigger, 'every', ({ kind }) => kind === 'parked'), 'parked ones are lost')
      assert.ok(parked <= this.#model.count(trigger, 'some', ({ kind }) => kind === 'parked'), 'parked from nowhere')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]()
    await this.#place[Symbol.asyncDispose]()
  }

  /** A group may wait some ms for company, which a clock that stands still never gives it. */
  async #untilDone(appended: Promise<unknown>): Promise<void> {
    let done = false
    const ended = appended.finally(() => {
      done = true
    })
    while (!done) {
      await Promise.race([ended, sleep(20)])
      if (!done) await this.#clock.advance(LINGER_LONG_MS)
    }
    await ended
  }

  async #append(id: string): Promise<void> {
    const wanted = this.#made % 3 === 0 ? 'audit.x' : 'x'
    const { matched } = await this.#store.append(shop, eventOf(id, wanted, `${id} ${'y'.repeat(200)}`), 255)
    for (const one of matched ?? []) this.#model.appended(one, id)
  }

  async #work(trigger: TriggerId, kinds: readonly Kind[], delayMs: number): Promise<void> {
    const leases: Lease[] = []
    while (leases.length < kinds.length && (this.#store.counts(trigger)?.waiting ?? 0) > 0) {
      leases.push(...this.#store.lease(trigger, kinds.length - leases.length))
      await settle()
    }
    const nowMs = this.#clock.nowMs()
    for (const [i, lease] of leases.entries()) {
      this.#model.leased(lease, nowMs)
      const kind = kinds[i] ?? 'kept'
      if (kind === 'kept') continue
      const { settlement, to } = settlementOf(kind, lease, nowMs + delayMs)
      this.#store.settle(lease, settlement)
      this.#model.moved(lease, to)
    }
  }

  /** Goes on with the files as they are now: commits only append to the WAL, so this is what a crash leaves behind. */
  async #crash(): Promise<void> {
    const next = await storePlace()
    for (const file of ['store.sqlite-wal', 'store.sqlite', 'format.json']) {
      cpSync(join(this.#place.dir, file), join(next.dir, file))
    }
    this.#model.crashed()
    await this.#store[Symbol.asyncDispose]()
    await this.#place[Symbol.asyncDispose]()
    this.#place = next
    this.#store = await openStoreIn(next.dir, this.#clock, { cacheMaxBytes: 4000 })
    await this.#route()
  }

  async #recreate(): Promise<void> {
    this.#uid++
    const owed = ({ kind }: Where) => kind !== 'done'
    const least = this.#model.count(orders, 'every', owed)
    const most = this.#model.count(orders, 'some', owed)
    const dropped = await this.#route()
    const events = dropped.find(({ trigger }) => trigger === orders)?.events ?? -1
    assert.ok(events >= least && events <= most, `${events} dropped, between ${least} and ${most} were there`)
    this.#model.forget(orders)
  }

  #route() {
    return this.#store.route(routingOf([orders, `uid-${this.#uid}`], [audit, 'uid-audit']))
  }
}

function settlementOf(
  kind: Exclude<Kind, 'kept'>,
  lease: Lease,
  dueMs: number,
): { settlement: StoredSettlement; to: Where } {
  const { attempt, stage } = lease
  switch (kind) {
    case 'done':
      return { settlement: { kind }, to: { kind } }
    case 'parked':
      return { settlement: { kind, failure }, to: { kind } }
    case 'returned':
      return { settlement: { kind }, to: { kind: 'owed', attempt, stage, dueMs: 0 } }
    case 'dead-letter':
      return { settlement: { kind, failure }, to: { kind: 'owed', attempt: 0, stage: 'dead-letter', dueMs: 0 } }
    case 'postponed':
      return {
        settlement: { kind, dueMs, attempt: attempt + 1 },
        to: { kind: 'owed', attempt: attempt + 1, stage, dueMs },
      }
    default:
      return kind satisfies never
  }
}

test('through crashes and restarts, every delivery is where a simple model says that it may be', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 5, maxLength: 30 }), async ops => {
      await using run = await Run.start()
      for (const one of ops) await run.step(one)
      await run.check()
    }),
    { numRuns: 20, interruptAfterTimeLimit: 60_000, examples: [[BUSY]] },
  )
})
