import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { ServiceBusClient } from '@azure/service-bus'
import { openBacklog } from '../../../clients/backlog.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { openServiceBus } from '../../servers/service-bus.ts'

after(() => void setTimeout(() => process.exit(), 500).unref())
const signal = new AbortController().signal

test('at an emulator messages are counted by looking: locked ones too, scheduled and deferred ones not', async () => {
  await using server = await openServiceBus({ orders: { sessions: false } })
  const client = new ServiceBusClient(server.connectionString)
  const sender = client.createSender('orders')
  await sender.sendMessages(Array.from({ length: 300 }, (_, i) => ({ body: String(i), messageId: String(i) })))
  await sender.sendMessages({ body: 'later', scheduledEnqueueTimeUtc: new Date(Date.now() + 60_000) })
  const receiver = client.createReceiver('orders')
  const [locked, deferred] = await receiver.receiveMessages(2, { maxWaitTimeInMs: 10_000 })
  assert.ok(locked !== undefined && deferred !== undefined)
  await receiver.deferMessage(deferred)
  const access = { connectionString: server.connectionString, entity: 'orders' }
  const backlog = await openBacklog({ system: 'azure-service-bus', access }, systemClock)
  assert.equal(await backlog.count(signal), 299)
  assert.equal(await backlog.count(signal), 299, 'the second look begins at the front again')
  server.remove('orders')
  await assert.rejects(backlog.count(signal), /there is nothing at sb:\/\/127\.0\.0\.1/)
  await backlog.close()
  await client.close()
})

test('what cannot be reached is unknown, not zero', async () => {
  await using server = await openServiceBus()
  const { connectionString } = server
  await server.kill()
  const access = { connectionString, entity: 'orders' }
  const backlog = await openBacklog({ system: 'azure-service-bus', access }, systemClock)
  await assert.rejects(backlog.count(signal), /cannot be reached|has not answered/)
  await backlog.close()
})
