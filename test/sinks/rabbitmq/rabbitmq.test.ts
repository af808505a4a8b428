import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toEvent } from '../../../adapters/rabbitmq/to-event.ts'
import { received } from '../../../clients/rabbitmq/message.ts'
import type { RabbitmqSinkResource } from '../../../crds/rabbitmq-sink.ts'
import type { CloudEvent } from '../../../event/event.ts'
import { eventData } from '../../../event/http.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { openRabbitmqSink } from '../../../sinks/rabbitmq/open.ts'
import type { Sent } from '../../../sinks/sink.ts'
import {
  noRabbitmq,
  openRabbitmq,
  type Rabbitmq,
  sharedRabbitmq,
  testChannel,
  uniqueName,
} from '../../servers/rabbitmq.ts'

const signal = new AbortController().signal
const deps = { clock: systemClock, random: Math.random, log: silentLog }
const missing = await noRabbitmq()
const withServer = missing === false ? {} : { skip: missing }

function eventOf(changes: Record<string, string> = {}, text = '{"n":1}'): CloudEvent {
  const attributes = {
    specversion: '1.0',
    id: 'e-1',
    source: '/shop',
    type: 'order',
    datacontenttype: 'application/json',
  }
  return { mode: 'binary', attributes: { ...attributes, ...changes }, body: Buffer.from(text) }
}

function open(server: Pick<Rabbitmq, 'credentials'>, changes: Partial<RabbitmqSinkResource['spec']>) {
  const resource: RabbitmqSinkResource = {
    apiVersion: 'eventing.weir.dev/v1alpha1',
    kind: 'RabbitmqSink',
    metadata: { name: 'out', namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'a.yaml', line: 1, column: 1 },
    spec: {
      rabbitmqClusterReference: { connectionSecret: 'rabbit' },
      exchange: '',
      routingKey: '',
      contentMode: 'binary',
      ...changes,
    },
  }
  return openRabbitmqSink({ resource, credentials: server.credentials }, deps)
}

async function sentWithin(sink: Awaited<ReturnType<typeof open>>, event: CloudEvent, holds: (sent: Sent) => boolean) {
  for (let i = 0; i < 100; i++) {
    const sent = await sink.send(event, signal)
    if (holds(sent)) return sent
    await new Promise(resolve => setTimeout(resolve, 300))
  }
  return assert.fail('not within 30 s')
}

for (const contentMode of ['binary', 'structured'] as const) {
  test(`an event sent in ${contentMode} mode is read back as the same event`, withServer, async () => {
    const server = await sharedRabbitmq()
    await using opened = await testChannel(server)
    const queue = uniqueName()
    await opened.channel.assertQueue(queue, { exclusive: true })
    await using sink = await open(server, { routingKey: queue, contentMode })
    const event = eventOf({ subject: 'größer', time: '2026-01-01T00:00:00Z', comexampleothervalue: '5' })
    assert.deepEqual(await sink.send(event, signal), { kind: 'sent' })
    const got = await opened.channel.get(queue, { noAck: true })
    assert.ok(got)
    assert.equal(got.properties.messageId, 'e-1')
    assert.equal(got.properties.deliveryMode, 2)
    const back = toEvent(received({ ...got, fields: { ...got.fields, consumerTag: '' } }), {
      source: '/x',
      newId: () => '',
      extensions: {},
    })
    assert.equal(back.mode, contentMode)
    assert.deepEqual({ ...back.attributes }, event.attributes)
    assert.equal(Buffer.from(eventData(back).bytes).toString(), '{"n":1}')
  })
}

test('the routing key can be made of attributes, and an event that no queue wants is refused', withServer, async () => {
  const server = await sharedRabbitmq()
  await using opened = await testChannel(server)
  const exchange = uniqueName('exchange')
  const { queue } = await opened.channel.assertQueue('', { exclusive: true })
  await opened.channel.assertExchange(exchange, 'topic', { durable: false, autoDelete: true })
  await opened.channel.bindQueue(queue, exchange, 'order.*.')
  await using sink = await open(server, { exchange, routingKey: '{type}.{subject}.{none}' })
  const sent = await Promise.all(
    ['order', 'other', 'order'].map((type, i) => sink.send(eventOf({ type, subject: `s${i}` }), signal)),
  )
  assert.deepEqual(
    sent.map(one => one.kind),
    ['sent', 'refused', 'sent'],
  )
  assert.match(JSON.stringify(sent[1]), /no queue is bound for it/)
  assert.equal((await opened.channel.checkQueue(queue)).messageCount, 2)
})

test('an exchange that is missing is said, and used once it is there', withServer, async () => {
  const server = await sharedRabbitmq()
  await using opened = await testChannel(server)
  const exchange = uniqueName('exchange')
  await using sink = await open(server, { exchange })
  const sent = await sink.send(eventOf(), signal)
  assert.equal(sent.kind, 'again')
  assert.match(JSON.stringify(sent), /no exchange/)
  const { queue } = await opened.channel.assertQueue('', { exclusive: true })
  await opened.channel.assertExchange(exchange, 'fanout', { durable: false, autoDelete: true })
  await opened.channel.bindQueue(queue, exchange, '')
  await sentWithin(sink, eventOf(), one => one.kind === 'sent')
})

test('a queue that is full is no reason to drop an event', withServer, async () => {
  const server = await sharedRabbitmq()
  await using opened = await testChannel(server)
  const queue = uniqueName()
  await opened.channel.assertQueue(queue, {
    exclusive: true,
    maxLength: 1,
    arguments: { 'x-overflow': 'reject-publish' },
  })
  await using sink = await open(server, { routingKey: queue })
  assert.equal((await sink.send(eventOf(), signal)).kind, 'sent')
  const again = await sentWithin(sink, eventOf(), one => one.kind === 'again')
  assert.match(JSON.stringify(again), /full/)
})

test('what the protocol has no room for is refused', withServer, async () => {
  const server = await sharedRabbitmq()
  await using sink = await open(server, { routingKey: '{type}' })
  const long = 'x'.repeat(256)
  assert.match(JSON.stringify(await sink.send(eventOf({ type: long }), signal)), /refused.*routing key is longer/)
  const wide = await sink.send(eventOf({ big: 'x'.repeat(200_000) }), signal)
  assert.equal(wide.kind, 'refused', JSON.stringify(wide))
})

test(
  'a server that is not there, and a wrong password, are said without a word of the credentials',
  withServer,
  async () => {
    const server = await sharedRabbitmq()
    for (const [credentials, words] of [
      [{ ...server.credentials, port: '1' }, /cannot be reached/],
      [{ ...server.credentials, password: 'hunter2' }, /refuses the credentials/],
    ] as const) {
      await using sink = await open({ credentials }, { routingKey: 'x' })
      const sent = await sink.send(eventOf(), signal)
      assert.equal(sent.kind, 'again')
      assert.match(JSON.stringify(sent), words)
      assert.doesNotMatch(JSON.stringify(sent), /hunter2|guest/)
    }
  },
)

test('every event that was confirmed is there after the server was killed', withServer, async () => {
  await using server = await openRabbitmq()
  const queue = uniqueName()
  {
    await using opened = await testChannel(server)
    await opened.channel.assertQueue(queue, { durable: true })
  }
  await using sink = await open(server, { routingKey: queue })
  const confirmed = new Set<string>()
  let stop = false
  const sending = Promise.all(
    Array.from({ length: 8 }, async (_, worker) => {
      for (let i = 0; !stop; i++) {
        const id = `${worker}-${i}`
        const sent = await sink.send(eventOf({ id }), signal)
        if (sent.kind === 'sent') confirmed.add(id)
        else await new Promise(resolve => setTimeout(resolve, 200))
      }
    }),
  )
  await new Promise(resolve => setTimeout(resolve, 1_000))
  await server.kill()
  const before = confirmed.size
  assert.ok(before > 0)
  await server.start()
  await sentWithin(sink, eventOf({ id: 'last' }), one => one.kind === 'sent')
  stop = true
  await sending
  await using opened = await testChannel(server)
  const found = new Set<string>()
  for (;;) {
    const message = await opened.channel.get(queue, { noAck: true })
    if (message === false) break
    found.add(message.properties.messageId)
  }
  assert.deepEqual(
    [...confirmed].filter(id => !found.has(id)),
    [],
  )
})
