import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { after, before, test } from 'node:test'
import { openStorageQueue, StorageQueueError } from '../../../clients/azure-storage-queue/queue.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { type Azurite, openAzurite } from '../../servers/azurite.ts'
import { ManualClock, settle } from '../../support/manual-clock.ts'

let azurite: Azurite
let queues = 0
before(async () => {
  azurite = await openAzurite()
})
after(() => azurite[Symbol.asyncDispose]())

const signal = new AbortController().signal

function unmade() {
  return openStorageQueue({ connectionString: azurite.connectionString, queueName: `queue-${++queues}` }, systemClock)
}

async function made() {
  const queue = unmade()
  assert.deepEqual(await queue.create(signal), { kind: 'created' })
  return queue
}

async function receiveOne(queue: ReturnType<typeof unmade>, visibilityMs = 30_000) {
  const received = await queue.receive(1, visibilityMs, signal)
  assert.equal(received.kind, 'messages')
  const [message] = received.kind === 'messages' ? received.messages : []
  assert.ok(message !== undefined)
  return message
}

test('a text comes back to the character', async () => {
  const queue = await made()
  const texts = [
    'hi',
    '',
    '  both ends  ',
    'a & b <c> "d" \'e\' ]]>',
    '&amp; &#xD;',
    'one\r\ntwo\ttab\n',
    '0012',
    'é🎈',
  ]
  for (const text of texts) {
    assert.deepEqual(await queue.put(text, signal), { kind: 'put' })
    const message = await receiveOne(queue)
    assert.equal(message.text, text)
    assert.deepEqual(await queue.delete(message, signal), { kind: 'deleted' })
  }
})

test('a message says when it came and how often it was received', async () => {
  const queue = await made()
  const beforeMs = Date.now()
  await queue.put('x', signal)
  const first = await receiveOne(queue)
  assert.equal(first.dequeueCount, 1)
  assert.ok(Math.abs(first.insertedMs - beforeMs) < 5_000)
  await queue.renew(first, 0, signal)
  const second = await receiveOne(queue)
  assert.equal(second.id, first.id)
  assert.equal(second.dequeueCount, 2)
})

test('after a renewal only the new receipt counts', async () => {
  const queue = await made()
  await queue.put('x', signal)
  const message = await receiveOne(queue)
  const renewed = await queue.renew(message, 30_000, signal)
  assert.equal(renewed.kind, 'renewed')
  assert.deepEqual(await queue.delete(message, signal), { kind: 'lost', why: 'receipt-stale' })
  assert.deepEqual(await queue.renew(message, 0, signal), { kind: 'lost', why: 'receipt-stale' })
  const receipt = renewed.kind === 'renewed' ? renewed.receipt : ''
  assert.deepEqual(await queue.delete({ id: message.id, receipt }, signal), { kind: 'deleted' })
  assert.deepEqual(await queue.delete({ id: message.id, receipt }, signal), { kind: 'lost', why: 'gone' })
})

test('counts tell hidden messages from visible ones', async () => {
  const queue = await made()
  for (let i = 0; i < 5; i++) await queue.put(String(i), signal)
  await queue.receive(2, 30_000, signal)
  assert.equal(await queue.approximateCount(signal), 5)
  assert.equal(await queue.peekCount(32, signal), 3)
  assert.equal(await queue.peekCount(2, signal), 2)
})

test('more than the service gives at once is cut to what it gives', async () => {
  const queue = await made()
  for (let i = 0; i < 34; i++) await queue.put(String(i), signal)
  const received = await queue.receive(100, 30_000, signal)
  assert.equal(received.kind === 'messages' && received.messages.length, 32)
  assert.equal(await queue.peekCount(100, signal), 2)
})

test('a queue that is not there is said to be missing, and works once it is made', async () => {
  const queue = unmade()
  const received = await queue.receive(1, 1_000, signal)
  assert.ok(received.kind === 'trouble' && received.what === 'queue-missing')
  assert.match(received.reason, /there is no queue at http:\/\/127\.0\.0\.1:\d+\/devstoreaccount1\/queue-\d+;/)
  const put = await queue.put('x', signal)
  assert.ok(put.kind === 'trouble' && put.what === 'queue-missing')
  await assert.rejects(queue.approximateCount(signal), { name: 'StorageQueueError', code: 'queue-missing' })
  await queue.create(signal)
  assert.deepEqual(await queue.create(signal), { kind: 'created' })
  assert.equal(await queue.approximateCount(signal), 0)
})

test('a sibling is another queue of the same account', async () => {
  const queue = await made()
  const poison = queue.sibling(`${queue.name}-poison`)
  await poison.create(signal)
  await poison.put('bad', signal)
  assert.equal(await poison.approximateCount(signal), 1)
  assert.equal(await queue.approximateCount(signal), 0)
  assert.equal(poison.url, `${queue.url}-poison`)
})

test('a wrong key is said to be refused, without the key', async () => {
  const wrong = Buffer.from('not the key').toString('base64')
  const queueUrl = `${azurite.url}/orders`
  const queue = openStorageQueue({ queueUrl, accountName: 'devstoreaccount1', accountKey: wrong }, systemClock)
  const received = await queue.receive(1, 1_000, signal)
  assert.ok(received.kind === 'trouble' && received.what === 'denied')
  assert.match(received.reason, /check the key/)
  assert.ok(!received.reason.includes(wrong))
})

test('nobody at the address is said to be unreachable', async () => {
  const queue = openStorageQueue(
    { queueUrl: 'http://127.0.0.1:1/a/q', accountName: 'a', accountKey: 'AAAA' },
    systemClock,
  )
  const received = await queue.receive(1, 1_000, signal)
  assert.ok(received.kind === 'trouble' && received.what === 'unreachable')
  assert.match(received.reason, /ECONNREFUSED/)
  await assert.rejects(queue.peekCount(1, signal), StorageQueueError)
})

/** Takes connections and never answers. */
async function openMute(): Promise<{ port: number; connected: () => number } & AsyncDisposable> {
  const server: Server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  const sockets = new Set<{ destroy(): void }>()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return {
    port: address.port,
    connected: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

test('a service that takes the request and says nothing is given up after ten seconds', async () => {
  await using mute = await openMute()
  const clock = new ManualClock()
  const access = { queueUrl: `http://127.0.0.1:${mute.port}/a/q`, accountName: 'a', accountKey: 'AAAA' }
  const asked = openStorageQueue(access, clock).receive(1, 1_000, signal)
  while (mute.connected() === 0) await settle()
  await clock.advance(9_999)
  assert.equal(clock.pending, 1)
  await clock.advance(1)
  const received = await asked
  assert.ok(received.kind === 'trouble' && received.what === 'unreachable')
  assert.match(received.reason, /has not answered within 10 s/)
  assert.equal(clock.pending, 0)
})

test('an abort ends a call at once with its own reason', async () => {
  await using mute = await openMute()
  const clock = new ManualClock()
  const access = { queueUrl: `http://127.0.0.1:${mute.port}/a/q`, accountName: 'a', accountKey: 'AAAA' }
  const stop = new AbortController()
  const queue = openStorageQueue(access, clock)
  const asked = queue.put('x', stop.signal)
  while (mute.connected() === 0) await settle()
  const reason = new Error('enough')
  stop.abort(reason)
  await assert.rejects(asked, reason)
  assert.equal(clock.pending, 0)
  await assert.rejects(queue.approximateCount(stop.signal), reason)
})
