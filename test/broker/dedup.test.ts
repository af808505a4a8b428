import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Accepted, accept, acceptAll, type Intake } from '../../broker/accept.ts'
import { Budget } from '../../broker/budget.ts'
import type { First } from '../../broker/dedup.ts'
import { StoreFullError } from '../../broker/store.ts'
import { TWINS_MAX, Twins, UNTIL_DURABLE } from '../../broker/twins.ts'
import { brokerId } from '../../contract/ids.ts'
import type { CloudEvent } from '../../event/event.ts'
import { bare } from '../support/arbitraries.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { openRunning, routes, trigger } from '../support/running-broker.ts'
import { eventually, openSubscriber } from '../support/subscriber.ts'

function eventOf(id: string, source = '/s'): CloudEvent {
  return { mode: 'binary', attributes: bare({ specversion: '1.0', id, source, type: 't' }), body: new Uint8Array() }
}

test('a twin has the same source and id, within the window and not after it', async () => {
  const clock = new ManualClock()
  const twins = new Twins<number>(1000, clock)
  twins.add(eventOf('1'), 7)
  assert.equal(twins.find(eventOf('1')), 7)
  assert.equal(twins.find(eventOf('1', '/other')), undefined)
  clock.jump(86_400_000)
  assert.equal(twins.find(eventOf('1')), 7, 'a wall clock that jumps changes nothing')
  await clock.advance(1000)
  assert.equal(twins.find(eventOf('1')), undefined)
  twins.add(eventOf('3'), 9, -1)
  assert.equal(twins.find(eventOf('3')), undefined, 'nobody knows when: in doubt it is new')
  twins.add(eventOf('2'), 8, 5000)
  assert.equal(twins.find(eventOf('2')), undefined, 'too long ago')
})

test('identities that are very long are told apart too', () => {
  const twins = new Twins<number>(1000, new ManualClock())
  const long = 'x'.repeat(10_000)
  twins.add(eventOf(`${long}1`), 1)
  assert.equal(twins.find(eventOf(`${long}1`)), 1)
  assert.equal(twins.find(eventOf(`${long}2`)), undefined)
  twins.add(eventOf('b', '/a'), 2)
  assert.equal(twins.find(eventOf('ab', '/')), undefined)
})

test('what is remembered has an end', () => {
  const twins = new Twins<number>(1e9, new ManualClock())
  for (let i = 0; i < TWINS_MAX + 10; i++) twins.add(eventOf(String(i)), i)
  assert.equal(twins.size, TWINS_MAX)
  assert.equal(twins.find(eventOf('0')), undefined)
  assert.equal(twins.find(eventOf(String(TWINS_MAX))), TWINS_MAX)
})

/** A store whose answers come when the test says so. */
function openIntake(windowMs = 60_000) {
  const open: { resolve: (seq: number) => void; reject: (error: Error) => void }[] = []
  let duplicates = 0
  const intake: Intake = {
    broker: brokerId('shop', 'main'),
    // Nothing else of a store is asked.
    store: {
      append: () =>
        new Promise((resolve, reject) => open.push({ resolve: seq => resolve({ seq, matched: [] }), reject })),
      appendAll: async (_: unknown, events: readonly unknown[]) =>
        events.map((_, i) => ({ seq: 100 + i, matched: [] })),
    } as never,
    budget: new Budget(1000),
    twins: new Twins<First>(windowMs, new ManualClock()),
    onDuplicate: () => duplicates++,
    onStored() {},
  }
  const take = (event: CloudEvent) => new Promise<Accepted>(tell => accept(event, undefined, intake, tell))
  return { intake, open, take, duplicates: () => duplicates }
}

test('a second one is answered when the first one is durable, and not before', async () => {
  const { take, open, duplicates } = openIntake()
  const first = take(eventOf('1'))
  let answered: Accepted | undefined
  void take(eventOf('1')).then(accepted => {
    answered = accepted
  })
  await settle()
  assert.deepEqual([open.length, answered], [1, undefined])
  open[0]?.resolve(5)
  assert.equal((await first).kind, 'stored')
  await settle()
  assert.deepEqual(answered, { kind: 'duplicate', seq: 5 })
  assert.deepEqual(await take(eventOf('1')), { kind: 'duplicate', seq: 5 })
  assert.deepEqual([open.length, duplicates()], [1, 2])
})

test('where the first one was not taken, the second takes its place: nothing is lost', async () => {
  const { take, open } = openIntake()
  const [first, second, third] = [take(eventOf('1')), take(eventOf('1')), take(eventOf('1'))]
  open[0]?.reject(new StoreFullError('full'))
  assert.equal((await first).kind, 'refused')
  await settle()
  assert.equal(open.length, 2)
  open[1]?.resolve(9)
  assert.deepEqual([(await second).kind, await third], ['stored', { kind: 'duplicate', seq: 9 }])
})

test('where only a Trigger asks, a second one waits until it is known who was given the first, and is stored too', async () => {
  const { take, open, duplicates } = openIntake(UNTIL_DURABLE)
  const [first, second, third] = [take(eventOf('1')), take(eventOf('1')), take(eventOf('1'))]
  const other = take(eventOf('2'))
  await settle()
  assert.equal(open.length, 2, 'the first, and the other one')
  for (const [i, seq] of [1, 2, 3, 4].entries()) {
    open[i]?.resolve(seq)
    await settle()
  }
  const kinds = (await Promise.all([first, second, third, other])).map(({ kind }) => kind)
  assert.deepEqual(kinds, ['stored', 'stored', 'stored', 'stored'])
  assert.equal(duplicates(), 0)
})

test('of a batch only what is new is stored', async () => {
  const { intake, take, open, duplicates } = openIntake()
  const first = take(eventOf('1'))
  open[0]?.resolve(1)
  await first
  const accepted = await new Promise<Accepted>(tell =>
    acceptAll([eventOf('1'), eventOf('2'), eventOf('2')], intake, tell),
  )
  assert.deepEqual([accepted.kind, duplicates()], ['stored', 2])
  assert.deepEqual(await take(eventOf('2')), { kind: 'duplicate', seq: 100 })
})

test('a Broker that asks stores an event once, a Trigger that asks is given it once, also after a restart', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'weir-dedup-'))
  await using subscriber = await openSubscriber()
  const once = trigger('once', `${subscriber.origin}/once`, { dedupMs: 3_600_000 })
  const twice = trigger('twice', `${subscriber.origin}/twice`)
  const document = routes([once, twice])
  const asks = { ...document, brokers: document.brokers.map(one => ({ ...one, dedupMs: 3_600_000 })) }
  const at = (path: string) => subscriber.received.filter(one => one.path === path).length
  {
    await using running = await openRunning({ dataDir })
    await running.broker.apply(document)
    const posts = await Promise.all([1, 2].map(() => running.post({ id: 'a' })))
    assert.deepEqual(posts, [202, 202])
    await eventually(() => at('/twice') === 2 && at('/once') === 1)
  }
  {
    await using running = await openRunning({ dataDir })
    await running.broker.apply(document)
    assert.equal(await running.post({ id: 'a' }), 202)
    await eventually(() => at('/twice') === 3)
    assert.equal(at('/once'), 1, 'known from before')
    await running.broker.apply(asks)
    assert.equal(await running.post({ id: 'a' }), 202)
    assert.equal(await running.post({ id: 'b' }), 202)
    await eventually(() => at('/twice') === 4 && at('/once') === 2)
    assert.deepEqual(running.broker.counters()[0]?.duplicates, 1)
  }
  await rm(dataDir, { recursive: true, force: true })
})
