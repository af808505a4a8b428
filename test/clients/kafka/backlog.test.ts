import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBacklog } from '../../../clients/backlog.ts'
import type { KafkaBacklog } from '../../../clients/kafka/backlog.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { type KafkaServer, noKafka, openHands, openTopic, sharedKafka, uniqueTopic } from '../../servers/kafka.ts'

const missing = await noKafka()
const withServer = missing === false ? {} : { skip: missing }
const signal = new AbortController().signal

async function open(broker: string, group: string, topics: readonly string[], changes: Partial<KafkaBacklog> = {}) {
  const access = { brokers: [broker], tls: undefined, sasl: undefined }
  const query: KafkaBacklog = { system: 'kafka', access, group, topics, unread: 'all', ...changes }
  const reader = await openBacklog(query, systemClock)
  return { count: () => reader.count(signal), [Symbol.asyncDispose]: () => reader.close() }
}

async function topicWith(server: KafkaServer, records: number): Promise<string> {
  const topic = uniqueTopic('lag')
  await using hands = await openHands(server.broker)
  await openTopic(hands, { topic, numPartitions: 2 })
  if (records > 0)
    await hands.producer.send({
      topic,
      messages: Array.from({ length: records }, (_, i) => ({ value: `${i}`, partition: i % 2 })),
    })
  return topic
}

test('what a group has not committed is counted, also of a group that does not exist', withServer, async () => {
  const server = await sharedKafka()
  const topic = await topicWith(server, 10)
  await using backlog = await open(server.broker, `g-${topic}`, [topic])
  assert.equal(await backlog.count(), 10)
  await using hands = await openHands(server.broker)
  await hands.admin.setOffsets({ groupId: `g-${topic}`, topic, partitions: [{ partition: 0, offset: '4' }] })
  assert.equal(await backlog.count(), 6)
  await using latest = await open(server.broker, `other-${topic}`, [topic], { unread: 'pinned' })
  assert.equal(await latest.count(), 2)
})

test('without a topic all those count in which the group has read', withServer, async () => {
  const server = await sharedKafka()
  const [read, other] = [await topicWith(server, 8), await topicWith(server, 8)]
  await using backlog = await open(server.broker, `g-${read}`, [])
  assert.equal(await backlog.count(), 0)
  await using hands = await openHands(server.broker)
  await hands.admin.setOffsets({
    groupId: `g-${read}`,
    topic: read,
    partitions: [
      { partition: 0, offset: '0' },
      { partition: 1, offset: '1' },
    ],
  })
  assert.equal(await backlog.count(), 7)
  assert.notEqual(other, read)
})

test('a topic that is missing and a server that is not there are unknown, not nothing', withServer, async () => {
  const server = await sharedKafka()
  await using missing = await open(server.broker, 'g', [uniqueTopic('nowhere')])
  await assert.rejects(missing.count(), { name: 'KafkaError', code: 'missing' })
  await using gone = await open('127.0.0.1:1', 'g', ['t'])
  await assert.rejects(gone.count(), { name: 'KafkaError', code: 'unreachable' })
})
