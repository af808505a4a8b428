import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { ServiceBusClient } from '@azure/service-bus'
import { openBus } from '../../../clients/azure-service-bus/bus.ts'
import type { BusMessage } from '../../../clients/azure-service-bus/message.ts'
import { type Clock, systemClock } from '../../../runtime/clock.ts'
import { openServiceBus } from '../../servers/service-bus.ts'

after(() => void setTimeout(() => process.exit(), 500).unref())

/** A clock that goes so many times faster than others. */
function faster(times: number): Clock {
  return {
    nowMs: systemClock.nowMs,
    monotonicMs: () => systemClock.monotonicMs() * times,
    after: (delayMs, action) => systemClock.after(delayMs / times, action),
  }
}

async function open(clock: Clock) {
  const server = await openServiceBus({ orders: {} })
  const bus = openBus({ connectionString: server.connectionString, entity: 'orders' }, clock)
  const client = new ServiceBusClient(server.connectionString)
  const sender = client.createSender('orders')
  return {
    server,
    bus,
    send: (body: string) => sender.sendMessages({ body: Buffer.from(body) }),
    async [Symbol.asyncDispose]() {
      await client.close()
      await bus[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

test('a link that is silent though messages wait is given up, and the next one gets them', async () => {
  await using world = await open(faster(20))
  world.server.faults.silent = true
  await world.send('x')
  const stop = new AbortController()
  const taken: BusMessage[] = []
  const take = async (message: BusMessage) => {
    taken.push(message)
    stop.abort()
  }
  assert.deepEqual(await world.bus.listen({ max: 4, onOpen: () => {}, take }, stop.signal), { kind: 'silent' })
  world.server.faults.silent = false
  assert.deepEqual(await world.bus.listen({ max: 4, onOpen: () => {}, take }, stop.signal), { kind: 'stopped' })
  assert.equal(taken.length, 1)
})

test('no more messages are held at once than were asked for', async () => {
  await using world = await open(systemClock)
  for (let i = 0; i < 10; i++) await world.send(String(i))
  const stop = new AbortController()
  let held = 0
  let most = 0
  let done = 0
  const take = async (message: BusMessage) => {
    most = Math.max(most, ++held)
    await new Promise(resolve => setTimeout(resolve, 50))
    await world.bus.complete(message, new AbortController().signal)
    held--
    if (++done === 10) stop.abort()
  }
  await world.bus.listen({ max: 3, onOpen: () => {}, take }, stop.signal)
  assert.deepEqual([most, done], [3, 10])
})

test('a call that is not answered ends in time, and one that is aborted at once', async () => {
  await using world = await open(faster(4))
  await world.send('x')
  const stop = new AbortController()
  const got = Promise.withResolvers<BusMessage>()
  const listening = world.bus.listen(
    { max: 1, onOpen: () => {}, take: async message => got.resolve(message) },
    stop.signal,
  )
  const message = await got.promise
  stop.abort()
  await listening
  world.server.faults.hung = true
  const late = await world.bus.complete(message, new AbortController().signal)
  assert.ok(late.kind === 'trouble' && late.what === 'unreachable', JSON.stringify(late))
  const abort = new AbortController()
  const renewing = world.bus.renew(message, abort.signal)
  abort.abort(new Error('enough'))
  await assert.rejects(renewing, /enough/)
  world.server.faults.hung = false
})
