import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import {
  EventHubConsumerClient,
  EventHubProducerClient,
  type EventPosition,
  earliestEventPosition,
  latestEventPosition,
  type ReceivedEventData,
  type SubscribeOptions,
} from '@azure/event-hubs'
import { type EventHubsServer, openEventHubs } from './event-hubs.ts'

let server: EventHubsServer
let hub: string
let hubs = 0
before(async () => {
  server = await openEventHubs()
})
after(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  hub = `hub-${++hubs}`
  server.make(hub, 2)
})

const retryOptions = { maxRetries: 0, timeoutInMs: 2_000 }

function consumer() {
  return new EventHubConsumerClient('$Default', server.connectionString, hub, { retryOptions })
}

function producer() {
  return new EventHubProducerClient(server.connectionString, hub, { retryOptions })
}

/** Reads one partition until `enough`, or until the client tells of an error. */
async function read(
  partition: string,
  startPosition: EventPosition,
  enough: (events: readonly ReceivedEventData[]) => boolean,
  options: SubscribeOptions = {},
): Promise<{ events: readonly ReceivedEventData[]; error: unknown }> {
  const client = consumer()
  const events: ReceivedEventData[] = []
  const error = await new Promise<unknown>(resolve => {
    const look = () => {
      if (enough(events)) resolve(undefined)
    }
    const handlers = {
      processEvents: async (some: ReceivedEventData[]) => {
        events.push(...some)
        look()
      },
      processError: async (found: Error) => resolve(found),
    }
    client.subscribe(partition, handlers, { startPosition, maxWaitTimeInSeconds: 1, ...options })
  })
  await client.close()
  return { events, error }
}

const bodies = (events: readonly ReceivedEventData[]) => events.map(one => String(one.body))
const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error)

test('the official client sends to a partition, by key and in batches, and reads it all', async () => {
  const client = producer()
  await client.sendBatch([{ body: 'a', properties: { n: 1 } }, { body: 'b' }], { partitionId: '1' })
  const batch = await client.createBatch({ partitionKey: 'k' })
  batch.tryAdd({ body: 'c' })
  await client.sendBatch(batch)
  await client.close()
  assert.equal(server.kept(hub, 0).length + server.kept(hub, 1).length, 3)
  const { events } = await read('1', earliestEventPosition, found => found.length >= 3)
  assert.deepEqual(bodies(events), ['a', 'b', 'c'])
  assert.deepEqual(events[0]?.properties, { n: 1 })
  assert.equal(events[2]?.partitionKey, 'k')
  assert.deepEqual(
    events.map(one => one.sequenceNumber),
    [0, 1, 2],
  )
})

test('the facts of a hub and of a partition are told', async () => {
  server.put(hub, 0, 'a')
  server.put(hub, 0, 'b')
  server.put(hub, 0, 'c')
  server.cut(hub, 0, 1)
  const client = consumer()
  assert.deepEqual(await client.getPartitionIds(), ['0', '1'])
  const first = await client.getPartitionProperties('0')
  assert.deepEqual(
    [first.beginningSequenceNumber, first.lastEnqueuedSequenceNumber, first.lastEnqueuedOffset, first.isEmpty],
    [1, 2, '200', false],
  )
  const second = await client.getPartitionProperties('1')
  assert.deepEqual([second.lastEnqueuedSequenceNumber, second.isEmpty], [-1, true])
  await client.close()
})

test('a receiver starts where it says, and after retention at what is left', async () => {
  for (const text of ['a', 'b', 'c', 'd']) server.put(hub, 0, text)
  const from = async (position: EventPosition, count: number) =>
    bodies((await read('0', position, found => found.length >= count)).events)
  assert.deepEqual(await from({ sequenceNumber: 1 }, 2), ['c', 'd'])
  assert.deepEqual(await from({ sequenceNumber: 1, isInclusive: true }, 3), ['b', 'c', 'd'])
  assert.deepEqual(await from({ offset: '200' }, 1), ['d'])
  assert.deepEqual(await from({ enqueuedOn: 0 }, 4), ['a', 'b', 'c', 'd'])
  server.cut(hub, 0, 2)
  assert.deepEqual(await from({ sequenceNumber: 0 }, 2), ['c', 'd'])
})

test('latest is what comes after', async () => {
  server.put(hub, 0, 'before')
  const reading = read('0', latestEventPosition, found => found.length >= 1)
  const putting = setInterval(() => server.put(hub, 0, 'after'), 200)
  assert.deepEqual(bodies((await reading).events).slice(0, 1), ['after'])
  clearInterval(putting)
})

test('a position beyond the end is refused', async () => {
  const { error } = await read('0', { sequenceNumber: 9 }, () => false)
  assert.equal(codeOf(error), 'ArgumentOutOfRangeError')
})

test('a hub that is not there is not found', async () => {
  server.remove(hub)
  const { error } = await read('0', earliestEventPosition, () => false)
  assert.equal(codeOf(error), 'MessagingEntityNotFoundError')
  await assert.rejects(producer().sendBatch([{ body: 'a' }]), { code: 'MessagingEntityNotFoundError' })
  await assert.rejects(consumer().getPartitionIds(), { code: 'MessagingEntityNotFoundError' })
})

test('a token that is refused is told as such', async () => {
  server.faults.refuseTokens = true
  const { error } = await read('0', earliestEventPosition, () => false)
  server.faults.refuseTokens = false
  assert.equal(codeOf(error), 'UnauthorizedError')
})

test('a receiver with a higher epoch cuts off the one with a lower, which then cannot come back', async () => {
  const low = read('0', earliestEventPosition, () => false, { ownerLevel: 1, maxWaitTimeInSeconds: 30 })
  server.put(hub, 0, 'a')
  await new Promise(resolve => setTimeout(resolve, 500))
  const high = read('0', earliestEventPosition, found => found.length > 1, { ownerLevel: 2, maxWaitTimeInSeconds: 30 })
  assert.equal(codeOf((await low).error), 'ReceiverDisconnectedError')
  const again = await read('0', earliestEventPosition, () => false, { ownerLevel: 1 })
  assert.equal(codeOf(again.error), 'ReceiverDisconnectedError')
  server.put(hub, 0, 'b')
  assert.equal((await high).error, undefined)
})

test('a busy namespace refuses what is sent', async () => {
  server.faults.busy = true
  await assert.rejects(producer().sendBatch([{ body: 'a' }]), { code: 'ServerBusyError' })
  server.faults.busy = false
})

test('a lost answer leaves the event kept and the sender without word', async () => {
  server.faults.loseAnswers = true
  await assert.rejects(producer().sendBatch([{ body: 'a' }], { partitionId: '0' }), { code: 'OperationTimeoutError' })
  server.faults.loseAnswers = false
  assert.equal(server.kept(hub, 0).length, 1)
})

test('a server that hangs is a call that takes too long', async () => {
  const client = consumer()
  await client.getPartitionIds()
  server.faults.hang = true
  await assert.rejects(client.getPartitionIds(), { code: 'OperationTimeoutError' })
  server.faults.hang = false
  await client.close()
})

test('after a reset, and after a kill and a start, the client goes on with what was kept', async () => {
  server.put(hub, 0, 'a')
  const options = { maxWaitTimeInSeconds: 1 }
  const faults = [() => server.drop(), () => server.kill().then(() => server.start())]
  const client = new EventHubConsumerClient('$Default', server.connectionString, hub)
  const texts: string[] = []
  await new Promise<void>(resolve => {
    const handlers = {
      processEvents: async (some: ReceivedEventData[]) => {
        texts.push(...bodies(some))
        const fault = some.length > 0 ? faults.shift() : undefined
        await fault?.()
        if (fault !== undefined) server.put(hub, 0, `${texts.length}`)
        if (texts.length === 3) resolve()
      },
      processError: async () => {},
    }
    client.subscribe('0', handlers, { startPosition: earliestEventPosition, ...options })
  })
  await client.close()
  assert.deepEqual(texts, ['a', '1', '2'])
})
