import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { replicaBar } from '../../console/replica-bar.ts'
import { keepUnchanged } from '../../console/state.ts'
import { titleOf, totalsOf } from '../../console/totals.ts'
import { broker, scale, source, trigger, world } from './scenery.ts'

test('an unknown lag is neither added nor left out', () => {
  assert.deepEqual(totalsOf(world({ sources: [source({ lag: 7 }), source({ lag: null })] })).lag, {
    known: 7,
    unknown: 1,
  })
  assert.equal(totalsOf(world()).lag, null)
})

test('replicas behind two Triggers are counted once', () => {
  const replicas = { ready: 2, desired: 3, max: 8 }
  const triggers = [trigger({ name: 'a', replicas }), trigger({ name: 'b', replicas })]
  const other = trigger({ name: 'c', subscriber: 'http://other/', replicas })
  const totals = totalsOf(world({ triggers: [...triggers, other] }))
  assert.deepEqual([totals.replicasReady, totals.replicasDesired], [4, 6])
})

test('the segments of a replica bar are all that may ever run, each once', () => {
  fc.assert(
    fc.property(fc.nat(50), fc.nat(50), fc.nat(50), (ready, desired, max) => {
      const bar = replicaBar({ ready, desired, max })
      assert.equal(bar.ready + bar.starting + bar.draining + bar.free, Math.max(ready, desired, max))
      assert.equal(bar.ready + bar.draining, ready)
      assert.equal(bar.ready + bar.starting, desired)
    }),
  )
})

test('a bar says in words where it is going', () => {
  assert.equal(replicaBar({ ready: 4, desired: 4, max: 8 }).words, '4 of 8')
  assert.equal(replicaBar({ ready: 4, desired: 0, max: 8 }).words, '4 → 0 of 8')
})

test('a row that says the same again stays the same object, and only that one', () => {
  const before = world({
    triggers: [trigger({ name: 'a' }), trigger({ name: 'b' })],
    sources: [source()],
    scale: [scale()],
  })
  const said = structuredClone({ ...before, triggers: [trigger({ name: 'b', backlog: 1 }), trigger({ name: 'a' })] })
  const after = keepUnchanged(before, said)
  assert.deepEqual(after, said)
  assert.equal(after.triggers[1], before.triggers[0])
  assert.notEqual(after.triggers[0], before.triggers[1])
  assert.equal(after.sources[0], before.sources[0])
  assert.equal(after.scale[0], before.scale[0])
  assert.equal(after.brokers[0], before.brokers[0])
})

test('the title of the tab says from afar what a person wants to know', () => {
  const nothing = { events: [], backlogs: new Map(), trouble: undefined }
  const live = { ...nothing, connection: { kind: 'live', updatedMs: 0 } } as const
  assert.equal(titleOf({ ...live, state: world({ brokers: [broker()] }) }), 'Weir')
  assert.equal(
    titleOf({ ...live, state: world({ triggers: [trigger({ backlog: 1200, parked: 3 })] }) }),
    '1,200 waiting · Weir',
  )
  assert.equal(titleOf({ ...live, state: world({ triggers: [trigger({ parked: 3 })] }) }), '3 parked · Weir')
  assert.equal(titleOf({ ...nothing, connection: { kind: 'lost', seenMs: 0 }, state: world() }), 'Weir stopped?')
})
