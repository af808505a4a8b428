import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EventStore, Lease } from '../../broker/store.ts'
import { ManualClock } from '../support/manual-clock.ts'
import {
  audit,
  eventOf,
  ids,
  leaseSoon,
  only,
  orders,
  routingOf,
  type StoreUnderTest,
  shop,
  until,
} from './event-store.ts'

const failure = { destination: 'http://worker/', code: 422, data: 'no stock' }
const record = (words: string, status: number | undefined = 500) => ({ atMs: 1_000_000, tookMs: 2.5, status, words })

/** The promises of `Archive`. @param history `kept`: what is owed to nobody is there too. */
export function archiveConformance(name: string, history: 'kept' | 'none', make: () => Promise<StoreUnderTest>): void {
  const behaves = (what: string, body: (store: EventStore, clock: ManualClock) => Promise<void>) =>
    test(what, async () => {
      await using place = await make()
      const clock = new ManualClock()
      await using store = await place.open(clock)
      await store.route(routingOf([orders, 'uid-1'], [audit, 'uid-2']))
      await body(store, clock)
    })
  const park = async (store: EventStore, ...names: string[]) => {
    for (const id of names) await store.append(shop, eventOf(id), 9)
    for (const lease of await leaseSoon(store, orders, names.length)) {
      store.settle(lease, { kind: 'parked', failure }, record('no stock', 422))
    }
  }
  const seqsOf = async (store: EventStore) => {
    const page = await store.archive.deliveries({ trigger: orders, state: 'parked', limit: 100 })
    return page.deliveries.map(({ seq }) => seq)
  }

  describe(`${name} keeps the promises of Archive`, () => {
    behaves(
      'stored events are found by what they are, newest first or oldest first, page by page',
      async (store, clock) => {
        for (let i = 0; i < 7; i++) {
          await store.append(shop, eventOf(`e${i}`, i % 2 === 0 ? 'even' : 'odd'), 9)
          await clock.advance(1000)
        }
        const all = await store.archive.events({ limit: 100 })
        assert.deepEqual(idsOf(all), ['e6', 'e5', 'e4', 'e3', 'e2', 'e1', 'e0'])
        assert.equal(all.next, undefined)
        const odd = await store.archive.events({ type: 'odd', limit: 2 })
        assert.deepEqual(idsOf(odd), ['e5', 'e3'])
        assert.ok(odd.next !== undefined)
        assert.deepEqual(idsOf(await store.archive.events({ type: 'odd', limit: 2, before: odd.next })), ['e1'])
        assert.deepEqual(idsOf(await store.archive.events({ after: 0, limit: 3 })), ['e0', 'e1', 'e2'])
        assert.deepEqual(idsOf(await store.archive.events({ id: 'e4', source: '/test', limit: 9 })), ['e4'])
        const startMs = clock.nowMs() - 7000
        const some = { sinceMs: startMs + 2000, untilMs: startMs + 4000, limit: 9 }
        assert.deepEqual(idsOf(await store.archive.events(some)), ['e3', 'e2'])
        assert.deepEqual(idsOf(await store.archive.events({ broker: shop, id: 'e', limit: 9 })), [])
        const [event] = all.events
        assert.equal(Buffer.from(event?.event.body ?? '').toString(), 'body of e6')
        assert.deepEqual([event?.broker, event?.matched, event?.damaged], [shop, [orders], false])
      },
    )

    behaves('one event is shown with what became of it for each Trigger, and every attempt', async (store, clock) => {
      const { seq } = await store.append(shop, eventOf('a', 'audit.x'), 9)
      const lease = only(await leaseSoon(store, orders, 1))
      const other = only(await leaseSoon(store, audit, 1))
      const dueMs = clock.nowMs() + 60_000
      store.settle(lease, { kind: 'postponed', dueMs, attempt: 1 }, record('refused', undefined))
      const shown = await store.archive.event(seq)
      const states = shown?.deliveries.map(({ trigger, state }) => [trigger, state]).sort()
      assert.deepEqual(states, [
        [audit, 'in-flight'],
        [orders, 'retrying'],
      ])
      const delivery = shown?.deliveries.find(one => one.trigger === orders)
      assert.deepEqual([delivery?.dueMs, delivery?.attempt], [dueMs, 1])
      const expected = { ...record('refused', undefined), stage: 'subscriber', attempt: 0, fate: 'again' }
      assert.deepEqual(delivery?.attempts, [expected])
      store.settle(other, { kind: 'done' })
      assert.equal(await store.archive.event(seq + 1000), undefined)
    })

    behaves('what is parked is listed and searched, with its failure', async store => {
      await park(store, 'p1', 'p2')
      const { deliveries } = await store.archive.deliveries({ trigger: orders, state: 'parked', limit: 9 })
      assert.deepEqual(
        deliveries.map(({ event, failure }) => [event.event.attributes.id, failure]),
        [
          ['p1', failure],
          ['p2', failure],
        ],
      )
      const count = async (text: string) =>
        (await store.archive.deliveries({ trigger: orders, state: 'parked', text, limit: 9 })).deliveries.length
      assert.deepEqual([await count('No Stock'), await count('422'), await count('nothing')], [2, 2, 0])
      const byId = await store.archive.deliveries({ trigger: orders, state: 'parked', id: 'p2', limit: 9 })
      assert.equal(byId.deliveries.length, 1)
      assert.deepEqual(await store.archive.deliveries({ trigger: audit, state: 'parked', limit: 9 }), {
        deliveries: [],
        next: undefined,
      })
    })

    behaves('what is redriven is due at once from its first attempt, and counted so', async store => {
      await park(store, 'p1', 'p2')
      const seqs = await seqsOf(store)
      assert.equal(await store.archive.owe(orders, seqs), 2)
      await until(() => store.counts(orders)?.waiting === 2)
      assert.equal(store.counts(orders)?.parked, 0)
      const leases = await leaseSoon(store, orders, 9)
      assert.deepEqual(ids(leases), ['p1', 'p2'])
      assert.ok(leases.every(lease => lease.attempt === 0 && lease.stage === 'subscriber'))
      assert.equal(await store.archive.owe(orders, seqs), 0, 'in flight is left alone')
      for (const lease of leases) store.settle(lease, { kind: 'done' })
      assert.deepEqual(await leaseSoon(store, orders, 9), [])
    })

    behaves('a retry that is redriven does not wait any longer', async (store, clock) => {
      const { seq } = await store.append(shop, eventOf('a'), 9)
      const lease = only(await leaseSoon(store, orders, 1))
      store.settle(lease, { kind: 'postponed', dueMs: clock.nowMs() + 3_600_000, attempt: 5 })
      assert.equal(await store.archive.owe(orders, [seq]), 1)
      assert.equal(only(await leaseSoon(store, orders, 1)).attempt, 0)
      assert.equal(store.counts(orders)?.retrying, 0)
    })

    behaves('what is discarded is owed no more', async store => {
      await park(store, 'p1', 'p2')
      const [first = 0] = await seqsOf(store)
      assert.equal(await store.archive.discard(orders, [first, first + 999]), 1)
      assert.equal(store.counts(orders)?.parked, 1)
      assert.equal(await store.archive.discard(orders, [first]), 0)
      assert.equal((await seqsOf(store)).length, 1)
    })

    behaves('a Trigger that is not there has nothing, and nothing can be done for it', async store => {
      await store.route(routingOf([orders, 'uid-1']))
      assert.equal(await store.archive.owe(audit, [1, 2]), 0)
      assert.equal(await store.archive.discard(audit, [1, 2]), 0)
    })

    if (history === 'none') return
    behaves('what was delivered is kept, and can be owed again, also to a Trigger that never had it', async store => {
      const { seq } = await store.append(shop, eventOf('a'), 9)
      const lease = only(await leaseSoon(store, orders, 1))
      store.settle(lease, { kind: 'done' })
      assert.equal((await store.archive.event(seq))?.deliveries[0]?.state, 'delivered')
      assert.equal(await store.archive.owe(orders, [seq]), 1)
      assert.equal(await store.archive.owe(audit, [seq]), 1)
      for (const trigger of [orders, audit]) {
        store.settle(only(await leaseSoon(store, trigger, 9)), { kind: 'done' })
        assert.deepEqual(await leaseSoon(store, trigger, 9), [])
      }
    })

    behaves('dead letters are listed when the sink has them, with the attempts of both stages', async store => {
      await store.append(shop, eventOf('a'), 9)
      const lease = only(await leaseSoon(store, orders, 1))
      store.settle(lease, { kind: 'dead-letter', failure }, record('no stock', 422))
      const sink: Lease = only(await leaseSoon(store, orders, 1))
      store.settle(sink, { kind: 'done' }, record('202', 202))
      const query = { trigger: orders, state: 'dead-lettered', limit: 9 } as const
      const [dead] = (await store.archive.deliveries(query)).deliveries
      assert.equal(dead?.state, 'dead-lettered')
      assert.deepEqual(
        dead?.attempts.map(({ stage, words, fate }) => [stage, words, fate]),
        [
          ['dead-letter', '202', 'dead-lettered'],
          ['subscriber', 'no stock', 'again'],
        ].sort((a, b) => (a[0] === 'subscriber' ? -1 : b[0] === 'subscriber' ? 1 : 0)),
      )
    })

    behaves('a long row of failures keeps its beginning and its end', async (store, clock) => {
      const { seq } = await store.append(shop, eventOf('a'), 9)
      for (let attempt = 0; attempt < 50; attempt++) {
        const lease = only(await leaseSoon(store, orders, 1))
        const atMs = clock.nowMs()
        store.settle(lease, { kind: 'postponed', dueMs: atMs + 1000, attempt: attempt + 1 }, { ...record('x'), atMs })
        await clock.advance(1000)
      }
      const attempts = (await store.archive.event(seq))?.deliveries[0]?.attempts.map(one => one.attempt)
      assert.deepEqual(attempts, [0, 1, 2, 3, 4, ...Array.from({ length: 15 }, (_, i) => 35 + i)])
    })
  })
}

function idsOf(page: { readonly events: readonly { readonly event: Lease['event'] }[] }): (string | undefined)[] {
  return page.events.map(({ event }) => event.attributes.id)
}
