import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Accepted, acceptAll as acceptAllThen, accept as acceptThen, type Intake } from '../../broker/accept.ts'
import { Budget } from '../../broker/budget.ts'
import { type EventStore, StoreFailedError, StoreFullError } from '../../broker/store.ts'
import { openMemoryStore } from '../../broker/stores/memory.ts'
import { brokerId, triggerId } from '../../contract/ids.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { ManualClock } from '../support/manual-clock.ts'

const broker = brokerId('shop', 'main')
const trigger = triggerId('shop', 'all')

function event(extra: Record<string, string> = {}): CloudEvent {
  const attributes = Object.assign(noAttributes(), {
    specversion: '1.0',
    id: '1',
    source: '/s',
    type: 't',
    ...extra,
  })
  return { mode: 'binary', attributes, body: Buffer.from('12345') }
}

function accept(one: CloudEvent, hops: number | undefined, intake: Intake): Promise<Accepted> {
  return new Promise(tell => acceptThen(one, hops, intake, tell))
}

async function open(over: Partial<EventStore> = {}, maxBytes = 1000) {
  const store = openMemoryStore(new ManualClock())
  await store.route({ triggers: [{ id: trigger, uid: 'u', broker }], match: () => [trigger] })
  const budget = new Budget(maxBytes)
  const stored: CloudEvent[] = []
  const intake: Intake = {
    broker,
    store: Object.assign(Object.create(store), {
      append: store.append.bind(store),
      appendAll: store.appendAll.bind(store),
      ...over,
    }),
    budget,
    onStored: (_broker, one) => stored.push(one),
  }
  const hops = () => store.lease(trigger, 10).map(lease => lease.hops)
  return { intake, budget, stored, hops }
}

test('an event that comes for the first time has 255 hops, one of which is used', async () => {
  const { intake, hops, stored } = await open()
  assert.deepEqual(await accept(event(), undefined, intake), { kind: 'stored', seq: 1, matched: [trigger] })
  assert.deepEqual(hops(), [254])
  assert.equal(stored.length, 1)
})

test('the hops an event brings along are used up and taken off it', async () => {
  const { intake, hops, stored } = await open()
  await accept(event({ knativebrokerttl: '7' }), undefined, intake)
  await accept(event({ knativebrokerttl: '9999' }), undefined, intake)
  assert.deepEqual(hops(), [6, 254])
  assert.ok(stored.every(one => !('knativebrokerttl' in one.attributes)))
})

test('a reply has the hops of its cause, whatever it says itself', async () => {
  const { intake, hops } = await open()
  await accept(event({ knativebrokerttl: '200' }), 3, intake)
  assert.deepEqual(hops(), [2])
})

test('an event whose hops are used up is not stored', async () => {
  const { intake, hops } = await open()
  for (const ttl of ['0', '-1']) {
    const accepted = await accept(event({ knativebrokerttl: ttl }), undefined, intake)
    assert.deepEqual(accepted, { kind: 'dropped', reason: 'hop-limit' })
  }
  assert.deepEqual(await accept(event(), 0, intake), { kind: 'dropped', reason: 'hop-limit' })
  assert.deepEqual(hops(), [])
})

test('a hop count that is no integer is not stored', async () => {
  const { intake } = await open()
  for (const ttl of ['', 'x', '1.5', '1e2', '99999999999']) {
    const accepted = await accept(event({ knativebrokerttl: ttl }), undefined, intake)
    assert.deepEqual(accepted, { kind: 'dropped', reason: 'invalid-hops' }, ttl)
  }
})

test('a full store refuses and says why; any other failure of it says nothing of its inside', async () => {
  const full = await open({ append: () => Promise.reject(new StoreFullError('The disk is full.')) })
  const one = await accept(event(), undefined, full.intake)
  assert.deepEqual(one, { kind: 'refused', reason: 'store-full', detail: 'The disk is full.' })
  const failed = await open({ append: () => Promise.reject(new StoreFailedError('secret path')) })
  const two = await accept(event(), undefined, failed.intake)
  assert.ok(two.kind === 'refused' && two.reason === 'store-failed' && !two.detail.includes('secret'))
  assert.equal(failed.stored.length, 0)
  assert.equal(failed.budget.usedBytes, 0)
})

test('what is on its way into the store is bounded, and room comes back', async () => {
  let finish = () => {}
  const slow = await open(
    {
      append: () =>
        new Promise(resolve => {
          finish = () => resolve({ seq: 1, matched: [] })
        }),
    },
    8,
  )
  const first = accept(event(), undefined, slow.intake)
  const second = await accept(event(), undefined, slow.intake)
  assert.ok(second.kind === 'refused' && second.reason === 'overloaded')
  finish()
  assert.equal((await first).kind, 'stored')
  assert.equal(slow.budget.usedBytes, 0)
})

function acceptAll(events: readonly CloudEvent[], intake: Intake): Promise<Accepted> {
  return new Promise(tell => acceptAllThen(events, intake, tell))
}

test('all events of a batch are stored, each with its own hops, and each is told of', async () => {
  const { intake, hops, stored, budget } = await open()
  const batch = [event(), event({ knativebrokerttl: '7' }), event({ knativebrokerttl: '1' })]
  assert.deepEqual(await acceptAll(batch, intake), { kind: 'stored', seq: 3, matched: undefined })
  assert.deepEqual(hops(), [254, 6, 0])
  assert.equal(stored.length, 3)
  assert.ok(stored.every(one => !('knativebrokerttl' in one.attributes)))
  assert.ok(budget.fits(1000), 'all of the budget came back')
})

test('an empty batch is accepted, whatever the store does', async () => {
  const { intake, stored } = await open({ appendAll: () => Promise.reject(new StoreFailedError('EIO')) })
  assert.equal((await acceptAll([], intake)).kind, 'stored')
  assert.equal(stored.length, 0)
})

test('one event of a batch that cannot be taken, and none is: its place is told', async () => {
  const { intake, hops, stored, budget } = await open()
  for (const [ttl, reason] of [
    ['0', 'hop-limit'],
    ['x', 'invalid-hops'],
  ] as const) {
    const accepted = await acceptAll([event(), event({ knativebrokerttl: ttl })], intake)
    assert.deepEqual(accepted, { kind: 'dropped', reason, index: 1 })
  }
  budget.take(991)
  const tooMuch = await acceptAll([event(), event()], intake)
  budget.give(991)
  assert.ok(tooMuch.kind === 'refused' && tooMuch.reason === 'overloaded')
  assert.deepEqual(hops(), [])
  assert.equal(stored.length, 0)
  assert.ok(budget.fits(1000))
})

test('a batch that the store has no room for is refused whole, for now, and gives its bytes back', async () => {
  const { intake, stored, budget } = await open({ appendAll: () => Promise.reject(new StoreFullError('full')) })
  const accepted = await acceptAll([event(), event()], intake)
  assert.deepEqual(accepted, { kind: 'refused', reason: 'store-full', detail: 'full' })
  assert.equal(stored.length, 0)
  assert.ok(budget.fits(1000))
})
