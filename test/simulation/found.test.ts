import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asleep, failed, ok, openDeliveries as open, ready, refused } from '../support/deliveries.ts'
import { FAST, trigger, url } from '../support/running-broker.ts'

// What the simulation found, as small as it gets.

const batch = { maxEvents: 4, maxWaitMs: 1000, maxBytes: 1 << 20 }
const delivery = { ...FAST, retries: 0 }

test('what is left of a batch that failed waits for a replica as any event does, wakes somebody, and goes', async () => {
  const it = await open([trigger('t', asleep, { batch, concurrency: 1, delivery })])
  it.scale(ready)
  await it.append(4)
  it.scale({})
  await it.end(refused)
  const { inFlight, waiting } = it.delivery.backlog()[0] ?? {}
  assert.deepEqual([inFlight, waiting, it.held.length > 0], [0, 4, true])
  it.scale(ready)
  await it.clock.advance(1000)
  while (it.open.length > 0) await it.end(ok)
  assert.equal(it.delivery.backlog()[0]?.delivered, 4)
})

test('what is left of a batch that failed goes when the circuit closes, though dead letters went meanwhile', async () => {
  const circuit = { failures: 1, waitMs: 10_000 }
  const limits = { total: undefined, perSecond: undefined, adaptive: false, circuit }
  const it = await open([
    trigger('t', 'http://a', { batch, concurrency: 2, delivery, limits, deadLetter: url('http://sink') }),
  ])
  await it.append(1)
  await it.clock.advance(1000)
  await it.end(refused)
  await it.clock.advance(1000) // its dead letter is on its way, and hangs
  await it.append(4)
  const [sink] = it.open.splice(0, 1)
  assert.equal(sink?.request.url, 'http://sink')
  await it.end(failed)
  await it.clock.advance(10_000)
  assert.equal(it.open.length, 1)
  while (it.open.length > 0) await it.end(ok)
  assert.equal(it.delivery.backlog()[0]?.delivered, 4)
})
