import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { ServiceBusClient, type ServiceBusMessage } from '@azure/service-bus'
import type { AdapterState } from '../../../adapters/adapter.ts'
import { runAdapter } from '../../../adapters/registry.ts'
import type { AzureServiceBusSourceResource } from '../../../crds/azure-service-bus-source.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import type { EntityWish } from '../../servers/service-bus/namespace.ts'
import { openServiceBus } from '../../servers/service-bus.ts'
import { accept, openSink, type Sink, status } from '../sink.ts'
import { sourceOf } from './source.ts'

// The client lets go of its timers only after a minute; nothing of ours is open any more.
after(() => void setTimeout(() => process.exit(), 500).unref())

type Changes = Partial<AzureServiceBusSourceResource['spec']>

/** A server with one queue, a sink, and an adapter between them once it is started. */
async function open(wish: EntityWish = {}, changes: Changes = {}) {
  const server = await openServiceBus({ orders: wish })
  const client = new ServiceBusClient(server.connectionString)
  const sink = await openSink()
  const states: AdapterState[] = []
  const stop = new AbortController()
  let running: Promise<void> | undefined
  return {
    server,
    sink,
    states,
    last: () => states.at(-1),
    async send(...messages: ServiceBusMessage[]) {
      const sender = client.createSender('orders')
      for (const message of messages) await sender.sendMessages(message)
      await sender.close()
    },
    start() {
      const { connectionString } = server
      const sinkJob = { url: sink.url, takesBatches: false }
      const job = { source: sourceOf(changes), credentials: { connectionString }, sink: sinkJob }
      const report = (state: AdapterState) => void states.push(state)
      const deps = { clock: systemClock, random: Math.random, log: silentLog, report, drainMs: 2_000 }
      running = runAdapter(job, deps, stop.signal)
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test is over'))
      await running
      await client.close()
      await server[Symbol.asyncDispose]()
      await sink[Symbol.asyncDispose]()
    },
  }
}

const text = (body: string, more: Partial<ServiceBusMessage> = {}): ServiceBusMessage => ({
  body: Buffer.from(body),
  ...more,
})
const bodies = (sink: Sink) => sink.seen.map(one => one.body.toString())

async function eventually(what: string, holds: () => boolean, withinMs = 30_000): Promise<void> {
  for (const untilMs = performance.now() + withinMs; !holds(); await new Promise(resolve => setTimeout(resolve, 20)))
    assert.ok(performance.now() < untilMs, what)
}

test('a message whose lock is lost comes again, as the same event', async () => {
  await using world = await open({ lockMs: 1_000 })
  world.server.faults.loseLocks = 1
  await world.send(text('x'))
  world.start()
  await eventually('it is done', () => world.server.texts('orders').length === 0)
  assert.deepEqual(
    world.sink.seen.map(one => one.id),
    ['1', '1'],
  )
})

test('a completion whose answer is lost is not asked for for ever', async () => {
  await using world = await open()
  world.server.faults.loseAnswers = 1
  await world.send(text('x'), text('y'))
  world.start()
  await eventually('both are done', () => world.server.texts('orders').length === 0)
  await world.send(text('z'))
  await eventually('it goes on', () => bodies(world.sink).includes('z'))
  assert.deepEqual(world.server.texts('orders/$DeadLetterQueue'), [])
})

test('a message that was taken before the connection broke is completed on the next one', async () => {
  await using world = await open({ lockMs: 20_000 })
  const held: (() => void)[] = []
  world.sink.answer = (response, seen, attempt) => void held.push(() => accept(response, seen, attempt))
  await world.send(text('x'))
  world.start()
  await eventually('the sink has it', () => held.length === 1)
  world.server.dropConnections()
  await eventually('it is back', () => world.server.connections() > 0)
  held[0]?.()
  await eventually('it is done', () => world.server.texts('orders').length === 0)
  assert.equal(world.sink.seen.length, 1)
})

test('a message delivered twice is emitted twice under one id, and done', async () => {
  await using world = await open()
  world.server.faults.duplicates = 1
  await world.send(text('x'))
  world.start()
  await eventually('it is done', () => world.server.texts('orders').length === 0 && world.last()?.held === 0)
  assert.deepEqual(new Set(world.sink.seen.map(one => one.id)), new Set(['1']))
})

test('management that hangs for a while loses locks and no message', async () => {
  await using world = await open({ lockMs: 1_000, maxDeliveryCount: 100 })
  world.server.faults.hangManagement = true
  world.sink.answer = (response, seen, attempt) => void setTimeout(() => accept(response, seen, attempt), 1_500)
  await world.send(text('x'))
  world.start()
  await eventually('it is emitted', () => world.sink.stored.has('1'))
  world.server.faults.hangManagement = false
  await eventually('it is done', () => world.server.texts('orders').length === 0)
})

test('a server that hangs is said, and used again once it answers', async () => {
  await using world = await open()
  world.start()
  await eventually('it is ready', () => world.last()?.ready === true)
  world.server.faults.hung = true
  world.server.dropConnections()
  await eventually('it is said', () => /cannot be reached|has not answered/.test(world.last()?.error ?? ''))
  world.server.faults.hung = false
  await world.send(text('x'))
  await eventually('it goes on', () => world.server.texts('orders').length === 0, 60_000)
})

test('sessions of a server that hangs are taken again once it answers', async () => {
  await using world = await open({ sessions: true, lockMs: 1_000 }, { sessions: { enabled: true, maxConcurrent: 2 } })
  world.start()
  await world.send(text('x', { sessionId: 'ann' }))
  await eventually('it is done', () => world.server.texts('orders').length === 0)
  world.server.faults.hung = true
  world.server.dropConnections()
  await eventually('it is said', () => /cannot be reached|has not answered/.test(world.last()?.error ?? ''))
  world.server.faults.hung = false
  await world.send(text('y', { sessionId: 'ann' }))
  await eventually('it goes on', () => world.server.texts('orders').length === 0, 60_000)
  await eventually('the trouble is over', () => world.last()?.error === undefined)
})

test('credentials that are refused are said without their key, and tried again', async () => {
  await using world = await open()
  world.server.faults.refuseTokens = true
  world.start()
  await eventually('it is said', () => /refuses the credentials/.test(world.last()?.error ?? ''))
  assert.ok(!JSON.stringify(world.states).includes('bm90LWEtc2VjcmV0'))
  world.server.faults.refuseTokens = false
  await world.send(text('x'))
  await eventually('it goes on', () => bodies(world.sink).includes('x'))
  await eventually('the trouble is over', () => world.last()?.error === undefined)
})

test('a queue that requires sessions says so to a source without them', async () => {
  await using world = await open({ sessions: true })
  world.start()
  await eventually('it is said', () => /sessions.enabled/.test(world.last()?.error ?? ''))
  assert.equal(world.last()?.ready, false)
})

test('what is refused goes to the dead letters with its reason', async () => {
  await using world = await open()
  world.sink.answer = status(422, {}, 'no such customer')
  await world.send(text('x'))
  world.start()
  await eventually('it is dead', () => world.server.texts('orders/$DeadLetterQueue').length === 1)
  const [dead] = world.server.entity('orders/$DeadLetterQueue').all()
  assert.equal(dead?.message.application_properties?.DeadLetterReason, 'RefusedBySink')
  assert.match(String(dead?.message.application_properties?.DeadLetterErrorDescription), /422.*no such customer/)
})

test('what shall be abandoned comes again until the service has enough of it', async () => {
  await using world = await open({ maxDeliveryCount: 2 }, { onExhausted: 'abandon' })
  world.sink.answer = status(400)
  await world.send(text('x'))
  world.start()
  await eventually('it is dead', () => world.server.texts('orders/$DeadLetterQueue').length === 1)
  assert.equal(world.sink.seen.length, 2)
  assert.ok(world.states.some(state => /cannot be delivered/.test(state.error ?? '')))
})

test('a message that is held for longer than maxLockRenewal is given to others', async () => {
  await using world = await open({ maxDeliveryCount: 2 }, { maxLockRenewalMs: 1_000 })
  world.sink.answer = () => {}
  await world.send(text('x'))
  world.start()
  await eventually('the service has enough of it', () => world.server.texts('orders/$DeadLetterQueue').length === 1)
})

test('of a session nothing overtakes a message that comes again', async () => {
  const sessions = { enabled: true, maxConcurrent: 2 }
  await using world = await open({ sessions: true, lockMs: 2_000 }, { sessions, onExhausted: 'abandon' })
  world.sink.answer = (response, seen, attempt) =>
    (seen.body.toString() === 'made' && attempt === 1 ? status(400) : accept)(response, seen, attempt)
  for (const body of ['made', 'changed', 'cancelled']) await world.send(text(body, { sessionId: 'ann' }))
  world.start()
  await eventually('all are done', () => world.server.texts('orders').length === 0)
  assert.deepEqual(bodies(world.sink), ['made', 'made', 'changed', 'cancelled'])
})

test('a session whose connection breaks is taken again, in order', async () => {
  await using world = await open({ sessions: true, lockMs: 1_000 }, { sessions: { enabled: true, maxConcurrent: 2 } })
  world.sink.answer = (response, seen, attempt) => void setTimeout(() => accept(response, seen, attempt), 30)
  for (let i = 0; i < 20; i++) await world.send(text(String(i), { sessionId: 'ann' }))
  world.start()
  await eventually('some are done', () => world.sink.stored.size >= 5)
  world.server.dropConnections()
  await eventually('all are done', () => world.server.texts('orders').length === 0)
  const order = [...new Set(bodies(world.sink))]
  assert.deepEqual(
    order,
    [...order].sort((a, b) => Number(a) - Number(b)),
  )
  assert.equal(order.length, 20)
})

test('more sessions than may be held at once all get their turn', async () => {
  await using world = await open({ sessions: true }, { sessions: { enabled: true, maxConcurrent: 2 } })
  for (const sessionId of ['a', 'b', 'c', 'd', 'e']) await world.send(text(sessionId, { sessionId }))
  world.start()
  await eventually('all are done', () => world.server.texts('orders').length === 0)
  assert.deepEqual(bodies(world.sink).sort(), ['a', 'b', 'c', 'd', 'e'])
})

test('a list of Event Grid is several events and one message', async () => {
  await using world = await open()
  const event = (id: string) => ({
    id,
    subject: 's',
    eventType: 't',
    eventTime: '2026-11-25T09:00:00Z',
    data: {},
    topic: '/t',
  })
  await world.send({ body: [event('g-1'), event('g-2')] })
  world.start()
  await eventually('it is done', () => world.server.texts('orders').length === 0)
  assert.deepEqual(
    world.sink.seen.map(one => one.id),
    ['g-1', 'g-2'],
  )
})
