import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { toEvents } from '../../../adapters/azure-service-bus/to-event.ts'
import type { AzureServiceBusSinkResource } from '../../../crds/azure-service-bus-sink.ts'
import { readAmqp } from '../../../event/amqp.ts'
import type { CloudEvent } from '../../../event/event.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { toMessage } from '../../../sinks/azure-service-bus/to-message.ts'
import { openSink } from '../../../sinks/registry.ts'
import { openServiceBus, type ServiceBusServer } from '../../servers/service-bus.ts'

after(() => void setTimeout(() => process.exit(), 500).unref())
const signal = new AbortController().signal

function event(id: string, more: Record<string, string> = {}, body = '{"n":1.0}'): CloudEvent {
  const attributes = { specversion: '1.0', id, source: '/s', type: 't', datacontenttype: 'application/json', ...more }
  return { mode: 'binary', attributes, body: Buffer.from(body) }
}

function open({ connectionString }: ServiceBusServer, changes: Partial<AzureServiceBusSinkResource['spec']> = {}) {
  const resource: AzureServiceBusSinkResource = {
    apiVersion: 'eventing.weir.dev/v1alpha1',
    kind: 'AzureServiceBusSink',
    metadata: { name: 'out', namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'test.yaml', line: 1, column: 1 },
    spec: { queueName: 'orders', auth: {}, contentMode: 'binary', ...changes },
  }
  const deps = { clock: systemClock, random: Math.random, log: silentLog }
  return openSink({ resource, credentials: { connectionString } }, deps)
}

test('events sent at once all arrive, as they were', async () => {
  await using server = await openServiceBus({ orders: {} })
  await using sink = await open(server)
  const sent = await Promise.all(
    Array.from({ length: 100 }, (_, i) => sink.send(event(String(i), { shop: 'é' }), signal)),
  )
  assert.ok(sent.every(one => one.kind === 'sent'))
  const messages = server
    .entity('orders')
    .all()
    .map(one => one.message)
  assert.equal(messages.length, 100)
  const read = messages.map(one =>
    readAmqp({ contentType: one.content_type, properties: one.application_properties ?? {}, body: one.body.content }),
  )
  const ids = read.map(one => (one.kind === 'event' ? one.event.attributes.id : '')).sort()
  assert.deepEqual(ids, Array.from({ length: 100 }, (_, i) => String(i)).sort())
  assert.ok(read.every(one => one.kind === 'event' && one.event.attributes.shop === 'é'))
  assert.equal(new Set(messages.map(one => one.message_id)).size, 100)
})

test('sessions are named by an attribute, and an event without it is refused', async () => {
  await using server = await openServiceBus({ orders: { sessions: true } })
  await using sink = await open(server, { sessionIdFrom: 'customer', contentMode: 'structured' })
  assert.deepEqual(await sink.send(event('1', { customer: 'ann' }), signal), { kind: 'sent' })
  assert.equal((await sink.send(event('2'), signal)).kind, 'refused')
  assert.deepEqual(
    server
      .entity('orders')
      .all()
      .map(one => one.sessionId),
    ['ann'],
  )
  assert.equal(JSON.parse(server.texts('orders')[0] ?? '').id, '1')
})

test('a queue that is missing and a server that is gone are for later', async () => {
  await using server = await openServiceBus({ orders: {} })
  await using missing = await open(server, { queueName: 'nothing' })
  const first = await missing.send(event('1'), signal)
  assert.ok(first.kind === 'again' && /as soon as somebody makes it/.test(first.reason))
  await using sink = await open(server)
  assert.equal((await sink.send(event('1'), signal)).kind, 'sent')
  await server.kill()
  assert.equal((await sink.send(event('2'), signal)).kind, 'again')
  await server.start()
  const untilMs = performance.now() + 30_000
  while ((await sink.send(event('2'), signal)).kind !== 'sent') assert.ok(performance.now() < untilMs)
})

test('a server that hangs is not waited for for ever', async () => {
  await using server = await openServiceBus({ orders: {} })
  await using sink = await open(server)
  assert.equal((await sink.send(event('1'), signal)).kind, 'sent')
  server.faults.hung = true
  assert.equal((await sink.send(event('2'), signal)).kind, 'again')
  server.faults.hung = false
  server.dropConnections()
})

test('the same event has the same message id, and no other has it', () => {
  const idOf = (source: string, id: string) => {
    const written = toMessage(event(id, { source }), { contentMode: 'binary' })
    return written.kind === 'message' ? written.message.messageId : undefined
  }
  assert.equal(idOf('/a', '1'), idOf('/a', '1'))
  assert.notEqual(idOf('/a', '1'), idOf('/b', '1'))
  assert.ok((idOf('/a', 'x'.repeat(500))?.length ?? 999) <= 128)
})

test('what the sink writes the source reads', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom('binary', 'structured'), (bytes, contentMode) => {
      const written = toMessage(
        { ...event('1'), attributes: { ...event('1').attributes, datacontenttype: 'application/x' }, body: bytes },
        { contentMode },
      )
      assert.ok(written.kind === 'message')
      const { messageId, contentType, properties, body } = written.message
      const message = {
        sequence: '1',
        messageId,
        sessionId: undefined,
        correlationId: undefined,
        partitionKey: undefined,
        contentType,
        enqueuedMs: 0,
        deliveries: 1,
        lockedUntilMs: undefined,
        properties,
        body,
        raw: { state: 'active' as const, body: undefined, _rawAmqpMessage: { body: undefined } },
      }
      const read = toEvents(message, 'sb://x/y', { idFrom: 'sequenceNumber', payload: 'auto', extensions: {} })
      assert.ok(read.kind === 'events')
      assert.equal(read.events[0]?.attributes.id, '1')
    }),
  )
})
