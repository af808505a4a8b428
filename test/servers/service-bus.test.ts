/** The official client against our stand-in, without Weir: what is documented of the service is what it sees. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import {
  isServiceBusError,
  type ProcessErrorArgs,
  ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
} from '@azure/service-bus'
import { openServiceBus, type ServiceBusServer } from './service-bus.ts'

// The client lets go of its timers only after a minute; nothing of ours is open any more.
after(() => void setTimeout(() => process.exit(), 500).unref())

async function open(entities: Parameters<typeof openServiceBus>[0] = { orders: {} }) {
  const server = await openServiceBus(entities)
  const retryOptions = { maxRetries: 0, timeoutInMs: 3_000, retryDelayInMs: 50 }
  const client = new ServiceBusClient(server.connectionString, { retryOptions })
  return {
    server,
    client,
    send: async (
      queue: string,
      ...messages: Parameters<ReturnType<ServiceBusClient['createSender']>['sendMessages']>[0][]
    ) => {
      const sender = client.createSender(queue)
      for (const message of messages) await sender.sendMessages(message)
      await sender.close()
    },
    [Symbol.asyncDispose]: async () => {
      await client.close().catch(() => {})
      await server[Symbol.asyncDispose]()
    },
  }
}

async function receiveOne(receiver: Pick<ServiceBusReceiver, 'receiveMessages'>): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 10_000 })
  assert.ok(message !== undefined)
  return message
}

function withCode(code: string) {
  return (error: unknown) => {
    assert.ok(isServiceBusError(error), String(error))
    assert.equal(error.code, code, error.message)
    return true
  }
}

async function eventually(holds: () => boolean): Promise<void> {
  for (const untilMs = performance.now() + 10_000; !holds(); await new Promise(resolve => setTimeout(resolve, 10)))
    assert.ok(performance.now() < untilMs)
}

/** Renewal by the client goes by the message id, and fails on every message that has none. */
const unrenewed = { maxAutoLockRenewalDurationInMs: 0 }

const deadOf = (server: ServiceBusServer, queue: string) => server.texts(`${queue}/$DeadLetterQueue`)

test('messages come in order, one by one and in a batch, with everything that was said of them', async () => {
  await using world = await open()
  const { client, server } = world
  const full = {
    body: Buffer.from('one'),
    messageId: 'm-1',
    contentType: 'text/plain',
    correlationId: 'c',
    subject: 's',
    partitionKey: 'p',
    applicationProperties: { text: 'x', number: 7, yes: true },
  }
  await world.send('orders', full, [{ body: Buffer.from('two') }, { body: Buffer.from('three') }])
  assert.deepEqual(server.texts('orders'), ['one', 'two', 'three'])
  const receiver = client.createReceiver('orders', { ...unrenewed, skipParsingBodyAsJson: true })
  const first = await receiveOne(receiver)
  const { body, messageId, contentType, correlationId, subject, partitionKey, applicationProperties } = first
  assert.deepEqual({ body, messageId, contentType, correlationId, subject, partitionKey, applicationProperties }, full)
  assert.equal(String(first.sequenceNumber), '1')
  assert.equal(first.deliveryCount, 0)
  assert.ok(first.lockedUntilUtc !== undefined && first.enqueuedTimeUtc !== undefined)
  await receiver.completeMessage(first)
  assert.equal(String((await receiveOne(receiver)).body), 'two')
  assert.deepEqual(server.texts('orders'), ['two', 'three'])
})

test('no more comes than was asked for', async () => {
  await using world = await open()
  await world.send('orders', { body: '1' }, { body: '2' }, { body: '3' })
  const receiver = world.client.createReceiver('orders', { receiveMode: 'receiveAndDelete' })
  assert.equal((await receiveOne(receiver)).body, '1')
  assert.equal(world.server.texts('orders').length, 2)
})

test('what is abandoned comes again and counts, and after as many deliveries as are allowed it is dead', async () => {
  await using world = await open({ orders: { maxDeliveryCount: 2 } })
  await world.send('orders', { body: 'x' })
  const receiver = world.client.createReceiver('orders', unrenewed)
  await receiver.abandonMessage(await receiveOne(receiver))
  const again = await receiveOne(receiver)
  assert.equal(again.deliveryCount, 1)
  await receiver.abandonMessage(again)
  assert.deepEqual(world.server.texts('orders'), [])
  const dead = await receiveOne(world.client.createReceiver('orders', { ...unrenewed, subQueueType: 'deadLetter' }))
  assert.equal(dead.deadLetterReason, 'MaxDeliveryCountExceeded')
})

test('what is dead-lettered says why', async () => {
  await using world = await open()
  await world.send('orders', { body: 'x' })
  const receiver = world.client.createReceiver('orders', unrenewed)
  const options = { deadLetterReason: 'no', deadLetterErrorDescription: 'not today' }
  await receiver.deadLetterMessage(await receiveOne(receiver), options)
  const dead = await receiveOne(world.client.createReceiver('orders', { ...unrenewed, subQueueType: 'deadLetter' }))
  assert.deepEqual([dead.deadLetterReason, dead.deadLetterErrorDescription], ['no', 'not today'])
})

test('what is deferred comes only by its number', async () => {
  await using world = await open()
  await world.send('orders', { body: 'x' })
  const receiver = world.client.createReceiver('orders', unrenewed)
  const message = await receiveOne(receiver)
  await receiver.deferMessage(message)
  assert.deepEqual(await receiver.receiveMessages(1, { maxWaitTimeInMs: 100 }), [])
  assert.ok(message.sequenceNumber !== undefined)
  const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber)
  assert.ok(deferred !== undefined)
  await receiver.completeMessage(deferred)
  assert.deepEqual(world.server.texts('orders'), [])
})

test('a topic gives every subscription its own', async () => {
  await using world = await open({ news: { subscriptions: ['a', 'b'] } })
  await world.send('news', { body: 'x' })
  const receiver = world.client.createReceiver('news', 'a', unrenewed)
  await receiver.completeMessage(await receiveOne(receiver))
  assert.deepEqual(world.server.texts('news/subscriptions/a'), [])
  assert.equal(world.server.texts('news/Subscriptions/b').length, 1)
})

test('a schedule is kept, and what expires goes, to the dead letters where that is wished', async () => {
  await using world = await open({ orders: {}, fading: { deadLetterOnExpiry: true } })
  await world.send('orders', { body: 'later', scheduledEnqueueTimeUtc: new Date(Date.now() + 300) })
  const receiver = world.client.createReceiver('orders', unrenewed)
  assert.equal(world.server.entity('orders').active(), 0)
  assert.equal((await receiveOne(receiver)).body, 'later')
  await world.send('fading', { body: 'x', timeToLive: 1 })
  await eventually(() => world.server.texts('fading').length === 0)
  assert.equal(deadOf(world.server, 'fading').length, 1)
})

test('peeking shows what is there, locked or not, and takes nothing', async () => {
  await using world = await open()
  await world.send('orders', { body: 'one' }, { body: 'two' })
  const receiver = world.client.createReceiver('orders', unrenewed)
  await receiveOne(receiver)
  const peeked = await world.client.createReceiver('orders', unrenewed).peekMessages(10)
  assert.deepEqual(
    peeked.map(one => [one.body, one.state]),
    [
      ['one', 'active'],
      ['two', 'active'],
    ],
  )
})

test('a lock holds while it is renewed, and no longer', async () => {
  await using world = await open({ orders: { lockMs: 500 } })
  await world.send('orders', { body: 'x' })
  const receiver = world.client.createReceiver('orders', unrenewed)
  const message = await receiveOne(receiver)
  for (let i = 0; i < 4; i++) {
    await new Promise(resolve => setTimeout(resolve, 200))
    const until = await receiver.renewMessageLock(message)
    assert.ok(until.getTime() > Date.now())
  }
  assert.equal(world.server.entity('orders').locked(), 1)
  await eventually(() => world.server.entity('orders').locked() === 0)
  await assert.rejects(receiver.renewMessageLock(message), withCode('MessageLockLost'))
  await assert.rejects(receiver.completeMessage(message), withCode('MessageLockLost'))
  assert.equal((await receiveOne(receiver)).deliveryCount, 1)
})

test('a session is one receiver’s, in order, and its state is kept; its lock is renewed as a whole', async () => {
  await using world = await open({ orders: { sessions: true, lockMs: 8_000 } })
  const message = (sessionId: string, body: string) => ({ sessionId, body })
  await world.send('orders', message('b', '1'), message('a', '2'), message('b', '3'))
  const first = await world.client.acceptNextSession('orders', unrenewed)
  const second = await world.client.acceptNextSession('orders')
  assert.deepEqual([first.sessionId, second.sessionId], ['b', 'a'])
  await assert.rejects(world.client.acceptSession('orders', 'b'), withCode('SessionCannotBeLocked'))
  await assert.rejects(world.client.acceptNextSession('orders'), withCode('ServiceTimeout'))
  await first.renewSessionLock()
  assert.equal((await receiveOne(first)).body, '1')
  await first.setSessionState('half')
  await first.close()
  const again = await world.client.acceptNextSession('orders')
  assert.equal(again.sessionId, 'b')
  assert.equal(await again.getSessionState(), 'half')
  assert.equal((await receiveOne(again)).body, '1')
})

test('who waits for any session gets one as soon as there is one', async () => {
  await using world = await open({ orders: { sessions: true } })
  const waiting = world.client.acceptNextSession('orders')
  await new Promise(resolve => setTimeout(resolve, 300))
  await world.send('orders', { sessionId: 's', body: 'x' })
  assert.equal((await waiting).sessionId, 's')
})

test('a session whose lock is not renewed is lost', async () => {
  await using world = await open({ orders: { sessions: true, lockMs: 300 } })
  await world.send('orders', { sessionId: 's', body: 'x' })
  const session = await world.client.acceptNextSession('orders', unrenewed)
  const message = await receiveOne(session)
  await new Promise(resolve => setTimeout(resolve, 500))
  await assert.rejects(session.completeMessage(message), withCode('SessionLockLost'))
})

test('an entity that wants sessions refuses who has none', async () => {
  await using world = await open({ orders: { sessions: true } })
  await assert.rejects(world.client.createReceiver('orders', unrenewed).receiveMessages(1), /requires sessions/)
  await assert.rejects(world.send('orders', { body: 'x' }), /SessionId was not set/)
})

test('a place that is not there, or is taken away, is not found', async () => {
  await using world = await open()
  await assert.rejects(
    world.client.createReceiver('nothing', unrenewed).receiveMessages(1),
    withCode('MessagingEntityNotFound'),
  )
  await assert.rejects(world.send('nothing', { body: 'x' }), withCode('MessagingEntityNotFound'))
  const waiting = world.client.createReceiver('orders', unrenewed).receiveMessages(1)
  const refused = assert.rejects(waiting, withCode('MessagingEntityNotFound'))
  await new Promise(resolve => setTimeout(resolve, 300))
  world.server.remove('orders')
  await refused
})

test('a token that is refused says so', async () => {
  await using world = await open()
  world.server.faults.refuseTokens = true
  await assert.rejects(
    world.client.createReceiver('orders', unrenewed).receiveMessages(1),
    withCode('UnauthorizedAccess'),
  )
})

test('management that hangs, or is slow, costs its callers time', async () => {
  await using world = await open()
  await world.send('orders', { body: 'x' })
  world.server.faults.managementDelayMs = 300
  const receiver = world.client.createReceiver('orders', unrenewed)
  const startedMs = performance.now()
  await receiver.peekMessages(1)
  assert.ok(performance.now() - startedMs >= 299)
  world.server.faults.hangManagement = true
  await assert.rejects(receiver.peekMessages(1), withCode('ServiceTimeout'))
})

test('a message may be delivered twice', async () => {
  await using world = await open()
  world.server.faults.duplicates = 1
  await world.send('orders', { body: 'x' })
  const messages = await world.client.createReceiver('orders', unrenewed).receiveMessages(2, { maxWaitTimeInMs: 5_000 })
  assert.deepEqual(
    messages.map(one => [one.body, one.deliveryCount]),
    [
      ['x', 0],
      ['x', 1],
    ],
  )
})

test('a settlement that comes too late finds its lock lost', async () => {
  await using world = await open()
  world.server.faults.loseLocks = 1
  await world.send('orders', { body: 'x' })
  const receiver = world.client.createReceiver('orders', unrenewed)
  await assert.rejects(receiver.completeMessage(await receiveOne(receiver)), withCode('MessageLockLost'))
})

test('a settlement whose answer is lost is done all the same', async () => {
  await using world = await open()
  world.server.faults.loseAnswers = 1
  await world.send('orders', { body: 'x' })
  const receiver = world.client.createReceiver('orders', unrenewed)
  const message = await receiveOne(receiver)
  await assert.rejects(receiver.completeMessage(message))
  await assert.rejects(receiver.completeMessage(message), withCode('MessageLockLost'))
  assert.deepEqual(world.server.texts('orders'), [])
})

test('a receiver may be silent though there are messages', async () => {
  await using world = await open()
  world.server.faults.silent = true
  await world.send('orders', { body: 'x' })
  const receiver = world.client.createReceiver('orders', unrenewed)
  assert.deepEqual(await receiver.receiveMessages(1, { maxWaitTimeInMs: 300 }), [])
  assert.equal((await receiver.peekMessages(1)).length, 1)
})

test('a server that hangs answers nothing', async () => {
  await using world = await open()
  await world.send('orders', { body: 'x' })
  const receiver = world.client.createReceiver('orders', unrenewed)
  const message = await receiveOne(receiver)
  world.server.faults.hung = true
  await assert.rejects(receiver.completeMessage(message), withCode('ServiceTimeout'))
  await assert.rejects(receiver.peekMessages(1), withCode('ServiceTimeout'))
  world.server.faults.hung = false
})

test('a connection that ends, or a server that was killed and is back, has kept what it had', async () => {
  await using world = await open()
  const { client, server } = world
  await world.send('orders', { body: 'x' })
  const errors: ProcessErrorArgs[] = []
  const seen: unknown[] = []
  client.createReceiver('orders').subscribe(
    {
      processMessage: async message => void seen.push(message.body),
      processError: async args => void errors.push(args),
    },
    { autoCompleteMessages: false },
  )
  await eventually(() => seen.length === 1)
  await server.kill()
  await eventually(() => errors.length > 0)
  await server.start()
  await eventually(() => seen.length === 2)
  server.dropConnections()
  server.entity('orders').loseLocks()
  await eventually(() => seen.length === 3)
})
