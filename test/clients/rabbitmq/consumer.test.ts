import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rabbitAccessOf } from '../../../clients/rabbitmq/access.ts'
import { openConsumer, type RabbitDelivery } from '../../../clients/rabbitmq/consumer.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { noRabbitmq, type Rabbitmq, sharedRabbitmq, testChannel, uniqueName } from '../../servers/rabbitmq.ts'

const missing = await noRabbitmq()
const withServer = missing === false ? {} : { skip: missing }
const signal = new AbortController().signal

/** A consumer that hands out its deliveries one by one. */
async function consume(server: Rabbitmq, queue: string, prefetch = 10) {
  const waiting: RabbitDelivery[] = []
  let wake = () => {}
  const take = (delivery: RabbitDelivery) => {
    waiting.push(delivery)
    wake()
  }
  const access = rabbitAccessOf(server.credentials, undefined)
  const consumer = await openConsumer(access, { queue, exchange: undefined, prefetch }, take, systemClock, signal)
  assert.ok(consumer.kind === 'consuming', JSON.stringify(consumer))
  return {
    consumer,
    waiting,
    async next(): Promise<RabbitDelivery> {
      for (;;) {
        const delivery = waiting.shift()
        if (delivery !== undefined) return delivery
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    },
    [Symbol.asyncDispose]: () => consumer.close(),
  }
}

async function quorumQueue(server: Rabbitmq) {
  const opened = await testChannel(server)
  const queue = uniqueName()
  await opened.channel.assertQueue(queue, {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-expires': 600_000 },
  })
  return { ...opened, queue }
}

test(
  'a message that was given back is counted, and its copy at the end of the queue is a new one with all it had',
  withServer,
  async () => {
    const server = await sharedRabbitmq()
    await using opened = await quorumQueue(server)
    const { channel, queue } = opened
    channel.sendToQueue(queue, Buffer.from('1'), {
      contentType: 'text/plain',
      headers: { a: 'b' },
      timestamp: 1_767_225_600,
    })
    await channel.waitForConfirms()
    await using consumed = await consume(server, queue)
    const first = await consumed.next()
    assert.deepEqual([first.redelivered, first.deliveries], [false, 0])
    first.requeue()
    const second = await consumed.next()
    assert.deepEqual([second.redelivered, second.deliveries], [true, 1])
    assert.deepEqual(await second.copyToEnd('own', signal), { kind: 'confirmed' })
    second.ack()
    const copy = await consumed.next()
    assert.deepEqual([copy.redelivered, copy.deliveries, Buffer.from(copy.message.body).toString()], [false, 0, '1'])
    const { contentType, messageId, timestampMs, headers } = copy.message
    assert.deepEqual([contentType, messageId, timestampMs, headers.a], ['text/plain', 'own', 1_767_225_600_000, 'b'])
    copy.ack()
  },
)

test('a second word about a message changes nothing, and does not end the channel', withServer, async () => {
  const server = await sharedRabbitmq()
  await using opened = await quorumQueue(server)
  const { channel, queue } = opened
  for (const text of ['1', '2']) channel.sendToQueue(queue, Buffer.from(text))
  await channel.waitForConfirms()
  await using consumed = await consume(server, queue, 1)
  const delivery = await consumed.next()
  assert.equal(delivery.ack(), true)
  for (const say of [delivery.ack, delivery.reject, delivery.requeue]) assert.equal(say(), delivery.ack())
  const next = await consumed.next()
  assert.equal(Buffer.from(next.message.body).toString(), '2')
  assert.equal(next.ack(), true)
})

test('after the connection is over nothing can be said of a message, and that is told', withServer, async () => {
  const server = await sharedRabbitmq()
  await using opened = await quorumQueue(server)
  opened.channel.sendToQueue(opened.queue, Buffer.from('1'))
  await opened.channel.waitForConfirms()
  await using consumed = await consume(server, opened.queue)
  const delivery = await consumed.next()
  await consumed.consumer.close()
  assert.equal(delivery.ack(), false)
  assert.equal((await consumed.consumer.ended).kind, 'trouble')
  await using again = await consume(server, opened.queue)
  assert.equal((await again.next()).redelivered, true)
})

test('a stopped consumer gets nothing new, and what it holds can still be acknowledged', withServer, async () => {
  const server = await sharedRabbitmq()
  await using opened = await quorumQueue(server)
  const { channel, queue } = opened
  for (const text of ['1', '2', '3']) channel.sendToQueue(queue, Buffer.from(text))
  await channel.waitForConfirms()
  {
    await using consumed = await consume(server, queue, 1)
    const delivery = await consumed.next()
    await consumed.consumer.stop()
    await consumed.consumer.stop()
    delivery.ack()
    await consumed.consumer.close()
    assert.equal(consumed.waiting.length, 0)
  }
  await using rest = await consume(server, queue)
  assert.equal(Buffer.from((await rest.next()).message.body).toString(), '2')
})
