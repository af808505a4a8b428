import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Adaptive, Circuit, TokenBucket } from '../../broker/limits.ts'

test('a rate lets no more through in any stretch of time than the stretch allows and one second’s worth waited', () => {
  const steps = fc.array(fc.record({ waitMs: fc.nat(3000), want: fc.nat(50) }), { maxLength: 60 })
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 200, noNaN: true }), steps, (perSecond, all) => {
      const bucket = new TokenBucket(perSecond, 0)
      const taken: { readonly atMs: number; readonly tokens: number }[] = []
      let nowMs = 0
      for (const { waitMs, want } of all) {
        nowMs += waitMs
        const tokens = Math.min(want, bucket.room(nowMs))
        bucket.take(tokens, nowMs)
        taken.push({ atMs: nowMs, tokens })
      }
      for (const [i, first] of taken.entries()) {
        let sum = 0
        for (const one of taken.slice(i)) {
          sum += one.tokens
          const allowed = Math.max(1, perSecond) + ((one.atMs - first.atMs) / 1000) * perSecond
          assert.ok(sum <= allowed + 1e-6, `${sum} in ${one.atMs - first.atMs} ms at ${perSecond}/s`)
        }
      }
    }),
  )
})

test('a rate says how long it takes until there is room, and there is room then', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.001, max: 1000, noNaN: true }),
      fc.integer({ min: 1, max: 20 }),
      (perSecond, debt) => {
        const bucket = new TokenBucket(perSecond, 0)
        bucket.take(Math.max(1, perSecond) + debt - 1, 0)
        const waitMs = bucket.waitMs(1, 0)
        assert.ok(waitMs > 0)
        assert.equal(bucket.room(waitMs * 0.999 - 0.001) >= 1, false)
        assert.ok(bucket.room(waitMs * 1.001) >= 1)
      },
    ),
  )
})

test('what a subscriber bears is halved once for all that were open when it complained, and grows by one per round', () => {
  const adaptive = new Adaptive()
  for (let number = 1; number <= 8; number++) adaptive.began(number)
  for (let number = 1; number <= 8; number++) adaptive.refused(number, 8)
  assert.equal(adaptive.limit, 4)
  for (let i = 0; i < 4; i++) adaptive.succeeded(4)
  assert.ok(adaptive.limit > 4.9 && adaptive.limit <= 5, String(adaptive.limit))
  adaptive.began(9)
  adaptive.refused(9, 5)
  assert.equal(adaptive.limit, 2)
})

test('it never falls below one, and successes that do not use it up prove nothing', () => {
  const adaptive = new Adaptive()
  for (let number = 1; number <= 10; number++) {
    adaptive.began(number)
    adaptive.refused(number, 1)
  }
  assert.equal(adaptive.limit, 1)
  const wide = new Adaptive()
  wide.began(1)
  wide.refused(1, 20)
  for (let i = 0; i < 100; i++) wide.succeeded(3)
  assert.equal(wide.limit, 10)
})

test('whatever a subscriber answers, its limit stays between one and the concurrency, and one round trip cuts it once', () => {
  const ends = fc.array(fc.record({ which: fc.nat(99), refuses: fc.boolean() }), { maxLength: 200 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), ends, (concurrency, all) => {
      const adaptive = new Adaptive()
      const open: number[] = []
      let begun = 0
      let cutAt = 0
      for (const { which, refuses } of all) {
        while (open.length < Math.min(concurrency, Math.floor(adaptive.limit))) {
          adaptive.began(++begun)
          open.push(begun)
        }
        const before = adaptive.limit
        const [number = 0] = open.splice(which % open.length, 1)
        if (!refuses) adaptive.succeeded(open.length + 1)
        else {
          adaptive.refused(number, open.length + 1)
          if (number <= cutAt) assert.equal(adaptive.limit, before)
          else {
            assert.ok(adaptive.limit <= Math.max(1, before / 2))
            cutAt = begun
          }
        }
        assert.ok(adaptive.limit >= 1)
        assert.ok(adaptive.limit === Number.POSITIVE_INFINITY || adaptive.limit < concurrency + 2)
      }
    }),
  )
})

test('a circuit opens after failures in a row only, lets one through when its time is over, and closes when that works', () => {
  const circuit = new Circuit({ failures: 3, waitMs: 1000 })
  circuit.fails(1, 0)
  circuit.fails(2, 0)
  circuit.works()
  circuit.fails(3, 0)
  circuit.fails(4, 0)
  assert.equal(circuit.room(0), Number.POSITIVE_INFINITY)
  circuit.fails(5, 0)
  assert.equal(circuit.room(999), 0)
  assert.equal(circuit.room(1000), 1)
  circuit.began(6)
  assert.equal(circuit.room(1001), 0, 'one probe at a time')
  circuit.fails(6, 1500)
  assert.equal(circuit.room(2499), 0)
  assert.equal(circuit.room(2500), 1)
  circuit.began(7)
  circuit.works()
  assert.equal(circuit.room(2500), Number.POSITIVE_INFINITY)
})

test('attempts that began before a circuit opened neither prolong its pause nor end the probe', () => {
  const circuit = new Circuit({ failures: 1, waitMs: 1000 })
  circuit.fails(1, 0)
  circuit.fails(2, 900)
  assert.equal(circuit.room(1000), 1)
  circuit.began(4)
  circuit.fails(3, 1100)
  assert.equal(circuit.openUntilMs, 1000)
  assert.equal(circuit.room(9000), 0, 'the probe is still open')
  circuit.fails(4, 9000)
  assert.equal(circuit.openUntilMs, 10_000)
})

test('whatever happens, a circuit lets at most one probe through per wait while nothing works', () => {
  const steps = fc.array(fc.nat(5000), { minLength: 20, maxLength: 100 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), steps, (failures, waits) => {
      const circuit = new Circuit({ failures, waitMs: 2000 })
      let nowMs = 0
      let number = 0
      for (let i = 0; i < failures; i++) circuit.fails(++number, nowMs)
      const probes: number[] = []
      for (const waitMs of waits) {
        nowMs += waitMs
        if (circuit.room(nowMs) === 0) continue
        circuit.began(++number)
        probes.push(nowMs)
        circuit.fails(number, nowMs)
      }
      for (let i = 1; i < probes.length; i++) assert.ok((probes[i] ?? 0) - (probes[i - 1] ?? 0) >= 2000)
      assert.ok(probes.length > 0 || nowMs < 2000)
    }),
  )
})
