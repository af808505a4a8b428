import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get } from 'node:http'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { leastNeeded, ReplicaSet, type Traffic } from '../../standalone/replica-set.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { eventually, LISTENER, nodeTemplate, recordingDeps } from './local.ts'

/** Stands for the broker: counts by replica, turned by the test. */
class Requests implements Traffic {
  readonly open = new Map<string, number>()
  readonly #listeners = new Set<(replica: string) => void>()

  inFlight(replica: string): number {
    return this.open.get(replica) ?? 0
  }

  onDrained(listener: (replica: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async published(): Promise<void> {}

  finish(replica: string): void {
    this.open.delete(replica)
    for (const listener of this.#listeners) listener(replica)
  }
}

function openSet(t: TestContext, requestMaxMs: number | undefined, clock: Clock = systemClock, script = LISTENER) {
  const traffic = new Requests()
  const deps = recordingDeps(clock)
  const set = new ReplicaSet('w', nodeTemplate(script), {
    ...deps,
    traffic,
    names: new Set(),
    requestMaxMs: () => requestMaxMs,
  })
  t.after(() => set.kill())
  const states = () => Object.fromEntries(set.endpoints.map(({ id, state }) => [id, state]))
  return { traffic, deps, set, states }
}

test('fewer replicas: the idle one goes, a busy one is not signalled before its last request is done', async t => {
  const { traffic, deps, set, states } = openSet(t, 30_000)
  set.scale(3)
  await eventually('three are ready', () => set.ready === 3)
  traffic.open.set('w-1', 2).set('w-3', 1)
  set.scale(1)
  await eventually('the idle one is gone', () => set.pids.length === 2)
  assert.deepEqual(states(), { 'w-1': 'ready', 'w-3': 'draining' })
  assert.deepEqual(
    deps.printed.filter(line => line.endsWith('told')),
    ['w-2 | told'],
  )
  traffic.finish('w-3')
  await eventually('the drained one is gone', () => !('w-3' in states()))
  assert.deepEqual(states(), { 'w-1': 'ready' })
})

test('more replicas again: one that still drains is taken back, and no new one is started', async t => {
  const { traffic, deps, set, states } = openSet(t, 30_000)
  set.scale(2)
  await eventually('two are ready', () => set.ready === 2)
  traffic.open.set('w-1', 1).set('w-2', 1)
  set.scale(1)
  assert.deepEqual(Object.values(states()).sort(), ['draining', 'ready'])
  set.scale(2)
  assert.deepEqual(states(), { 'w-1': 'ready', 'w-2': 'ready' })
  traffic.finish('w-1')
  traffic.finish('w-2')
  set.scale(3)
  await eventually('a third is ready', () => set.ready === 3)
  assert.deepEqual(
    deps.printed.filter(line => line.endsWith('told')),
    [],
  )
})

test('a drain ends when no request can be open any more, and says so', async t => {
  const clock = new ManualClock()
  const { traffic, deps, set } = openSet(t, 30_000, clock)
  set.scale(1)
  await eventually('one is ready', async () => {
    await clock.advance(10)
    return set.ready === 1
  })
  traffic.open.set('w-1', 1)
  set.scale(0)
  await clock.advance(34_000)
  assert.deepEqual(deps.said, [])
  await clock.advance(2_000)
  assert.match(deps.said[0] ?? '', /w-1 still holds a request after the 30 s/)
  await eventually('it was told', () => deps.printed.includes('w-1 | told'))
  await eventually('it is gone', () => set.endpoints.length === 0)
})

test('a worker that nobody sends to is ready while it runs, and gets its SIGTERM at once', async t => {
  const script = `process.on('SIGTERM', () => { console.log('told'); process.exit() }); setInterval(() => {}, 1e3); console.log('up')`
  const { traffic, deps, set } = openSet(t, undefined, systemClock, script)
  set.scale(1)
  await eventually('it is up', () => deps.printed.length > 0)
  assert.equal(set.ready, 1)
  traffic.open.set('w-1', 1)
  set.scale(0)
  await eventually('it is gone', () => set.pids.length === 0)
  assert.deepEqual(deps.printed, ['w-1 | up', 'w-1 | told'])
})

test('a new template starts its own replicas while those of the old one drain', async t => {
  const { traffic, deps, set, states } = openSet(t, 30_000)
  set.scale(1)
  await eventually('the old one is ready', () => set.ready === 1)
  traffic.open.set('w-1', 1)
  set.update(nodeTemplate(LISTENER))
  assert.deepEqual(states(), { 'w-1': 'ready' }, 'the same template changes nothing')
  set.update(nodeTemplate(LISTENER.replace(`'up'`, `'new'`)))
  await eventually('the new one is ready', () => set.ready === 1)
  assert.deepEqual(states(), { 'w-1': 'draining', 'w-2': 'ready' })
  set.scale(2)
  await eventually('two new ones are ready: the old one is not taken back', () => set.ready === 2)
  assert.equal(states()['w-1'], 'draining')
  traffic.finish('w-1')
  await eventually('the old one is gone', () => set.pids.length === 2)
  assert.deepEqual(
    deps.printed.filter(line => line.endsWith('told')),
    ['w-1 | told'],
  )
})

test('a request that is open at scale-in gets its answer', async t => {
  const slow = `let signalled = false
    process.on('SIGTERM', () => { signalled = true; process.exit(1) })
    require('node:http').createServer((q, s) => setTimeout(() => s.end(String(signalled)), 500)).listen(process.env.PORT)`
  const { traffic, set } = openSet(t, 30_000, systemClock, slow)
  set.scale(1)
  await eventually('one is ready', () => set.ready === 1)
  traffic.open.set('w-1', 1)
  const asked = get(`${set.endpoints[0]?.origin}/`, { agent: false })
  const answered = once(asked, 'response')
  set.scale(0)
  const [response] = await answered
  assert.equal(response.statusCode, 200)
  response.resume()
  await once(response, 'end')
  traffic.finish('w-1')
  await eventually('it is gone', () => set.pids.length === 0)
})

test('closing stops every replica at once and resolves when all are gone', async t => {
  const { traffic, set } = openSet(t, 30_000)
  set.scale(3)
  await eventually('three are ready', () => set.ready === 3)
  traffic.open.set('w-1', 1)
  await set.stop()
  assert.deepEqual(set.pids, [])
  set.scale(2)
  assert.deepEqual(set.pids, [], 'closed for good')
})

test('those that are missed least are never busier than those that stay', () => {
  const replica = fc.record({ state: fc.constantFrom('ready', 'starting', 'waiting'), load: fc.nat(5) })
  fc.assert(
    fc.property(fc.array(replica), fc.nat(10), (list, count) => {
      const replicas = list.map(({ state, load }, at) => ({ id: `w-${at}`, state, load: state === 'ready' ? load : 0 }))
      const gone = new Set(leastNeeded(replicas, id => replicas.find(r => r.id === id)?.load ?? 0, count))
      assert.equal(gone.size, Math.min(count, replicas.length))
      const stay = replicas.filter(r => !gone.has(r))
      for (const left of gone) for (const kept of stay) assert.ok(left.load <= kept.load)
    }),
  )
})
