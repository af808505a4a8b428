import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openStorageQueue } from '../../clients/azure-storage-queue/queue.ts'
import { putMessages } from '../../examples/hello-queue/put-messages.ts'
import { systemClock } from '../../runtime/clock.ts'
import { ACCOUNT, ACCOUNT_KEY, openAzurite } from '../servers/azurite.ts'

const signal = new AbortController().signal

test('the messages are on the queue in base64, each once, and a wrong key is refused', async () => {
  await using azurite = await openAzurite()
  const target = { accountUrl: azurite.url, account: ACCOUNT, key: ACCOUNT_KEY, queue: 'js-queue-items' }
  await putMessages(target, 30, signal)
  const { connectionString } = azurite
  const queue = openStorageQueue({ connectionString, queueName: target.queue }, systemClock)
  const received = await queue.receive(32, 30_000, signal)
  const texts =
    received.kind === 'messages' ? received.messages.map(one => Buffer.from(one.text, 'base64').toString()) : []
  assert.deepEqual(texts.sort(), Array.from({ length: 30 }, (_, i) => `hellomeetup${i + 1}`).sort())
  await putMessages(target, 1, signal)
  assert.equal(await queue.approximateCount(signal), 31)
  await assert.rejects(putMessages({ ...target, key: 'AAAA' }, 1, signal), /answered 403/)
})
