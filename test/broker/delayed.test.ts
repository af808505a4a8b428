import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TriggerRoute } from '../../contract/routes.ts'
import { failed, ok, openDeliveries } from '../support/deliveries.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { FAST, trigger } from '../support/running-broker.ts'
import { storePlace } from '../support/sqlite-store.ts'
import { eventually } from '../support/subscriber.ts'

/** A durable store that lives through several processes, on one clock. */
async function openPlace(route: TriggerRoute) {
  const place = await storePlace()
  const clock = new ManualClock()
  return {
    clock,
    async open() {
      const store = await place.open(clock)
      return openDeliveries([route], 1 << 20, clock, store)
    },
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  }
}

const HOUR_MS = 3_600_000

test('an event that is held back waits through a restart, without an attempt, and then goes', async () => {
  await using place = await openPlace(trigger('t', 'http://a', { deliverAfter: 'honour' }))
  const before = await place.open()
  const broken: Error[] = []
  before.store.onFailure(error => broken.push(error))
  // Half a millisecond is no time that a store could keep.
  await before.append(1, 2, { deliverafter: 'PT1H0.0005S' })
  await eventually(() => before.delivery.backlog()[0]?.retrying === 1, 'it is held back')
  await before.store[Symbol.asyncDispose]()
  assert.deepEqual(broken, [])

  const after = await place.open()
  await place.clock.advance(HOUR_MS)
  assert.deepEqual([after.open.length, after.delivery.backlog()[0]?.retrying], [0, 1])
  await place.clock.advance(1)
  await eventually(() => after.open.length === 1, 'it goes')
  await after.end(ok)
  assert.equal(after.delivery.backlog()[0]?.delivered, 1)
  await after.store[Symbol.asyncDispose]()
})

test('what expires while the broker is down is not attempted when it comes back, and its record says so', async () => {
  await using place = await openPlace(
    trigger('t', 'http://a', { expiry: 'discard', delivery: { ...FAST, backoffMs: 2 * HOUR_MS } }),
  )
  const before = await place.open()
  const expirytime = new Date(place.clock.nowMs() + HOUR_MS).toISOString()
  await before.append(1, 2, { expirytime })
  await before.end(failed)
  await before.store[Symbol.asyncDispose]()
  await place.clock.advance(HOUR_MS)
  const after = await place.open()
  await eventually(() => after.delivery.readings()[0]?.tally.expired === 1, 'it is expired')
  assert.equal(after.open.length, 0)
  await after.store.flush()
  const delivery = (await after.store.archive.event(1))?.deliveries[0]
  assert.equal(delivery?.state, 'discarded')
  assert.equal(delivery.attempts.at(-1)?.words, `expired at ${expirytime}`)
  await after.store[Symbol.asyncDispose]()
})
