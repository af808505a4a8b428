import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_DELIVERY } from '../../contract/delivery-policy.ts'
import { type BrokerId, brokerId, triggerId, workloadId } from '../../contract/ids.ts'
import {
  type BrokerRoute,
  type Endpoint,
  PLAIN_BROKER,
  PLAIN_TRIGGER,
  type Routes,
  type Target,
} from '../../contract/routes.ts'
import { RouteBoard } from '../../standalone/route-board.ts'
import { settle } from '../support/manual-clock.ts'

const A = brokerId('default', 'a')
const B = brokerId('default', 'b')
const WORKER = workloadId('Deployment', 'default', 'worker')

function route(
  id: BrokerId,
  timeoutMs = 30_000,
  subscriber: Target = { kind: 'url', address: 'http://x' },
): BrokerRoute {
  const delivery = { ...DEFAULT_DELIVERY, timeoutMs }
  const id1 = triggerId('default', `of-${id.slice(-1)}`)
  const more = { filters: [], deadLetter: undefined, concurrency: 1, reply: 'lenient', ...PLAIN_TRIGGER } as const
  const triggers = [{ id: id1, uid: id1, subscriber, delivery, ...more }]
  return { id, uid: id, store: 'durable', triggers, ...PLAIN_BROKER }
}

/** A broker that takes a document when the test says so. */
function board(expected: readonly BrokerId[]) {
  const taken: Routes[] = []
  const failures: unknown[] = []
  const endpoints: Record<string, Endpoint[]> = {}
  let answer: () => Promise<void> = async () => {}
  const made = new RouteBoard({
    apply: async routes => {
      taken.push(structuredClone(routes) as Routes)
      await answer()
    },
    expected: () => expected,
    endpoints: () => endpoints,
    failed: error => failures.push(error),
  })
  const answerWith = (next: () => Promise<void>) => {
    answer = next
  }
  return { board: made, taken, failures, endpoints, answerWith }
}

test('the first document waits for every Broker: a Trigger missing from it would lose its queue', async () => {
  const { board: made, taken } = board([A, B])
  made.set(A, route(A))
  await made.publish()
  assert.equal(taken.length, 0)
  made.set(B, route(B))
  await made.publish()
  assert.deepEqual(
    taken.map(routes => routes.brokers.map(one => one.id)),
    [[A, B]],
  )
  made.set(A, undefined)
  await made.publish()
  assert.deepEqual(
    taken.at(-1)?.brokers.map(one => one.id),
    [B],
  )
})

test('documents go out one at a time, the newest only, and none twice', async () => {
  const { board: made, taken, endpoints, answerWith } = board([A])
  const slow = Promise.withResolvers<void>()
  answerWith(() => slow.promise)
  made.set(A, route(A))
  const first = made.publish()
  await settle()
  const later: Promise<void>[] = []
  for (let i = 1; i <= 5; i++) {
    endpoints[WORKER] = [{ id: `worker-${i}`, origin: 'http://x', state: 'ready' }]
    later.push(made.publish())
  }
  await settle()
  assert.equal(taken.length, 1, 'the broker is still busy with the first')
  slow.resolve()
  await Promise.all([first, ...later])
  assert.equal(taken.length, 2)
  assert.equal(taken[1]?.endpoints[WORKER]?.[0]?.id, 'worker-5')
  await made.publish()
  assert.equal(taken.length, 2, 'nothing changed')
})

test('a document that the broker refused is tried again with the next change', async () => {
  const { board: made, taken, failures, answerWith } = board([A])
  answerWith(() => Promise.reject(new Error('no')))
  made.set(A, route(A))
  await made.publish()
  assert.equal(failures.length, 1)
  answerWith(async () => {})
  await made.publish()
  assert.equal(taken.length, 2)
})

test('the longest request to a workload is that of the Triggers that send to it', () => {
  const { board: made } = board([])
  const to: Target = { kind: 'workload', address: 'http://worker', workload: WORKER, path: '/' }
  assert.equal(made.requestMaxMs(WORKER), undefined)
  made.set(A, route(A, 5_000, to))
  made.set(B, route(B, 90_000))
  assert.equal(made.requestMaxMs(WORKER), 5_000)
})
