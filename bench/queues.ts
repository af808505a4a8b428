import { connect } from 'amqplib'
import { CompressionTypes } from 'kafkajs'
import { noKafka, openHands, openTopic, sharedKafka, uniqueTopic } from '../test/servers/kafka.ts'
import { noRabbitmq, sharedRabbitmq, uniqueName } from '../test/servers/rabbitmq.ts'

/** A queue of a real server under measurement. */
export interface Queue {
  readonly name: string
  /** For `bare-client.ts`. */
  readonly place: Place
  /** A source of it, and what that needs; begins a new document. */
  readonly yaml: string
  /** Takes what is there away, and puts `count` messages. */
  fill(count: number): Promise<void>
  /** Puts one message; resolves when the server has it. */
  put(): Promise<void>
  /** Messages that nobody has acknowledged. */
  left(): Promise<number>
}

export type Place =
  | { readonly system: 'rabbitmq'; readonly url: string; readonly queue: string }
  | { readonly system: 'kafka'; readonly broker: string; readonly topic: string; readonly group: string }

const BODY = Buffer.from(`{"pad":"${'x'.repeat(1000)}"}`)
const PARALLEL = 1000
const PARTITIONS = 4

export async function openRabbitQueue(): Promise<Queue | string> {
  const missing = await noRabbitmq()
  if (missing !== false) return missing
  const server = await sharedRabbitmq()
  const queue = uniqueName('bench')
  const connection = await connect(server.url, { noDelay: true })
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-expires': 600_000 } })
  let made = 0
  const publish = () =>
    channel.sendToQueue(queue, BODY, { persistent: true, messageId: `m${made++}`, contentType: 'application/json' })
  return {
    name: 'RabbitMQ',
    place: { system: 'rabbitmq', url: server.url, queue },
    yaml: `---
apiVersion: v1
kind: Secret
metadata: {name: rabbit}
stringData: {uri: 127.0.0.1, username: guest, password: guest, port: '${server.port}'}
---
apiVersion: sources.knative.dev/v1alpha1
kind: RabbitmqSource
metadata: {name: bench}
spec:
  rabbitmqClusterReference: {connectionSecret: {name: rabbit}}
  rabbitmqResourcesConfig: {queueName: ${queue}, predeclared: true, parallelism: ${PARALLEL}}
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}
`,
    async fill(count) {
      await channel.purgeQueue(queue)
      for (let i = 0; i < count; i++) publish()
      await channel.waitForConfirms()
    },
    async put() {
      publish()
      await channel.waitForConfirms()
    },
    async left() {
      const query = `disable_stats=true&enable_queue_totals=true&page=1&page_size=1&name=${queue}`
      const headers = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` }
      const response = await fetch(`http://127.0.0.1:${server.port + 10_000}/api/queues/%2F?${query}`, { headers })
      const { items } = (await response.json()) as { readonly items: { readonly messages: number }[] }
      return items[0]?.messages ?? 0
    },
  }
}

export async function openKafkaQueue(): Promise<Queue | string> {
  const missing = await noKafka()
  if (missing !== false) return missing
  const server = await sharedKafka()
  const hands = await openHands(server.broker)
  const { admin, producer } = hands
  const topic = uniqueTopic('bench')
  const group = `group-${topic}`
  await openTopic(hands, { topic, numPartitions: PARTITIONS })
  const send = (count: number) =>
    producer.send({
      topic,
      compression: CompressionTypes.None,
      messages: Array.from({ length: count }, (_, i) => ({ value: BODY, partition: i % PARTITIONS })),
    })
  const left = async () => {
    const ends = await admin.fetchTopicOffsets(topic)
    const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    const at = new Map(found?.partitions.map(one => [one.partition, Number(one.offset)]))
    return ends.reduce((sum, end) => sum + Number(end.high) - Math.max(Number(end.low), at.get(end.partition) ?? 0), 0)
  }
  return {
    name: 'Kafka',
    place: { system: 'kafka', broker: server.broker, topic, group },
    yaml: `---
apiVersion: sources.knative.dev/v1
kind: KafkaSource
metadata: {name: bench}
spec:
  bootstrapServers: ['${server.broker}']
  topics: [${topic}]
  consumerGroup: ${group}
  initialOffset: earliest
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}
`,
    // Nobody reads it between two measurements: what the last one did not commit would be read twice.
    async fill(count) {
      if ((await left()) > 0) throw new Error('the topic is not empty')
      for (let put = 0; put < count; put += 500) await send(Math.min(500, count - put))
    },
    put: async () => void (await send(1)),
    left,
  }
}
