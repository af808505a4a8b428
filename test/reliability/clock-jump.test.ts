import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { BROKER_DEFAULTS } from '../../broker/config.ts'
import { silentLog } from '../../runtime/log.ts'
import { openMetrics } from '../../runtime/metrics.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { FAST, routes, trigger } from '../support/running-broker.ts'
import { storePlace } from '../support/sqlite-store.ts'
import { answering, eventually, openSubscriber } from '../support/subscriber.ts'
import { patchedBroker, SHIPPED } from './child-broker.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const BACKOFF_MS = 10 * MINUTE_MS
const EVENTS = 5
/** Real time in which something that must not happen would have happened. */
const QUIET_MS = 300

interface World extends AsyncDisposable {
  readonly clock: ManualClock
  /** How many attempts the subscriber saw. */
  attempts(): number
  /** Waits until all attempts so far are settled, with so many of them in all. */
  attempted(count: number): Promise<void>
}

/** A broker whose subscriber always fails, with some events, each attempted once: all are due again in ten minutes. */
async function failing(base: string, store: 'memory' | 'durable'): Promise<World> {
  await using opening = new AsyncDisposableStack()
  const { openBroker }: typeof import('../../broker/broker.ts') = await import(
    pathToFileURL(join(base, 'broker/broker.ts')).href
  )
  const clock = new ManualClock()
  const subscriber = opening.use(await openSubscriber(answering(503)))
  const place = opening.use(await storePlace())
  const config = { ...BROKER_DEFAULTS, port: 0, dataDir: place.dir, memory: store === 'memory' }
  const fatal: Error[] = []
  const broker = opening.use(
    await openBroker(config, {
      clock,
      random: () => 0.5,
      log: silentLog,
      metrics: openMetrics(),
      onFatal: error => void fatal.push(error),
    }),
  )
  const delivery = { ...FAST, retries: 50, backoffMs: BACKOFF_MS, backoffMaxMs: BACKOFF_MS, timeoutMs: HOUR_MS }
  await broker.apply(routes([trigger('orders', subscriber.origin, { delivery })]))
  const settled = () => {
    const { inFlight, waiting, retrying } = broker.backlog.read()[0] ?? {}
    return inFlight === 0 && waiting === 0 && retrying === EVENTS
  }
  const attempted = async (count: number) => {
    for (const untilMs = performance.now() + 30_000; subscriber.received.length < count || !settled(); ) {
      assert.ok(performance.now() < untilMs, `${subscriber.received.length} attempts of ${count}`)
      // A durable store settles with a timer of a few ms.
      await clock.advance(5)
      await new Promise(resolve => setTimeout(resolve, 2))
    }
    assert.deepEqual(fatal, [])
    assert.equal(subscriber.received.length, count)
  }
  for (let i = 0; i < EVENTS; i++) {
    const posted = post(broker.origin, `e${i}`)
    await eventually(() => posted.done)
    assert.equal(posted.status, 202)
  }
  await attempted(EVENTS)
  const open = opening.move()
  return {
    clock,
    attempts: () => subscriber.received.length,
    attempted,
    async [Symbol.asyncDispose]() {
      const closed = open.disposeAsync()
      // What closing waits for is on the same clock.
      const turns = setInterval(() => void clock.advance(5), 2)
      await closed.finally(() => clearInterval(turns))
    },
  }
}

/** An event on its way, looked at from outside: the clock of the broker has to be moved meanwhile. */
function post(origin: string, id: string): { done: boolean; status: number } {
  const state = { done: false, status: 0 }
  const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/test', 'ce-type': 't' }
  void fetch(`${origin}/shop/main`, { method: 'POST', headers, body: 'x' }).then(
    ({ status }) => Object.assign(state, { done: true, status }),
    () => Object.assign(state, { done: true }),
  )
  return state
}

function quiet(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, QUIET_MS))
}

/** Moves time on in steps in which everything that becomes due is attempted. */
async function pass(world: World, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= MINUTE_MS) {
    await world.clock.advance(Math.min(left, MINUTE_MS))
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

for (const store of ['memory', 'durable'] as const) {
  for (const [what, jumpMs] of [
    ['an hour', HOUR_MS],
    ['a day', DAY_MS],
  ] as const) {
    test(`${store}: a wall clock that jumps ${what} forward makes each retry due once, within a minute`, async () => {
      await using world = await failing(SHIPPED, store)
      world.clock.jump(jumpMs)
      await pass(world, MINUTE_MS)
      await world.attempted(2 * EVENTS)
      // The next one has its whole distance from here.
      await pass(world, BACKOFF_MS - MINUTE_MS)
      await quiet()
      assert.equal(world.attempts(), 2 * EVENTS)
      await pass(world, 2 * MINUTE_MS)
      await world.attempted(3 * EVENTS)
    })

    test(`${store}: a wall clock that jumps ${what} back delays no retry by more than a minute`, async () => {
      await using world = await failing(SHIPPED, store)
      world.clock.jump(-jumpMs)
      await pass(world, BACKOFF_MS - MINUTE_MS)
      await quiet()
      assert.equal(world.attempts(), EVENTS, 'none is early')
      await pass(world, 2 * MINUTE_MS)
      await world.attempted(2 * EVENTS)
      await pass(world, BACKOFF_MS + MINUTE_MS)
      await world.attempted(3 * EVENTS)
    })
  }

  test(`${store}: a clock that jumps back and forth by a day burns no retry`, async () => {
    await using world = await failing(SHIPPED, store)
    for (let turn = 0; turn < 3; turn++) {
      world.clock.jump(-DAY_MS)
      await pass(world, MINUTE_MS)
      world.clock.jump(DAY_MS)
      await pass(world, MINUTE_MS)
    }
    await quiet()
    assert.ok(world.attempts() <= 4 * EVENTS, `${world.attempts()} attempts`)
    await pass(world, BACKOFF_MS)
    await eventually(() => world.attempts() >= 2 * EVENTS, 'a second attempt of each')
  })
}

test('the test sees the mistake of due times that are left where they were when the clock is set back', async () => {
  using patched = patchedBroker([
    { file: 'broker/stores/due-timer.ts', from: '    if (backMs < 0) return\n', to: '    return\n' },
  ])
  for (const store of ['memory', 'durable'] as const) {
    await using world = await failing(patched.base, store)
    world.clock.jump(-HOUR_MS)
    await pass(world, BACKOFF_MS + 2 * MINUTE_MS)
    await quiet()
    assert.equal(world.attempts(), EVENTS)
  }
})
