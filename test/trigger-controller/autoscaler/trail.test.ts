import assert from 'node:assert/strict'
import { test } from 'node:test'
import { triggerId } from '../../../contract/ids.ts'
import { Trail } from '../../../trigger-controller/autoscaler/trail.ts'
import { CLUSTER } from '../../../trigger-controller/profile.ts'
import { MemoryBacklog } from '../../support/memory-world.ts'

const orders = triggerId('shop', 'orders')

function trail() {
  const backlog = new MemoryBacklog()
  const followed = new Trail(CLUSTER.scaling)
  return {
    followed,
    at(atMs: number, accepted: number, delivered = 0, busyMs = 0) {
      backlog.set(orders, { accepted, delivered, busyMs })
      const [entry] = backlog.read()
      assert.ok(entry !== undefined)
      followed.add(entry, atMs)
    },
  }
}

test('a rate is what came within the window, by the second', () => {
  const { followed, at } = trail()
  for (let second = 0; second <= 120; second++) at(second * 1_000, second * 30)
  assert.equal(followed.rate('accepted', 60_000, 120_000), 30)
  assert.equal(followed.rate('accepted', 6_000, 120_000), 30)
})

test('a burst after a long sleep counts as what it is, and is over when its window is', () => {
  const { followed, at } = trail()
  at(0, 0)
  at(3_600_000, 600)
  assert.equal(followed.rate('accepted', 6_000, 3_600_000), 100)
  assert.equal(followed.rate('accepted', 60_000, 3_600_000), 10)
  at(3_607_000, 600)
  assert.equal(followed.rate('accepted', 6_000, 3_607_000), 0)
  assert.equal(followed.rate('accepted', 60_000, 3_607_000), 10)
})

test('what was accepted before the first look is no arrival', () => {
  const { followed, at } = trail()
  at(0, 1_000_000)
  assert.equal(followed.rate('accepted', 6_000, 0), 0)
})

test('the service time is known after twenty deliveries, and follows what changes', () => {
  const { followed, at } = trail()
  at(0, 0)
  at(1_000, 19, 19, 1_900)
  assert.equal(followed.serviceMs, undefined)
  at(2_000, 20, 20, 2_000)
  assert.equal(followed.serviceMs, 100)
  at(40_000, 40, 40, 4_000)
  at(80_000, 80, 80, 24_000)
  assert.equal(followed.serviceMs, 500)
})

test('a broker that begins anew counts from nothing again, and what is known stays known', () => {
  const { followed, at } = trail()
  at(0, 0)
  at(1_000, 100, 100, 5_000)
  at(2_000, 3, 0, 0)
  assert.equal(followed.rate('accepted', 6_000, 2_000), 0)
  assert.equal(followed.serviceMs, 50)
  at(3_000, 9, 0, 0)
  assert.equal(followed.rate('accepted', 6_000, 3_000), 1)
})

test('it says when something last came or went', () => {
  const { followed, at } = trail()
  at(0, 5, 5)
  assert.equal(followed.movedMs, undefined)
  at(1_000, 6, 5)
  at(2_000, 6, 5)
  assert.equal(followed.movedMs, 1_000)
})

test('a thousand looks a second over a day keep a bounded memory and true rates', () => {
  const { followed, at } = trail()
  for (let ms = 0; ms < 200_000; ms += 5) at(ms, ms)
  const rate = followed.rate('accepted', 60_000, 199_995)
  assert.ok(rate >= 1_000 && rate < 1_010, `${rate}`)
})
