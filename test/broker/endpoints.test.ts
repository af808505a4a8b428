import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Endpoints, type Replica } from '../../broker/endpoints.ts'
import { workloadId } from '../../contract/ids.ts'
import type { Endpoint } from '../../contract/routes.ts'
import { ManualClock } from '../support/manual-clock.ts'

const worker = workloadId('Deployment', 'shop', 'worker')

function replica(id: string, state: Endpoint['state'] = 'ready'): Endpoint {
  return { id, origin: `http://${id}`, state }
}

function open(...replicas: Endpoint[]) {
  const clock = new ManualClock()
  const endpoints = new Endpoints(clock)
  const drained: string[] = []
  endpoints.onDrained(id => drained.push(id))
  endpoints.apply({ [worker]: replicas })
  return { clock, endpoints, drained }
}

function acquire(endpoints: Endpoints, concurrency = 10): Replica {
  const taken = endpoints.acquire(worker, concurrency)
  assert.ok(taken !== undefined)
  return taken
}

test('requests go to the least loaded replica, and equals take turns', () => {
  const { endpoints } = open(replica('a'), replica('b'), replica('c'))
  const taken = Array.from({ length: 9 }, () => acquire(endpoints))
  assert.deepEqual(endpoints.inFlight(worker), { a: 3, b: 3, c: 3 })
  for (const one of taken.filter(({ id }) => id === 'b')) endpoints.release(one, true)
  assert.equal(acquire(endpoints).id, 'b')
})

test('a replica never has more in flight than its concurrency, all Triggers together', () => {
  const { endpoints } = open(replica('a'), replica('b'))
  for (let i = 0; i < 4; i++) acquire(endpoints, 2)
  assert.equal(endpoints.room(worker, 2), 0)
  assert.equal(endpoints.acquire(worker, 2), undefined)
  assert.equal(endpoints.room(worker, 3), 2)
})

test('a workload that is unknown or at zero has no room', () => {
  const { endpoints } = open()
  assert.equal(endpoints.hasReady(worker), false)
  assert.equal(endpoints.acquire(worker, 10), undefined)
  assert.equal(endpoints.hasReady(workloadId('Deployment', 'shop', 'nobody')), false)
})

test('a draining replica gets nothing new and is told of when its last request is over', () => {
  const { endpoints, drained } = open(replica('a'), replica('b'))
  const taken = [acquire(endpoints), acquire(endpoints), acquire(endpoints), acquire(endpoints)]
  endpoints.apply({ [worker]: [replica('a', 'draining'), replica('b')] })
  assert.deepEqual(drained, [])
  for (let i = 0; i < 8; i++) assert.equal(acquire(endpoints).id, 'b')
  const mine = taken.filter(({ id }) => id === 'a')
  assert.equal(mine.length, 2)
  for (const one of mine) {
    assert.deepEqual(drained, [])
    endpoints.release(one, true)
  }
  assert.deepEqual(drained, ['a'])
})

test('an idle replica is drained at once, and told of once', () => {
  const { endpoints, drained } = open(replica('a'), replica('b'))
  endpoints.apply({ [worker]: [replica('a', 'draining'), replica('b')] })
  endpoints.apply({ [worker]: [replica('a', 'draining'), replica('b')] })
  assert.deepEqual(drained, ['a'])
})

test('a draining replica that is taken back works again', () => {
  const { endpoints, drained } = open(replica('a'))
  const one = acquire(endpoints)
  endpoints.apply({ [worker]: [replica('a', 'draining')] })
  assert.equal(endpoints.hasReady(worker), false)
  assert.deepEqual(endpoints.apply({ [worker]: [replica('a')] }), [worker])
  assert.equal(acquire(endpoints).id, 'a')
  endpoints.release(one, true)
  assert.deepEqual(drained, [])
})

test('a replica that is named no more is asked no more, and its requests still end', () => {
  const { endpoints } = open(replica('a'), replica('b'))
  const taken = [acquire(endpoints), acquire(endpoints)]
  endpoints.apply({ [worker]: [replica('b')] })
  assert.deepEqual(endpoints.inFlight(worker), { a: 1, b: 1 })
  for (const one of taken) endpoints.release(one, true)
  endpoints.apply({})
  assert.deepEqual(endpoints.inFlight(worker), {})
  assert.equal(endpoints.hasReady(worker), false)
})

test('a replica that cannot be reached is asked last for a second: failing fast is not being idle', async () => {
  const { clock, endpoints } = open(replica('a'), replica('b'))
  const first = acquire(endpoints)
  endpoints.release(first, false)
  const other = first.id === 'a' ? 'b' : 'a'
  for (let i = 0; i < 5; i++) assert.equal(acquire(endpoints).id, other)
  await clock.advance(1000)
  assert.equal(acquire(endpoints).id, first.id)
})

test('a replica that cannot be reached is asked all the same where it is the only one', () => {
  const { endpoints } = open(replica('a'))
  endpoints.release(acquire(endpoints), false)
  assert.equal(acquire(endpoints).id, 'a')
})

test('the URL follows the origin and the path', () => {
  const { endpoints } = open(replica('a'))
  const one = acquire(endpoints)
  assert.equal(one.url('/x'), 'http://a/x')
  assert.equal(one.url('/y'), 'http://a/y')
  endpoints.apply({ [worker]: [{ id: 'a', origin: 'http://other', state: 'ready' }] })
  assert.equal(acquire(endpoints).url('/y'), 'http://other/y')
})

test('releasing twice is a broken invariant', () => {
  const { endpoints } = open(replica('a'))
  const one = acquire(endpoints)
  endpoints.release(one, true)
  assert.throws(() => endpoints.release(one, true), /released once/)
})
