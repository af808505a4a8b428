import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { toEvents } from '../../../adapters/azure-storage-queue/to-event.ts'
import { openStorageQueue } from '../../../clients/azure-storage-queue/queue.ts'
import type { AzureStorageQueueSinkResource } from '../../../crds/azure-storage-queue-sink.ts'
import { noAttributes } from '../../../event/attributes.ts'
import type { CloudEvent } from '../../../event/event.ts'
import { eventData } from '../../../event/http.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { toText } from '../../../sinks/azure-storage-queue/to-text.ts'
import { openSink } from '../../../sinks/registry.ts'
import { type Azurite, openAzurite } from '../../servers/azurite.ts'

let azurite: Azurite
before(async () => {
  azurite = await openAzurite()
})
after(() => azurite[Symbol.asyncDispose]())

const signal = new AbortController().signal

function eventOf(body: string | Uint8Array, datacontenttype: string | undefined = 'application/json'): CloudEvent {
  const attributes = Object.assign(noAttributes(), { specversion: '1.0', id: 'e-1', source: '/s', type: 't' })
  return { mode: 'binary', attributes: Object.assign(attributes, { datacontenttype }), body: Buffer.from(body) }
}

function resourceOf(
  queueName: string,
  changes: Partial<AzureStorageQueueSinkResource['spec']> = {},
): AzureStorageQueueSinkResource {
  return {
    apiVersion: 'eventing.weir.dev/v1alpha1',
    kind: 'AzureStorageQueueSink',
    metadata: { name: 'out', namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'test.yaml', line: 1, column: 1 },
    spec: {
      queueName,
      endpointSuffix: 'core.windows.net',
      auth: { connectionString: { secretKeyRef: { name: 'storage', key: 'connectionString' } } },
      encoding: 'base64',
      payload: 'cloudevents',
      ...changes,
    },
  }
}

function sinkOf(queueName: string, changes: Partial<AzureStorageQueueSinkResource['spec']> = {}) {
  const resource = resourceOf(queueName, changes)
  const deps = { clock: systemClock, random: Math.random, log: silentLog }
  return openSink({ resource, credentials: { connectionString: azurite.connectionString } }, deps)
}

function queueOf(queueName: string) {
  return openStorageQueue({ connectionString: azurite.connectionString, queueName }, systemClock)
}

test('an event is a message that the source reads as the same event', async () => {
  const queue = queueOf('round-trip')
  await queue.create(signal)
  await using sink = await sinkOf('round-trip')
  assert.deepEqual(await sink.send(eventOf('{"n":1.0}'), signal), { kind: 'sent' })
  const received = await queue.receive(1, 1_000, signal)
  assert.ok(received.kind === 'messages' && received.messages[0] !== undefined)
  const read = toEvents(received.messages[0], queue.url, { encoding: 'auto', payload: 'auto', extensions: {} })
  assert.ok(read.kind === 'events' && read.events[0] !== undefined)
  assert.equal(read.events[0].attributes.id, 'e-1')
  assert.equal(Buffer.from(eventData(read.events[0]).bytes).toString(), '{"n":1.0}')
})

test('raw text is the data alone, and as text it is not encoded', async () => {
  const queue = queueOf('raw')
  await queue.create(signal)
  await using sink = await sinkOf('raw', { encoding: 'text', payload: 'raw' })
  assert.deepEqual(await sink.send(eventOf('größer <&>'), signal), { kind: 'sent' })
  const received = await queue.receive(1, 1_000, signal)
  assert.equal(received.kind === 'messages' && received.messages[0]?.text, 'größer <&>')
})

test('a queue that is missing is tried again, and used once it is made', async () => {
  await using sink = await sinkOf('later')
  const sent = await sink.send(eventOf('1'), signal)
  assert.equal(sent.kind, 'again')
  assert.match(sent.kind === 'again' ? sent.reason : '', /there is no queue at .*later/)
  await queueOf('later').create(signal)
  assert.deepEqual(await sink.send(eventOf('1'), signal), { kind: 'sent' })
})

test('an event that a queue cannot hold is refused with the reason, and one of the largest size is taken', async () => {
  await queueOf('large').create(signal)
  await using sink = await sinkOf('large', { payload: 'raw' })
  assert.deepEqual(await sink.send(eventOf('x'.repeat(49_152)), signal), { kind: 'sent' })
  const sent = await sink.send(eventOf('x'.repeat(49_153)), signal)
  assert.deepEqual(sent, { kind: 'refused', reason: 'its message would have 65540 bytes, and a queue takes 65536' })
  await using plain = await sinkOf('large', { payload: 'raw', encoding: 'text' })
  for (const body of [Buffer.from([0xff, 0xfe]), Buffer.from('a\0b')])
    assert.equal((await plain.send(eventOf(body), signal)).kind, 'refused')
})

test('where nobody answers it is tried again', async () => {
  await using gone = await openAzurite()
  await gone.kill()
  const sink = await openSink(
    { resource: resourceOf('gone'), credentials: { connectionString: gone.connectionString } },
    { clock: systemClock, random: Math.random, log: silentLog },
  )
  const sent = await sink.send(eventOf('1'), signal)
  assert.match(sent.kind === 'again' ? sent.reason : '', /cannot be reached/)
})

test('whatever the data, base64 of it is taken back whole or refused for its size', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      const text = toText(eventOf(bytes, 'application/octet-stream'), { encoding: 'base64', payload: 'raw' })
      assert.deepEqual(text.kind === 'text' && Buffer.from(text.text, 'base64'), Buffer.from(bytes))
    }),
  )
})
