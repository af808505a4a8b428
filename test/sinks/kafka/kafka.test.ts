import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import type { KafkaSinkResource } from '../../../crds/kafka-sink.ts'
import type { CloudEvent } from '../../../event/event.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { openKafkaSink } from '../../../sinks/kafka/open.ts'
import { noKafka, openHands, openKafkaServer, sharedKafka, uniqueTopic } from '../../servers/kafka.ts'

const signal = new AbortController().signal
const deps = { clock: systemClock, random: Math.random, log: silentLog }
const missing = await noKafka()
const withServer = missing === false ? {} : { skip: missing }

function eventOf(id: string, changes: Record<string, string> = {}, text = '{"n":1}'): CloudEvent {
  const attributes = { specversion: '1.0', id, source: '/shop', type: 'order', datacontenttype: 'application/json' }
  return { mode: 'binary', attributes: { ...attributes, ...changes }, body: Buffer.from(text) }
}

function open(broker: string, changes: Partial<KafkaSinkResource['spec']>, credentials: Record<string, string> = {}) {
  const resource: KafkaSinkResource = {
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'KafkaSink',
    metadata: { name: 'out', namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'a.yaml', line: 1, column: 1 },
    spec: {
      topic: 'orders',
      bootstrapServers: [broker],
      contentMode: 'binary',
      numPartitions: 3,
      replicationFactor: 1,
      ...changes,
    },
  }
  return openKafkaSink({ resource, credentials }, deps)
}

interface Read {
  readonly partition: number
  readonly key: string | undefined
  readonly value: string | undefined
  readonly headers: Readonly<Record<string, string>>
}

/** Every record of a topic, once there are `count`. */
async function readAll(broker: string, topic: string, count: number): Promise<Read[]> {
  const { joinGroup } = await import('../../../clients/kafka/group.ts')
  const found: Read[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const access = { brokers: [broker], tls: undefined, sasl: undefined }
  const listener = {
    leaving: async () => {},
    assigned: () => {},
    outOfRange: () => {},
    records: (
      { partition }: { partition: number },
      records: readonly {
        key?: Buffer | undefined
        value?: Buffer | undefined
        headers: ReadonlyMap<string, Buffer>
      }[],
    ) => {
      for (const { key, value, headers } of records)
        found.push({
          partition,
          key: key?.toString(),
          value: value?.toString(),
          headers: Object.fromEntries([...headers].map(([name, text]) => [name, text.toString()])),
        })
      if (found.length >= count) resolve()
    },
  }
  const options = { group: `read-${topic}`, topics: [topic], fromEnd: [] }
  let member = await joinGroup(access, options, listener, deps, signal)
  // A server that has just come back has no coordinator of groups yet.
  for (let tries = 0; member.kind !== 'member'; tries++) {
    assert.ok(tries < 10, member.reason)
    await new Promise(resolve => setTimeout(resolve, 1_000))
    member = await joinGroup(access, options, listener, deps, signal)
  }
  await promise
  await member.close()
  return found
}

test('an event becomes a record in a topic that is made for it', withServer, async () => {
  const server = await sharedKafka()
  const topic = uniqueTopic('sink')
  await using sink = await open(server.broker, { topic })
  assert.deepEqual(await sink.send(eventOf('a', { more: 'ü' }), signal), { kind: 'sent' })
  assert.deepEqual(await sink.send(eventOf('b', {}, ''), signal), { kind: 'sent' })
  const records = await readAll(server.broker, topic, 2)
  const [first] = records.filter(one => one.headers.ce_id === 'a')
  assert.deepEqual(first?.headers, {
    ce_specversion: '1.0',
    ce_id: 'a',
    ce_source: '/shop',
    ce_type: 'order',
    ce_more: 'ü',
    'content-type': 'application/json',
  })
  assert.equal(first?.value, '{"n":1}')
  assert.equal(records.find(one => one.headers.ce_id === 'b')?.value, undefined)
  await using hands = await openHands(server.broker)
  const { topics } = await hands.admin.fetchTopicMetadata({ topics: [topic] })
  assert.equal(topics[0]?.partitions.length, 3)
})

test('in structured mode all of it is in the value', withServer, async () => {
  const server = await sharedKafka()
  const topic = uniqueTopic('sink')
  await using sink = await open(server.broker, { topic, contentMode: 'structured' })
  assert.deepEqual(await sink.send(eventOf('a'), signal), { kind: 'sent' })
  const [record] = await readAll(server.broker, topic, 1)
  assert.match(record?.headers['content-type'] ?? '', /^application\/cloudevents\+json/)
  assert.deepEqual(JSON.parse(record?.value ?? ''), {
    specversion: '1.0',
    id: 'a',
    source: '/shop',
    type: 'order',
    datacontenttype: 'application/json',
    data: { n: 1 },
  })
})

test(
  'events of one partitionkey go to one partition, in their order, and many that come at once go together',
  withServer,
  async () => {
    const server = await sharedKafka()
    const topic = uniqueTopic('sink')
    await using sink = await open(server.broker, { topic })
    assert.deepEqual(await sink.send(eventOf('first', { partitionkey: 'k' }), signal), { kind: 'sent' })
    const startMs = performance.now()
    const sent = await Promise.all(
      Array.from({ length: 2_000 }, (_, i) => sink.send(eventOf(`${i}`, { partitionkey: `k${i % 5}` }), signal)),
    )
    const tookMs = performance.now() - startMs
    assert.ok(sent.every(one => one.kind === 'sent'))
    assert.ok(tookMs < 10_000, `2,000 events took ${tookMs} ms`)
    const records = await readAll(server.broker, topic, 2_001)
    for (let key = 0; key < 5; key++) {
      const own = records.filter(one => one.key === `k${key}`)
      assert.equal(new Set(own.map(one => one.partition)).size, 1)
      const order = own.map(one => Number(one.headers.ce_id))
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
      )
    }
  },
)

test('an event that is too large is refused, and those that came with it are sent', withServer, async () => {
  const server = await sharedKafka()
  const topic = uniqueTopic('sink')
  await using sink = await open(server.broker, { topic })
  const events = [eventOf('a'), eventOf('large', {}, `"${'x'.repeat(1_200_000)}"`), eventOf('b')]
  const sent = await Promise.all(events.map(event => sink.send(event, signal)))
  assert.deepEqual(
    sent.map(one => one.kind),
    ['sent', 'refused', 'sent'],
  )
  assert.match(JSON.stringify(sent[1]), /MESSAGE_TOO_LARGE/)
})

test(
  'a login and TLS come out of a Secret as Knative has it, and a wrong password is said without it',
  withServer,
  async () => {
    const server = await sharedKafka()
    const topic = uniqueTopic('sink')
    const login = { protocol: 'SASL_PLAINTEXT', mechanism: 'SCRAM-SHA-512', user: 'alice' }
    await using good = await open(server.saslBroker, { topic }, { ...login, password: 'secret' })
    assert.deepEqual(await good.send(eventOf('a'), signal), { kind: 'sent' })
    await using bad = await open(server.saslBroker, { topic }, { ...login, password: 'hunter2' })
    const sent = await bad.send(eventOf('b'), signal)
    assert.ok(sent.kind === 'again')
    assert.match(sent.reason, /refuses the login/)
    assert.doesNotMatch(sent.reason, /hunter2/)
    await using tls = await open(server.tlsBroker, { topic }, { protocol: 'SSL', ca: await server.ca() })
    assert.deepEqual(await tls.send(eventOf('c'), signal), { kind: 'sent' })
  },
)

test('a topic that is deleted is made again', withServer, async () => {
  const server = await sharedKafka()
  const topic = uniqueTopic('sink')
  await using sink = await open(server.broker, { topic })
  assert.deepEqual(await sink.send(eventOf('a'), signal), { kind: 'sent' })
  await using hands = await openHands(server.broker)
  await hands.admin.deleteTopics({ topics: [topic] })
  for (let tries = 0; ; tries++) {
    const sent = await sink.send(eventOf(`after ${tries}`), signal)
    if (sent.kind === 'sent') break
    assert.equal(sent.kind, 'again')
    assert.ok(tries < 30, JSON.stringify(sent))
  }
  assert.equal((await readAll(server.broker, topic, 1)).length, 1)
})

test('a server that accepts and never answers is given up on, and closing does not hang', async () => {
  const hung = createServer(() => {})
  await new Promise<void>(resolve => hung.listen(0, '127.0.0.1', resolve))
  const address = hung.address()
  assert.ok(typeof address === 'object' && address !== null)
  const sink = await open(`127.0.0.1:${address.port}`, {})
  const sent = await sink.send(eventOf('a'), AbortSignal.timeout(60_000))
  assert.ok(sent.kind === 'again', JSON.stringify(sent))
  await sink[Symbol.asyncDispose]()
  hung.close()
})

test('what waits when it is given up on is not sent, and says why', async () => {
  await using sink = await open('127.0.0.1:1', {})
  const stop = new AbortController()
  const sending = sink.send(eventOf('a'), stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(sending, /enough/)
})

test('a broker that is killed and comes back loses nothing that was said to be sent', withServer, async () => {
  await using server = await openKafkaServer()
  const topic = uniqueTopic('sink')
  await using sink = await open(server.broker, { topic })
  const sent = new Set<string>()
  let stopped = false
  const load = (async () => {
    for (let i = 0; !stopped; i++) {
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, j) => ({
          id: `${i}/${j}`,
          answer: await sink.send(eventOf(`${i}/${j}`), signal),
        })),
      )
      for (const { id, answer } of answers) {
        assert.notEqual(answer.kind, 'refused')
        if (answer.kind === 'sent') sent.add(id)
      }
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  })()
  const until = async (count: number) => {
    while (sent.size < count) await new Promise(resolve => setTimeout(resolve, 20))
  }
  await until(200)
  await server.kill()
  await server.start()
  await until(sent.size + 200)
  stopped = true
  await load
  const stored = new Set((await readAll(server.broker, topic, sent.size)).map(one => one.headers.ce_id))
  assert.deepEqual(
    [...sent].filter(id => !stored.has(id)),
    [],
  )
})
