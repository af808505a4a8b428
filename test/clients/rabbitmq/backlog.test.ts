import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBacklog } from '../../../clients/backlog.ts'
import { rabbitAccessOf } from '../../../clients/rabbitmq/access.ts'
import type { RabbitBacklog } from '../../../clients/rabbitmq/backlog.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { noRabbitmq, type Rabbitmq, sharedRabbitmq, testChannel, uniqueName } from '../../servers/rabbitmq.ts'

const missing = await noRabbitmq()
const withServer = missing === false ? {} : { skip: missing }
const signal = new AbortController().signal

async function open(server: Rabbitmq, queue: string, changes: Partial<RabbitBacklog>, credentials: object = {}) {
  const access = rabbitAccessOf({ ...server.credentials, ...credentials }, undefined)
  const reader = await openBacklog(
    { system: 'rabbitmq', access, queue, protocol: 'both', what: 'all', ...changes },
    systemClock,
  )
  return { count: () => reader.count(signal), [Symbol.asyncDispose]: () => reader.close() }
}

async function eventually(count: () => Promise<number>, expected: number): Promise<void> {
  const untilMs = performance.now() + 30_000
  let last: number | undefined
  while (last !== expected) {
    assert.ok(performance.now() < untilMs, `${last} is not ${expected}`)
    last = await count().catch(() => undefined)
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

test('what waits and what is held are counted, each way as far as it can see', withServer, async () => {
  const server = await sharedRabbitmq()
  await using opened = await testChannel(server)
  const queue = uniqueName('q.+(')
  await opened.channel.assertQueue(queue, {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-expires': 600_000 },
  })
  for (let i = 0; i < 10; i++) opened.channel.sendToQueue(queue, Buffer.from('x'))
  await opened.channel.waitForConfirms()
  await using amqp = await open(server, queue, { protocol: 'amqp' })
  await using http = await open(server, queue, { protocol: 'http' })
  await using ready = await open(server, queue, { protocol: 'http', what: 'ready' })
  await using both = await open(server, queue, {})
  await using rate = await open(server, queue, { protocol: 'http', what: 'rate' })
  assert.equal(await amqp.count(), 10)
  assert.equal(await both.count(), 10)
  await eventually(http.count, 10)

  await opened.channel.prefetch(4)
  await opened.channel.consume(queue, () => {})
  await eventually(amqp.count, 6)
  await eventually(ready.count, 6)
  await eventually(both.count, 10)
  assert.equal(await http.count(), 10)
  assert.ok((await rate.count()) >= 1)
})

test('where the management API cannot be reached, what waits is counted alone', withServer, async () => {
  const server = await sharedRabbitmq()
  await using opened = await testChannel(server)
  const { queue } = await opened.channel.assertQueue('', { exclusive: false, autoDelete: false, expires: 600_000 })
  for (let i = 0; i < 3; i++) opened.channel.sendToQueue(queue, Buffer.from('x'))
  await opened.channel.waitForConfirms()
  await using both = await open(server, queue, {}, { managementUri: 'http://127.0.0.1:1' })
  assert.equal(await both.count(), 3)
  await using http = await open(server, queue, { protocol: 'http' }, { managementUri: 'http://127.0.0.1:1' })
  await assert.rejects(http.count(), /cannot be reached/)
})

test(
  'a queue that is missing and credentials that are wrong are unknown, not zero, and the next count finds what was mended',
  withServer,
  async () => {
    const server = await sharedRabbitmq()
    await using opened = await testChannel(server)
    const queue = uniqueName()
    for (const protocol of ['amqp', 'http', 'both'] as const) {
      await using reader = await open(server, queue, { protocol })
      await assert.rejects(reader.count(), /no queue/)
      await using denied = await open(server, queue, { protocol }, { password: 'hunter2' })
      await assert.rejects(
        denied.count(),
        (error: Error) => /refuses/.test(error.message) && !/hunter2/.test(error.message),
      )
    }
    await using reader = await open(server, queue, { protocol: 'amqp' })
    await assert.rejects(reader.count(), /no queue/)
    await opened.channel.assertQueue(queue, { durable: false, autoDelete: true, expires: 600_000 })
    assert.equal(await reader.count(), 0)
  },
)
