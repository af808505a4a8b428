import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { countLag, type LagRules } from '../../../clients/kafka/lag.ts'

function at(partition: number, low: number, high: number, committed?: number, topic = 't') {
  const position = committed === undefined ? undefined : BigInt(committed)
  return { topic, partition, low: BigInt(low), high: BigInt(high), committed: position }
}

const all: LagRules = { unread: 'all' }

test('what is between the commit and the end counts, and nothing counts less than nothing', () => {
  assert.equal(countLag([at(0, 0, 150, 100), at(1, 0, 7, 7)], undefined, all), 50)
  // A topic that was made anew under an old group, beside another that waits.
  assert.equal(countLag([at(0, 0, 10, 5_000), at(1, 0, 30, 10)], undefined, all), 20)
})

test('what retention has removed does not count', () => {
  assert.equal(countLag([at(0, 90, 100, 10)], undefined, all), 10)
  assert.equal(countLag([at(0, 90, 100)], undefined, all), 10)
})

test('a partition of which nothing was read counts what it is said to', () => {
  const unread = [at(0, 0, 50), at(1, 0, 50)]
  assert.equal(countLag(unread, undefined, { unread: 'all' }), 100)
  assert.equal(countLag(unread, undefined, { unread: 'one' }), 2)
  assert.equal(countLag(unread, undefined, { unread: 'none' }), 0)
  assert.equal(countLag(unread, undefined, { unread: 'pinned' }), 2)
  // Where the group has read the topic, the partition is new.
  assert.equal(countLag([at(0, 0, 50), at(1, 0, 50, 50)], undefined, { unread: 'pinned' }), 50)
  assert.equal(countLag([at(0, 0, 50), at(1, 0, 50, 50, 'other')], undefined, { unread: 'pinned' }), 1)
})

test('no more replicas are wanted than there are partitions, or partitions with lag', () => {
  const positions = [at(0, 0, 100, 0), at(1, 0, 100, 0), at(2, 0, 0, 0)]
  const capped = (replicas: 'partitions' | 'partitions-with-lag') =>
    countLag(positions, undefined, { unread: 'all', cap: { perReplica: 5, replicas } })
  assert.equal(capped('partitions'), 15)
  assert.equal(capped('partitions-with-lag'), 10)
})

test('an even distribution wants divisors of the partitions', () => {
  for (const [lag, replicas] of [
    [10, 1],
    [20, 2],
    [40, 4],
    [50, 5],
    [99, 10],
    [100, 10],
    [101, 20],
    [5_000, 100],
  ] as const) {
    const positions = Array.from({ length: 100 }, (_, i) => at(i, 0, i === 0 ? lag : 0, 0))
    const counted = countLag(positions, undefined, { unread: 'all', cap: { perReplica: 10, replicas: 'divisors' } })
    assert.equal(counted, replicas * 10, `lag ${lag}`)
  }
})

test('a partition that is stuck wants no replicas, but keeps one awake', () => {
  const before = [at(0, 0, 40, 10), at(1, 0, 40, 10)]
  const now = [at(0, 0, 50, 10), at(1, 0, 50, 20)]
  const rules: LagRules = { unread: 'all', excludeStuck: true }
  assert.equal(countLag(now, undefined, rules), 70)
  assert.equal(countLag(now, before, rules), 30)
  assert.equal(countLag(now, now, rules), 1)
  assert.equal(countLag(now, now, { ...rules, activation: 20 }), 21)
  assert.equal(countLag(now, before, all), 70)
})

test('only the partitions that are asked for count', () => {
  assert.equal(
    countLag([at(0, 0, 5, 0), at(1, 0, 7, 0), at(2, 0, 9, 0)], undefined, { unread: 'all', only: [1, 9] }),
    7,
  )
})

test('a cap never hides that more waits than the activation threshold, and never adds to what waits', () => {
  const offsets = fc.integer({ min: 0, max: 1_000 })
  const partitions = fc.array(fc.tuple(offsets, offsets, offsets), { minLength: 1, maxLength: 8 })
  const caps = fc.constantFrom<'partitions' | 'partitions-with-lag'>('partitions', 'partitions-with-lag')
  fc.assert(
    fc.property(
      partitions,
      caps,
      fc.integer({ min: 1, max: 50 }),
      offsets,
      (given, replicas, perReplica, activation) => {
        const positions = given.map(([low, more, read], i) => at(i, low, low + more, low + read))
        const full = countLag(positions, undefined, all)
        const counted = countLag(positions, undefined, { unread: 'all', cap: { perReplica, replicas }, activation })
        assert.ok(counted <= full)
        assert.equal(counted > activation, full > activation)
      },
    ),
  )
})
