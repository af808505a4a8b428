import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { EventStore, Lease } from '../../broker/store.ts'
import type { CloudEvent } from '../../event/event.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { eventOf, leaseSoon, orders, type StoreUnderTest, shop, until } from './event-store.ts'

const failure = { destination: 'http://a', code: 500, data: '' }
const ordered = (order: string | undefined) => ({
  triggers: [{ id: orders, uid: 'uid-1', broker: shop, order }],
  match: () => [orders],
})

export function keyed(id: string, key: string | undefined, bytes = 5): CloudEvent {
  const event = eventOf(id, 'x', 'x'.repeat(bytes))
  return key === undefined ? event : { ...event, attributes: { ...event.attributes, partitionkey: key } }
}

const idOf = (lease: Lease | undefined) => lease?.event.attributes.id

/** The promises of `RoutedTrigger.order`. @param durable held through closing and opening too. */
export function orderConformance(name: string, durable: boolean, make: () => Promise<StoreUnderTest>): void {
  const behaves = (what: string, body: (store: EventStore, clock: ManualClock) => Promise<void>) =>
    test(what, async () => {
      await using place = await make()
      const clock = new ManualClock()
      await using store = await place.open(clock)
      await store.route(ordered('partitionkey'))
      await body(store, clock)
    })

  describe(`${name} keeps the order of keys`, () => {
    behaves('events of one key go one at a time; others, and those without a key, do not wait', async store => {
      for (const [id, key] of [
        ['a1', 'a'],
        ['a2', 'a'],
        ['b1', 'b'],
        ['n1', undefined],
        ['n2', undefined],
        ['a3', 'a'],
      ] as const)
        await store.append(shop, keyed(id, key), 9)
      const first = await leaseSoon(store, orders, 9)
      assert.deepEqual(first.map(idOf), ['a1', 'b1', 'n1', 'n2'])
      assert.deepEqual([store.counts(orders)?.waiting, store.counts(orders)?.blocked], [0, 2])
      for (const id of ['a2', 'a3']) {
        const head = first.find(lease => lease.event.attributes.partitionkey === 'a')
        assert.ok(head !== undefined)
        store.settle(head, { kind: 'done' })
        first.splice(first.indexOf(head), 1)
        first.push(...(await leaseSoon(store, orders, 9)))
        assert.equal(idOf(first.at(-1)), id)
      }
      assert.equal(store.counts(orders)?.blocked, 0)
    })

    behaves('a key waits for the retry of its event, and no other key does', async (store, clock) => {
      for (const id of ['a1', 'a2', 'b1']) await store.append(shop, keyed(id, id.slice(0, 1)), 9)
      const [a1, b1] = await leaseSoon(store, orders, 9)
      assert.ok(a1 !== undefined && b1 !== undefined)
      store.settle(a1, { kind: 'postponed', dueMs: clock.nowMs() + 60_000, attempt: 1 })
      store.settle(b1, { kind: 'done' })
      await store.append(shop, keyed('a3', 'a'), 9)
      await store.append(shop, keyed('b2', 'b'), 9)
      assert.deepEqual((await leaseSoon(store, orders, 9)).map(idOf), ['b2'])
      await clock.advance(60_000)
      const again = await leaseSoon(store, orders, 1)
      assert.deepEqual([again.map(idOf), again[0]?.attempt], [['a1'], 1])
      assert.deepEqual(await leaseSoon(store, orders, 9), [])
      if (again[0] !== undefined) store.settle(again[0], { kind: 'done' })
      assert.deepEqual((await leaseSoon(store, orders, 9)).map(idOf), ['a2'])
    })

    behaves('a key goes on when its event is parked, or on its way to the sink', async store => {
      for (const id of ['a1', 'a2', 'a3']) await store.append(shop, keyed(id, 'a'), 9)
      const [a1] = await leaseSoon(store, orders, 9)
      assert.ok(a1 !== undefined)
      store.settle(a1, { kind: 'parked', failure })
      const [a2] = await leaseSoon(store, orders, 9)
      assert.equal(idOf(a2), 'a2')
      assert.ok(a2 !== undefined)
      store.settle(a2, { kind: 'dead-letter', failure })
      const both = await leaseSoon(store, orders, 9)
      assert.deepEqual(both.map(lease => [idOf(lease), lease.stage]).sort(), [
        ['a2', 'dead-letter'],
        ['a3', 'subscriber'],
      ])
    })

    behaves('what is given back keeps its place, and its key', async store => {
      for (const id of ['a1', 'a2']) await store.append(shop, keyed(id, 'a'), 9)
      const [a1] = await leaseSoon(store, orders, 9)
      assert.ok(a1 !== undefined)
      store.settle(a1, { kind: 'returned' })
      assert.deepEqual((await leaseSoon(store, orders, 9)).map(idOf), ['a1'])
    })

    behaves('thousands behind one key hold up no other key, are counted, and come in order', async store => {
      const total = 3000
      const all = Array.from({ length: total }, (_, i) => keyed(`a${i}`, 'a', 20))
      await Promise.all(all.map(event => store.append(shop, event, 9)))
      const [head] = await leaseSoon(store, orders, 1)
      await store.append(shop, keyed('b', 'b'), 9)
      assert.deepEqual((await leaseSoon(store, orders, 9)).map(idOf), ['b'])
      await until(() => store.counts(orders)?.blocked === total - 1)
      let next = head
      for (let i = 0; i < total; i++) {
        assert.equal(idOf(next), `a${i}`)
        if (next !== undefined) store.settle(next, { kind: 'done' })
        if (i === total - 1) break
        let found: readonly Lease[] = []
        await until(() => {
          found = store.lease(orders, 1)
          return found.length > 0
        })
        next = found[0]
      }
      assert.equal(store.counts(orders)?.blocked, 0)
    })

    behaves('what comes behind a key while those before it are brought from disk is not forgotten', async store => {
      const total = 400
      let appended = 0
      const append = () => store.append(shop, keyed(`a${appended++}`, 'a', 100), 9)
      await Promise.all(Array.from({ length: 4 }, append))
      const appends: Promise<unknown>[] = []
      for (let i = 0; i < total; i++) {
        let head: Lease | undefined
        await until(() => {
          head = store.lease(orders, 1)[0]
          return head !== undefined
        })
        assert.equal(idOf(head), `a${i}`)
        if (head !== undefined) store.settle(head, { kind: 'done' })
        if (appended < total) appends.push(append())
      }
      await Promise.all(appends)
      assert.equal(store.counts(orders)?.blocked, 0)
    })

    behaves('a Trigger that is ordered no more gets everything, and one that becomes ordered waits', async store => {
      for (const id of ['a1', 'a2', 'a3']) await store.append(shop, keyed(id, 'a'), 9)
      const [a1] = await leaseSoon(store, orders, 1)
      await store.route(ordered(undefined))
      assert.deepEqual((await leaseSoon(store, orders, 9)).map(idOf), ['a2', 'a3'])
      await store.route(ordered('partitionkey'))
      await store.append(shop, keyed('a4', 'a'), 9)
      assert.deepEqual(await leaseSoon(store, orders, 9), [])
      if (a1 !== undefined) store.settle(a1, { kind: 'done' })
      await store.flush()
      assert.equal(store.counts(orders)?.inFlight, 2)
    })

    behaves('several events at once are kept in their order', async store => {
      const events = ['1', '2', '3'].map(id => ({ event: keyed(id, undefined), hops: 7 }))
      const appended = await store.appendAll(shop, events)
      assert.deepEqual(
        appended.map(({ matched }) => matched),
        [[orders], [orders], [orders]],
      )
      const seqs = appended.map(({ seq }) => seq)
      assert.deepEqual(
        seqs,
        [...seqs].sort((a, b) => a - b),
      )
      assert.deepEqual((await leaseSoon(store, orders, 9)).map(idOf), ['1', '2', '3'])
      assert.deepEqual(await store.appendAll(shop, []), [])
    })

    test('whatever happens, a key’s events are in flight one at a time and in their order, and all of them come', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(steps, { minLength: 20, maxLength: 60, size: 'max' }), all =>
          follow(all, durable, make),
        ),
        // What takes a disk is not shrunk: that would take minutes.
        { numRuns: durable ? 10 : 300, endOnFailure: durable },
      )
    })
  })
}

const steps = fc.oneof(
  fc.record({ what: fc.constant('append' as const), key: fc.constantFrom('a', 'b', 'c', undefined) }),
  fc.record({
    what: fc.constantFrom('done', 'postponed', 'returned', 'parked') as fc.Arbitrary<Ending>,
    at: fc.nat(9),
  }),
  fc.record({ what: fc.constant('wait' as const) }),
  fc.record({ what: fc.constant('reopen' as const) }),
)
type Ending = 'done' | 'postponed' | 'returned' | 'parked'
type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never

/** What is there within a few ms. */
async function leaseQuickly(store: EventStore): Promise<Lease[]> {
  const leases: Lease[] = []
  for (let i = 0; i < 3; i++) {
    leases.push(...store.lease(orders, 99))
    await new Promise(resolve => setTimeout(resolve, 3))
  }
  return leases
}

/** Follows the steps, then lets everything end, and compares with what the order allows. */
async function follow(all: readonly Step[], durable: boolean, make: () => Promise<StoreUnderTest>): Promise<void> {
  await using place = await make()
  const clock = new ManualClock()
  let store = await place.open(clock)
  await store.route(ordered('partitionkey'))
  const made: { readonly id: string; readonly key: string | undefined }[] = []
  const ended = new Set<string>()
  let flying: Lease[] = []
  const take = async () => {
    await settle()
    for (const lease of durable ? await leaseQuickly(store) : store.lease(orders, 99)) {
      const { id = '', partitionkey: key } = lease.event.attributes
      assert.equal(ended.has(id), false, `${id} came after its end`)
      if (key !== undefined) {
        const earlier = made.filter(one => one.key === key && !ended.has(one.id))
        assert.equal(earlier[0]?.id, id, `${id} came before ${earlier[0]?.id}`)
        assert.ok(!flying.some(other => other.event.attributes.partitionkey === key), `two of ${key} at once`)
      }
      flying.push(lease)
    }
  }
  const end = (at: number, kind: Ending) => {
    const [lease] = flying.splice(at % Math.max(1, flying.length), 1)
    if (lease === undefined) return
    if (kind === 'postponed') store.settle(lease, { kind, dueMs: clock.nowMs() + 5000, attempt: lease.attempt + 1 })
    else if (kind === 'parked') store.settle(lease, { kind, failure })
    else store.settle(lease, { kind })
    if (kind === 'done' || kind === 'parked') ended.add(lease.event.attributes.id ?? '')
  }
  for (const step of all) {
    if (step.what === 'append') {
      const id = `e${made.length}`
      made.push({ id, key: step.key })
      await store.append(shop, keyed(id, step.key), 9)
    } else if (step.what === 'wait') await clock.advance(5000)
    else if (step.what === 'reopen') {
      if (!durable) continue
      for (const lease of flying) store.settle(lease, { kind: 'returned' })
      flying = []
      await store[Symbol.asyncDispose]()
      store = await place.open(clock)
      await store.route(ordered('partitionkey'))
    } else end(step.at, step.what)
    await take()
  }
  for (let i = 0; i < 200 && ended.size < made.length; i++) {
    while (flying.length > 0) end(0, 'done')
    await clock.advance(5000)
    await take()
  }
  await store[Symbol.asyncDispose]()
  assert.equal(ended.size, made.length)
}
