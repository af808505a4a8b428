import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decide, type Flow, type Limits, type Seen, type Work } from '../../../trigger-controller/autoscaler/decide.ts'
import { CLUSTER, laptop } from '../../../trigger-controller/profile.ts'

const profile = CLUSTER.scaling
const limits: Limits = { min: 0, max: 100, cooldownMs: 30_000, profile }
const NOW_MS = 1_000_000

interface Wants {
  readonly target?: number
  readonly activation?: number
  readonly concurrency?: number
}

function flow(changes: Partial<Flow>, wants: Wants = {}): Work {
  return {
    kind: 'trigger',
    name: 'Trigger/orders',
    demand: { target: wants.target, activation: wants.activation ?? 0, concurrency: wants.concurrency ?? 10 },
    flow: {
      waiting: 0,
      inFlight: 0,
      nextDueInMs: undefined,
      stableRate: 0,
      panicRate: 0,
      serviceMs: undefined,
      ...changes,
    },
  }
}

function queue(waiting: number, target = 5, activation = 0): Work {
  return { kind: 'queue', name: 'upstream', demand: { target, activation, concurrency: 1 }, waiting }
}

const unknown: Work = { kind: 'unknown', name: 'upstream', reason: 'no answer' }

function seen(changes: Partial<Seen>): Seen {
  return {
    desired: 0,
    busy: 0,
    work: [],
    idleMs: 0,
    recentPeak: 0,
    panicUntilMs: undefined,
    outlet: true,
    ...changes,
  }
}

function replicas(changes: Partial<Seen>, bounds: Partial<Limits> = {}): number {
  return decide(seen(changes), { ...limits, ...bounds }, NOW_MS).replicas
}

const declared: readonly [waiting: number, target: number, most: number, wanted: number][] = [
  [50, 50, 100, 1],
  [50, 1, 100, 50],
  [51, 50, 100, 2],
  [10, 50, 8, 1],
  [1_000, 50, 100, 20],
  [10_000, 50, 8, 8],
  [8, 2, 10, 4],
  [20, 10, 3, 2],
  [22.222, 6.111, 10, 4],
]
for (const [waiting, target, max, wanted] of declared) {
  test(`${waiting} waiting at ${target} each and at most ${max} ask for ${wanted}, straight from zero`, () => {
    assert.equal(replicas({ work: [flow({ waiting }, { target })] }, { max }), wanted)
    assert.equal(replicas({ work: [queue(waiting, target)] }, { max }), wanted)
  })
}

test('without a declared target or a service time, ten events are one replica', () => {
  assert.equal(replicas({ work: [flow({ waiting: 1 })] }), 1)
  assert.equal(replicas({ work: [flow({ waiting: 10 })] }), 1)
  assert.equal(replicas({ work: [flow({ waiting: 95 })] }), 10)
})

test('rate and service time ask for what Little’s law says at the planned utilisation', () => {
  // 200/s of 0.25 s each are 50 in flight: 50 / (10 · 0.7) = 7.2.
  const work = [flow({ stableRate: 200, panicRate: 200, serviceMs: 250 })]
  assert.equal(replicas({ desired: 7, work }), 8)
})

test('a backlog asks for enough to be gone within the drain goal', () => {
  // 1,000 in 10 s at 1 s each with 10 at once: 100 / 7 = 14.3.
  assert.equal(replicas({ work: [flow({ waiting: 1_000, serviceMs: 1_000 })] }), 15)
})

test('the core rule adds to a declared target and never takes away', () => {
  const fast = { waiting: 1_000, serviceMs: 1 }
  assert.equal(replicas({ work: [flow(fast, { target: 50 })] }), 20)
  const slow = { waiting: 10, stableRate: 70, panicRate: 70, serviceMs: 1_000 }
  assert.equal(replicas({ desired: 9, work: [flow(slow, { target: 50 })] }), 11)
})

test('several Triggers of one target add their loads, and declared targets take the largest', () => {
  const one = flow({ stableRate: 35, panicRate: 35, serviceMs: 1_000 })
  assert.equal(replicas({ desired: 9, work: [one, one] }), 10)
  assert.equal(replicas({ work: [queue(20, 5), queue(30, 5)] }), 6)
})

test('at zero, no more than the activation threshold wakes nobody, and one more asks for everything', () => {
  assert.equal(replicas({ work: [flow({ waiting: 5 }, { activation: 5, target: 1 })] }), 0)
  assert.equal(replicas({ work: [flow({ waiting: 6 }, { activation: 5, target: 1 })] }), 6)
  assert.equal(replicas({ work: [queue(3, 5, 5)] }, { max: 1 }), 0)
  assert.equal(replicas({ work: [queue(8, 5, 5)] }, { max: 1 }), 1)
})

test('zero is reached only when nothing is owed for the whole cooldown, and then at once from any number', () => {
  const idle = { desired: 8, idleMs: 30_000, recentPeak: 8 }
  assert.equal(replicas({ ...idle, work: [flow({})] }), 0)
  assert.equal(replicas({ ...idle, idleMs: 29_999, work: [flow({})] }), 8)
  assert.equal(replicas({ ...idle, recentPeak: 0, work: [flow({ waiting: 1 })] }), 1)
  assert.equal(replicas({ ...idle, recentPeak: 0, work: [flow({ inFlight: 1 })] }), 1)
  assert.equal(replicas({ ...idle, recentPeak: 0, work: [flow({ nextDueInMs: 1_000 })] }), 1)
  assert.equal(replicas({ ...idle, work: [flow({ nextDueInMs: 3_600_000 })] }), 0)
  assert.equal(replicas({ ...idle, work: [flow({})] }, { min: 2 }), 8, 'down to the minimum goes through the window')
  assert.equal(replicas({ ...idle, recentPeak: 2, work: [flow({})] }, { min: 2 }), 2)
})

test('what a queue elsewhere holds at or under its threshold keeps nobody awake', () => {
  assert.equal(replicas({ desired: 1, idleMs: 30_000, work: [queue(4, 5, 20)] }), 0)
  assert.equal(replicas({ desired: 1, idleMs: 30_000, work: [queue(21, 5, 20)] }), 5)
})

test('an event that waits for its retry holds no more than one replica, and wakes nobody', () => {
  assert.equal(replicas({ desired: 6, work: [flow({ nextDueInMs: 2_000 })], idleMs: 999_999 }), 1)
  assert.equal(replicas({ desired: 0, work: [flow({ nextDueInMs: 2_000 })] }), 0)
})

test('fewer only when no more was wanted for the scale-in window', () => {
  const work = [flow({ waiting: 10 })]
  assert.equal(replicas({ desired: 8, recentPeak: 8, work }), 8)
  assert.equal(replicas({ desired: 8, recentPeak: 3, work }), 3)
  assert.equal(replicas({ desired: 8, recentPeak: 1, work }), 1)
})

test('a burst asks for what its last seconds need, and nothing shrinks until it has been over for a window', () => {
  const work = [flow({ waiting: 0, stableRate: 25, panicRate: 250, serviceMs: 1_000 })]
  const burst = decide(seen({ desired: 10, work }), limits, NOW_MS)
  assert.equal(burst.replicas, 36)
  assert.equal(burst.panicUntilMs, NOW_MS + 60_000)

  const calm = [flow({ stableRate: 10, panicRate: 0, serviceMs: 1_000 })]
  const after = seen({ desired: 36, work: calm, panicUntilMs: burst.panicUntilMs })
  assert.equal(decide(after, limits, NOW_MS + 59_999).replicas, 36)
  assert.equal(decide(after, limits, NOW_MS + 60_000).replicas, 2)
})

test('a reading that failed holds what is there, lets others ask for more, and is never zero', () => {
  const idle = { idleMs: 999_999, recentPeak: 0 }
  assert.equal(replicas({ ...idle, desired: 5, work: [unknown] }), 5)
  assert.equal(replicas({ ...idle, desired: 5, work: [unknown, flow({})] }), 5)
  assert.equal(replicas({ ...idle, desired: 5, work: [unknown, flow({ waiting: 80 })] }), 8)
  assert.equal(replicas({ ...idle, desired: 0, work: [unknown] }), 0)
})

test('busy replicas are let go one at a time, and above the user’s maximum all at once', () => {
  const work = [flow({ inFlight: 30 })]
  assert.equal(replicas({ desired: 8, busy: 5, recentPeak: 1, work }), 4)
  assert.equal(replicas({ desired: 4, busy: 5, recentPeak: 1, work }), 4, 'the one that drains has not drained yet')
  assert.equal(replicas({ desired: 4, busy: 4, recentPeak: 1, work }), 3)
  assert.equal(replicas({ desired: 1, busy: 1, recentPeak: 1, work }), 1)
  assert.equal(replicas({ desired: 8, busy: 5, recentPeak: 1, work }, { max: 2 }), 2)
})

test('an adapter whose Broker is behind is not given more replicas, and keeps those it has', () => {
  const work = [queue(1_000, 5)]
  assert.equal(replicas({ desired: 2, work, outlet: false }), 2)
  assert.equal(replicas({ desired: 0, work, outlet: false }), 1)
})

test('a laptop allows twice its cores', () => {
  const { scaling } = laptop(4)
  assert.equal(scaling.annotationMax, 8)
  assert.equal(scaling.scaledObjectMax, 8)
})

test('a decision says why, with its terms', () => {
  const work = [flow({ waiting: 340, inFlight: 12, stableRate: 20, serviceMs: 210 }, { target: 50 })]
  const told = decide(seen({ desired: 7, work }), { ...limits, max: 8 }, NOW_MS).explain
  assert.equal(
    told,
    '7: the declared target asks for 7, rate and service time ask for 2; 340 waiting, 12 in flight, 20/s coming in, 210 ms each',
  )
})

const works = fc.oneof(
  fc
    .record({
      waiting: fc.nat(100_000),
      inFlight: fc.nat(500),
      nextDueInMs: fc.option(fc.nat(100_000), { nil: undefined }),
      stableRate: fc.double({ min: 0, max: 5_000, noNaN: true }),
      panicRate: fc.double({ min: 0, max: 5_000, noNaN: true }),
      serviceMs: fc.option(fc.double({ min: 0, max: 60_000, noNaN: true }), { nil: undefined }),
      target: fc.option(fc.integer({ min: 1, max: 1_000 }), { nil: undefined }),
      activation: fc.nat(50),
      concurrency: fc.integer({ min: 1, max: 100 }),
    })
    .map(({ target, activation, concurrency, ...rest }) =>
      flow(rest, { ...(target !== undefined && { target }), activation, concurrency }),
    ),
  fc.tuple(fc.nat(100_000), fc.integer({ min: 1, max: 500 }), fc.nat(50)).map(args => queue(...args)),
  fc.constant(unknown),
)
const sights = fc.record({
  desired: fc.nat(60),
  busy: fc.nat(60),
  work: fc.array(works, { maxLength: 4 }),
  idleMs: fc.nat(120_000),
  recentPeak: fc.nat(60),
  panicUntilMs: fc.option(fc.integer({ min: NOW_MS - 60_000, max: NOW_MS + 60_000 }), { nil: undefined }),
  outlet: fc.boolean(),
})
const bounds = fc
  .tuple(fc.nat(10), fc.integer({ min: 1, max: 60 }))
  .map(([min, more]): Limits => ({ ...limits, min, max: min + more }))

test('every decision is a whole number within the bounds, and lets no more than one busy replica go', () => {
  fc.assert(
    fc.property(sights, bounds, (sight, bound) => {
      const { replicas: n } = decide(sight, bound, NOW_MS)
      assert.ok(Number.isInteger(n) && n >= bound.min && n <= bound.max)
      assert.ok(n >= Math.min(sight.busy - 1, bound.max))
    }),
  )
})

test('zero is never decided from above while something waits, is in flight, or is unknown', () => {
  fc.assert(
    fc.property(sights, sight => {
      fc.pre(sight.desired > 0 && sight.work.length > 0)
      const { replicas: n, terms } = decide(sight, limits, NOW_MS)
      const owed = sight.work.some(
        one => one.kind === 'unknown' || (one.kind === 'trigger' && (one.flow.waiting > 0 || one.flow.inFlight > 0)),
      )
      if (n === 0) assert.ok(!owed && sight.busy === 0 && terms.unknown.length === 0)
    }),
  )
})

test('more waiting never asks for fewer', () => {
  fc.assert(
    fc.property(sights, fc.nat(10_000), (sight, more) => {
      const heavier = sight.work.map((one): Work => {
        if (one.kind === 'trigger') return { ...one, flow: { ...one.flow, waiting: one.flow.waiting + more } }
        return one.kind === 'queue' ? { ...one, waiting: one.waiting + more } : one
      })
      assert.ok(decide({ ...sight, work: heavier }, limits, NOW_MS).replicas >= decide(sight, limits, NOW_MS).replicas)
    }),
  )
})
