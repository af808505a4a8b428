import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EventStore, Failure, Lease, Match, Routing } from '../../broker/store.ts'
import { brokerId, type TriggerId, triggerId } from '../../contract/ids.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'

/** One place where a store lives. */
export interface StoreUnderTest extends AsyncDisposable {
  open(clock: ManualClock): Promise<EventStore>
}

export const shop = brokerId('default', 'shop')
export const orders = triggerId('default', 'orders')
export const audit = triggerId('default', 'audit')
const failure: Failure = { destination: 'http://127.0.0.1:1/', code: 503, data: 'closed “today”' }

/** A binary event of `type` whose id is `id`. */
export function eventOf(id: string, type = 'order.created', body = `body of ${id}`): CloudEvent {
  const attributes = Object.assign(noAttributes(), {
    specversion: '1.0',
    id,
    source: '/test',
    type,
    datacontenttype: 'text/plain',
    naïve: 'Grüße 🎈 \u0000 "quoted"',
  })
  return { mode: 'binary', attributes, body: Buffer.from(body) }
}

/** Every Trigger of `names` wants every event; `audit` wants only those whose type begins with `audit`. */
export function routingOf(...triggers: readonly (readonly [TriggerId, string])[]): Routing {
  const match: Match = (_broker, event) =>
    triggers.map(([id]) => id).filter(id => id !== audit || event.attributes.type?.startsWith('audit') === true)
  return { triggers: triggers.map(([id, uid]) => ({ id, uid, broker: shop })), match }
}

/**
 * Leases up to `max` of `trigger`, giving the store time to fetch what is not in memory: a moment of real time for its
 * thread, none on the manual clock.
 */
export async function leaseSoon(store: EventStore, trigger: TriggerId, max: number): Promise<Lease[]> {
  const leases: Lease[] = []
  const untilMs = performance.now() + 20_000
  // What waits comes from the disk of a machine that may be busy.
  const comes = () => (store.counts(trigger)?.waiting ?? 0) > 0 && performance.now() < untilMs
  for (let idle = 0; leases.length < max && (idle < 20 || comes()); idle++) {
    const more = store.lease(trigger, max - leases.length)
    leases.push(...more)
    if (more.length > 0) idle = 0
    await (idle < 5 ? settle() : new Promise(resolve => setTimeout(resolve, 5)))
  }
  return leases
}

/**
 * The promises of the port `EventStore`.
 * @param keeps `durable`: what is there survives `open` after a dispose, which is held to the promises of that too.
 */
export function eventStoreConformance(
  name: string,
  keeps: 'durable' | 'transient',
  make: () => Promise<StoreUnderTest>,
): void {
  const behaves = (what: string, body: (store: EventStore, clock: ManualClock) => Promise<void>) =>
    test(what, async () => {
      await using place = await make()
      const clock = new ManualClock()
      await using store = await place.open(clock)
      await store.route(routingOf([orders, 'uid-1'], [audit, 'uid-2']))
      await body(store, clock)
    })

  describe(`${name} keeps the promises of EventStore`, () => {
    behaves('an event comes back as it went in', async (store, clock) => {
      const event = eventOf('a')
      const structured: CloudEvent = { ...eventOf('b'), mode: 'structured', body: Buffer.from([0, 255, 128, 10]) }
      const empty: CloudEvent = { ...eventOf('c'), body: new Uint8Array() }
      for (const one of [event, structured, empty]) await store.append(shop, one, 17)
      const leases = await leaseSoon(store, orders, 3)
      assert.equal(leases.length, 3)
      for (const [i, one] of [event, structured, empty].entries()) {
        const lease = leases[i]
        assert.deepEqual(lease?.event.attributes, one.attributes)
        assert.equal(lease?.event.mode, one.mode)
        assert.deepEqual(Buffer.from(lease?.event.body ?? []), Buffer.from(one.body))
        assert.deepEqual([lease?.hops, lease?.attempt, lease?.stage], [17, 0, 'subscriber'])
        assert.deepEqual([lease?.failure, lease?.acceptedMs], [undefined, clock.nowMs()])
      }
    })

    behaves('append names the Triggers that wanted the event and positions that ascend', async store => {
      const first = await store.append(shop, eventOf('a'), 255)
      const second = await store.append(shop, eventOf('b', 'audit.x'), 255)
      if (first.matched !== undefined) {
        assert.deepEqual(first.matched, [orders])
        assert.deepEqual(second.matched, [orders, audit])
      }
      assert.ok(second.seq > first.seq)
      assert.equal((await leaseSoon(store, audit, 5))[0]?.event.attributes.id, 'b')
    })

    behaves('events are leased oldest first, each to one taker', async store => {
      await Promise.all(Array.from({ length: 50 }, (_, i) => store.append(shop, eventOf(`e${i}`), 255)))
      const one = await leaseSoon(store, orders, 20)
      const two = await leaseSoon(store, orders, 100)
      const seqs = [...one, ...two].map(lease => lease.seq)
      assert.equal(new Set(seqs).size, 50)
      assert.deepEqual(
        seqs,
        seqs.toSorted((a, b) => a - b),
      )
      assert.deepEqual(store.lease(orders, 10), [])
    })

    behaves('counters follow an event through its life', async (store, clock) => {
      const startMs = clock.nowMs()
      const counts = () => {
        const { waiting, retrying, inFlight, parked } = store.counts(orders) ?? {}
        return [waiting, retrying, inFlight, parked]
      }
      assert.deepEqual(counts(), [0, 0, 0, 0])
      assert.equal(store.counts(orders)?.oldestMs, undefined)
      await store.append(shop, eventOf('a'), 255)
      assert.deepEqual(counts(), [1, 0, 0, 0])
      assert.equal(store.counts(orders)?.oldestMs, startMs)
      store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'returned' })
      assert.deepEqual(counts(), [1, 0, 0, 0])
      const lease = only(await leaseSoon(store, orders, 1))
      assert.deepEqual(counts(), [0, 0, 1, 0])
      store.settle(lease, { kind: 'postponed', dueMs: startMs + 1000, attempt: 1 })
      assert.deepEqual(counts(), [0, 1, 0, 0])
      assert.equal(store.counts(orders)?.nextDueMs, startMs + 1000)
      assert.ok((store.counts(orders)?.oldestMs ?? Infinity) <= startMs)
      await clock.advance(1000)
      store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'parked', failure })
      assert.deepEqual(counts(), [0, 0, 0, 1])
      assert.equal(store.counts(orders)?.nextDueMs, undefined)
      assert.equal(store.counts(orders)?.oldestMs, undefined)
      assert.equal(store.counts(triggerId('default', 'nobody')), undefined)
    })

    behaves('a postponed event is not due before its time, and then carries its attempts', async (store, clock) => {
      await store.append(shop, eventOf('a'), 255)
      const dueMs = clock.nowMs() + 500
      store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'postponed', dueMs, attempt: 3 })
      await clock.advance(499)
      assert.deepEqual(await leaseSoon(store, orders, 1), [])
      await clock.advance(1)
      const again = only(await leaseSoon(store, orders, 1))
      assert.deepEqual([again.attempt, again.stage, again.event.attributes.id], [3, 'subscriber', 'a'])
    })

    behaves('an event postponed to a time that has passed is due at once', async (store, clock) => {
      await store.append(shop, eventOf('a'), 255)
      const lease = only(await leaseSoon(store, orders, 1))
      store.settle(lease, { kind: 'postponed', dueMs: clock.nowMs(), attempt: 1 })
      assert.equal(store.counts(orders)?.waiting, 1)
      assert.equal(only(await leaseSoon(store, orders, 1)).attempt, 1)
    })

    behaves(
      'when the wall clock is set back, what is postponed comes neither later nor earlier for it',
      async (store, clock) => {
        for (const id of ['a', 'b', 'c']) await store.append(shop, eventOf(id), 255)
        const [a, b, c] = await leaseSoon(store, orders, 3)
        assert.ok(a && b && c)
        const postpone = (lease: Lease, ms: number) =>
          store.settle(lease, { kind: 'postponed', dueMs: clock.nowMs() + ms, attempt: 1 })
        postpone(a, 10_000)
        postpone(b, 90_000)
        clock.jump(-365 * 86_400_000)
        await clock.advance(5000)
        postpone(c, 15_000)
        for (const [ms, id] of [
          [5000, 'a'],
          [10_000, 'c'],
          [70_000, 'b'],
        ] as const) {
          await clock.advance(ms - 1)
          assert.deepEqual(await leaseSoon(store, orders, 1), [], `before ${id}`)
          await clock.advance(1)
          assert.deepEqual(ids(await leaseSoon(store, orders, 1)), [id])
        }
      },
    )

    behaves('when the wall clock is set forward, what is due by then comes within a minute', async (store, clock) => {
      await store.append(shop, eventOf('a'), 255)
      const dueMs = clock.nowMs() + 86_400_000
      store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'postponed', dueMs, attempt: 1 })
      clock.jump(86_400_000)
      await clock.advance(60_000)
      assert.equal(only(await leaseSoon(store, orders, 1)).attempt, 1)
    })

    behaves('retries come due in the order of their times', async (store, clock) => {
      for (const id of ['a', 'b', 'c']) await store.append(shop, eventOf(id), 255)
      const startMs = clock.nowMs()
      const delays = [300, 100, 200]
      for (const [i, lease] of (await leaseSoon(store, orders, 3)).entries()) {
        store.settle(lease, { kind: 'postponed', dueMs: startMs + (delays[i] ?? 0), attempt: 1 })
      }
      const order: (string | undefined)[] = []
      for (let step = 0; step < 3; step++) {
        await clock.advance(100)
        for (const lease of await leaseSoon(store, orders, 9)) order.push(lease.event.attributes.id)
      }
      assert.deepEqual(order, ['b', 'c', 'a'])
    })

    behaves('the dead-letter stage is due at once, counts from zero and says why', async (store, clock) => {
      await store.append(shop, eventOf('a'), 255)
      store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'dead-letter', failure })
      const dead = only(await leaseSoon(store, orders, 1))
      assert.deepEqual([dead.stage, dead.attempt, dead.failure], ['dead-letter', 0, failure])
      store.settle(dead, { kind: 'postponed', dueMs: clock.nowMs() + 50, attempt: 1 })
      await clock.advance(50)
      const retried = only(await leaseSoon(store, orders, 1))
      assert.deepEqual([retried.stage, retried.attempt, retried.failure], ['dead-letter', 1, failure])
      store.settle(retried, { kind: 'done' })
      assert.equal(store.counts(orders)?.oldestMs, undefined)
    })

    behaves('a returned event keeps its place and its attempts', async store => {
      for (const id of ['a', 'b']) await store.append(shop, eventOf(id), 255)
      store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'returned' })
      assert.equal(only(await leaseSoon(store, orders, 1)).event.attributes.id, 'a')
    })

    behaves('settling a lease twice is an assertion failure, after a second lease too', async store => {
      await store.append(shop, eventOf('a'), 255)
      const first = only(await leaseSoon(store, orders, 1))
      store.settle(first, { kind: 'returned' })
      assert.throws(() => store.settle(first, { kind: 'done' }), assert.AssertionError)
      const second = only(await leaseSoon(store, orders, 1))
      assert.throws(() => store.settle(first, { kind: 'done' }), assert.AssertionError)
      store.settle(second, { kind: 'done' })
      assert.throws(() => store.settle(second, { kind: 'done' }), assert.AssertionError)
    })

    behaves('who came back short is told when something is due, once', async (store, clock) => {
      const told: TriggerId[] = []
      store.onDue(trigger => told.push(trigger))
      assert.equal(store.lease(orders, 1).length, 0)
      assert.equal(store.lease(audit, 1).length, 0)
      await store.append(shop, eventOf('a'), 255)
      await store.append(shop, eventOf('b'), 255)
      await settle()
      assert.deepEqual(told, [orders])
      const [first, second] = await leaseSoon(store, orders, 2)
      assert.ok(first !== undefined && second !== undefined)
      store.lease(orders, 1)
      store.settle(first, { kind: 'postponed', dueMs: clock.nowMs() + 100, attempt: 1 })
      await settle()
      assert.deepEqual(told, [orders])
      await clock.advance(100)
      await until(() => told.length === 2)
      store.lease(orders, 2)
      store.settle(second, { kind: 'returned' })
      await settle()
      assert.deepEqual(told, [orders, orders, orders])
    })

    behaves('an event that nobody wants is accepted and owed to nobody', async store => {
      await store.route(routingOf([audit, 'uid-2']))
      const { matched } = await store.append(shop, eventOf('a'), 255)
      if (matched !== undefined) assert.deepEqual(matched, [])
      assert.equal(store.counts(audit)?.waiting, 0)
    })

    behaves('new routes match what is appended from then on, and what is queued stays queued', async store => {
      await store.append(shop, eventOf('a'), 255)
      const late = triggerId('default', 'late')
      assert.deepEqual(await store.route(routingOf([orders, 'uid-1'], [audit, 'uid-2'], [late, 'uid-3'])), [])
      await store.append(shop, eventOf('b'), 255)
      assert.deepEqual(ids(await leaseSoon(store, late, 5)), ['b'])
      assert.deepEqual(ids(await leaseSoon(store, orders, 5)), ['a', 'b'])
    })

    behaves(
      'a Trigger made again under its name does not inherit the queue, and what is dropped is told',
      async store => {
        for (const id of ['a', 'b', 'c', 'd']) await store.append(shop, eventOf(id), 255)
        const [first, second] = await leaseSoon(store, orders, 2)
        assert.ok(first !== undefined && second !== undefined)
        store.settle(first, { kind: 'parked', failure })
        assert.deepEqual(await store.route(routingOf([orders, 'uid-9'])), [
          { trigger: orders, events: 4 },
          { trigger: audit, events: 0 },
        ])
        assert.deepEqual(await leaseSoon(store, orders, 5), [])
        store.settle(second, { kind: 'done' })
        assert.throws(() => store.settle(second, { kind: 'done' }), assert.AssertionError)
        assert.equal(store.counts(orders)?.waiting, 0)
        assert.equal(store.counts(audit), undefined)
        await store.append(shop, eventOf('e'), 255)
        assert.deepEqual(ids(await leaseSoon(store, orders, 5)), ['e'])
      },
    )

    behaves('a long queue comes back whole and in order', async store => {
      const total = 5000
      for (let i = 0; i < total; i += 500) {
        await Promise.all(Array.from({ length: 500 }, (_, j) => store.append(shop, eventOf(`e${i + j}`), 255)))
      }
      assert.equal(store.counts(orders)?.waiting, total)
      let seen = 0
      let last = 0
      while (seen < total) {
        const leases = await leaseSoon(store, orders, 64)
        assert.ok(leases.length > 0, `${seen} of ${total} came back`)
        for (const lease of leases) {
          assert.ok(lease.seq > last)
          last = lease.seq
          assert.equal(lease.event.attributes.id, `e${seen++}`)
          store.settle(lease, { kind: 'done' })
        }
      }
      const { waiting, inFlight, retrying } = store.counts(orders) ?? {}
      assert.deepEqual([waiting, inFlight, retrying], [0, 0, 0])
    })

    test('a closed store accepts nothing, and closing twice is one closing', async () => {
      await using place = await make()
      const store = await place.open(new ManualClock())
      await store[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
      await assert.rejects(store.append(shop, eventOf('a'), 255), { code: 'store-failed' })
    })

    if (keeps === 'transient') return

    const survives = (what: string, body: (place: StoreUnderTest, clock: ManualClock) => Promise<void>) =>
      test(what, async () => {
        await using place = await make()
        await body(place, new ManualClock())
      })

    survives(
      'what is owed, postponed and parked is there after a restart, and what is done is not',
      async (place, clock) => {
        const routing = routingOf([orders, 'uid-1'])
        const startMs = clock.nowMs()
        {
          await using store = await place.open(clock)
          await store.route(routing)
          for (const id of ['done', 'retry', 'dead', 'parked', 'flying', 'waiting'])
            await store.append(shop, eventOf(id), 9)
          const [done, retry, dead, parked] = await leaseSoon(store, orders, 5)
          assert.ok(done && retry && dead && parked)
          store.settle(done, { kind: 'done' })
          store.settle(retry, { kind: 'postponed', dueMs: startMs + 5000, attempt: 4 })
          store.settle(dead, { kind: 'dead-letter', failure })
          store.settle(parked, { kind: 'parked', failure })
        }
        await clock.advance(1000)
        await using store = await place.open(clock)
        await store.route(routing)
        const { waiting, retrying, inFlight, parked, oldestMs, nextDueMs } = store.counts(orders) ?? {}
        assert.deepEqual([waiting, retrying, inFlight, parked], [3, 1, 0, 1])
        assert.deepEqual([oldestMs, nextDueMs], [startMs, startMs + 5000])
        const leases = await leaseSoon(store, orders, 9)
        assert.deepEqual(ids(leases), ['dead', 'flying', 'waiting'])
        assert.deepEqual([leases[0]?.stage, leases[0]?.attempt, leases[0]?.failure], ['dead-letter', 0, failure])
        assert.deepEqual([leases[1]?.hops, leases[1]?.acceptedMs], [9, startMs])
        assert.deepEqual(leases[1]?.event, { ...eventOf('flying'), body: leases[1]?.event.body })
        await clock.advance(4000)
        const retried = only(await leaseSoon(store, orders, 9))
        assert.deepEqual([retried.event.attributes.id, retried.attempt], ['retry', 4])
      },
    )

    survives('a wall clock that was set back while nobody looked makes nothing late', async (place, clock) => {
      const routing = routingOf([orders, 'uid-1'])
      {
        await using store = await place.open(clock)
        await store.route(routing)
        await store.append(shop, eventOf('a'), 9)
        const dueMs = clock.nowMs() + 10_000
        store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'postponed', dueMs, attempt: 1 })
      }
      clock.jump(-86_400_000)
      await using store = await place.open(clock)
      await store.route(routing)
      await clock.advance(9999)
      assert.deepEqual(await leaseSoon(store, orders, 1), [])
      await clock.advance(1)
      assert.equal(only(await leaseSoon(store, orders, 1)).attempt, 1)
    })

    survives('a position is never used twice, across restarts either', async (place, clock) => {
      let last = 0
      for (let life = 0; life < 3; life++) {
        await using store = await place.open(clock)
        await store.route(routingOf([orders, 'uid-1']))
        const { seq } = await store.append(shop, eventOf('a'), 255)
        assert.ok(seq > last)
        last = seq
        for (const lease of await leaseSoon(store, orders, 9)) store.settle(lease, { kind: 'done' })
      }
    })

    survives(
      'a Trigger that was gone begins with nothing when it comes back, and keeps what comes then',
      async (place, clock) => {
        {
          await using store = await place.open(clock)
          await store.route(routingOf([orders, 'uid-1']))
          for (const id of ['a', 'b']) await store.append(shop, eventOf(id), 255)
        }
        {
          await using store = await place.open(clock)
          assert.deepEqual(await store.route(routingOf([orders, 'uid-2'])), [{ trigger: orders, events: 2 }])
          assert.deepEqual(await store.route(routingOf([orders, 'uid-1'])), [{ trigger: orders, events: 0 }])
          assert.deepEqual(await leaseSoon(store, orders, 5), [])
          await store.append(shop, eventOf('c'), 255)
          for (let i = 0; i < 5; i++) {
            await clock.advance(1000)
            await store.flush()
          }
        }
        await using store = await place.open(clock)
        await store.route(routingOf([orders, 'uid-1']))
        assert.deepEqual(ids(await leaseSoon(store, orders, 5)), ['c'])
      },
    )
  })
}

export function only(leases: readonly Lease[]): Lease {
  const [lease] = leases
  assert.ok(lease !== undefined && leases.length === 1, `${leases.length} leases where there is one`)
  return lease
}

export function ids(leases: readonly Lease[]): (string | undefined)[] {
  return leases.map(lease => lease.event.attributes.id)
}

/** Waits for what another thread does: real time, with an end. */
export async function until(condition: () => boolean, limitMs = 30_000): Promise<void> {
  const endMs = performance.now() + limitMs
  while (!condition()) {
    assert.ok(performance.now() < endMs, `not within ${limitMs} ms: ${condition}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
