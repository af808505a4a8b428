import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decideBalance } from '../../../adapters/azure-event-hubs/balance.ts'

const names = (count: number, prefix: string) => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

/** All members decide at once from what they see, and the store lets one have what two claim. */
function round(partitions: readonly string[], members: readonly string[], owners: Map<string, string>): number {
  const decided = members.map(me => ({ me, ...decideBalance({ partitions, owners, members, me }) }))
  let changes = 0
  const before = new Map(owners)
  for (const { giveUp } of decided)
    for (const one of giveUp) {
      owners.delete(one)
      changes++
    }
  for (const { me, claim } of decided)
    for (const one of claim) {
      assert.ok(!before.has(one), 'what is owned was claimed')
      if (owners.has(one)) continue
      owners.set(one, me)
      changes++
    }
  return changes
}

const worlds = fc.record({
  partitions: fc.integer({ min: 1, max: 40 }).map(count => names(count, 'p')),
  members: fc.integer({ min: 1, max: 12 }).map(count => names(count, 'm')),
  seed: fc.array(fc.integer({ min: -1, max: 11 }), { minLength: 40, maxLength: 40 }),
})

test('whoever has what, all come to the same number but for one within a few rounds, and then nothing moves', () => {
  fc.assert(
    fc.property(worlds, ({ partitions, members, seed }) => {
      const owners = new Map<string, string>()
      for (const [i, partition] of partitions.entries()) {
        const owner = members[seed[i] ?? -1]
        if (owner !== undefined) owners.set(partition, owner)
      }
      let rounds = 0
      while (round(partitions, members, owners) > 0) assert.ok(++rounds < 60, 'they do not come to rest')
      const counts = members.map(me => [...owners.values()].filter(one => one === me).length)
      assert.equal(owners.size, partitions.length)
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join(' '))
    }),
  )
})

test('a newcomer takes from nobody: it waits until others give up what is over', () => {
  const partitions = names(4, 'p')
  const owners = new Map(partitions.map(one => [one, 'a']))
  assert.deepEqual(decideBalance({ partitions, owners, members: ['a', 'b'], me: 'b' }), { claim: [], giveUp: [] })
  assert.equal(decideBalance({ partitions, owners, members: ['a', 'b'], me: 'a' }).giveUp.length, 2)
})

test("somebody else's reader that is no member counts as one", () => {
  const partitions = names(4, 'p')
  const owners = new Map([
    ['p0', 'official'],
    ['p1', 'official'],
  ])
  assert.deepEqual(decideBalance({ partitions, owners, members: ['me'], me: 'me' }).claim.toSorted(), ['p2', 'p3'])
})

test('more members than partitions leave some with none, and nothing moves', () => {
  const owners = new Map([['p0', 'a']])
  for (const me of ['a', 'b', 'c'])
    assert.deepEqual(decideBalance({ partitions: ['p0'], owners, members: ['a', 'b', 'c'], me }), {
      claim: [],
      giveUp: [],
    })
})
