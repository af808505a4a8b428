/**
 * `node bare-client.ts PLACE WARM_UP COUNT`: reads a queue as a program does that has nothing else to do, acknowledges, and waits.
 * Prints the rate of the `COUNT` messages that come after the first `WARM_UP`.
 */
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import type { Place } from './queues.ts'

const PREFETCH = 1000

const [, , text = '', warmUp = '0', count = '0'] = process.argv
const place: Place = JSON.parse(text)
let read = 0
let began: { readonly atMs: number; readonly read: number; readonly cpu: NodeJS.CpuUsage } | undefined

/** So many more messages are acknowledged. */
function done(messages: number): void {
  read += messages
  if (read < Number(warmUp)) return
  began ??= { atMs: performance.now(), read, cpu: process.cpuUsage() }
  if (read < Number(warmUp) + Number(count)) return
  const { user, system } = process.cpuUsage(began.cpu)
  const measured = read - began.read
  const perSecond = measured / ((performance.now() - began.atMs) / 1000)
  console.log(JSON.stringify({ perSecond, cpuUs: (user + system) / measured }))
}

if (place.system === 'rabbitmq') {
  const connection = await connect(place.url, { noDelay: true })
  const channel = await connection.createChannel()
  await channel.prefetch(PREFETCH)
  await channel.consume(place.queue, message => {
    if (message === null) return
    channel.ack(message)
    done(1)
  })
} else {
  const kafka = new Kafka({ clientId: 'bare', brokers: [place.broker], logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: place.group })
  await consumer.connect()
  await consumer.subscribe({ topics: [place.topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: 4,
    eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary, uncommittedOffsets }) => {
      for (const message of batch.messages) resolveOffset(message.offset)
      await commitOffsetsIfNecessary(uncommittedOffsets())
      done(batch.messages.length)
    },
  })
  process.on('SIGTERM', () => void consumer.disconnect().then(() => process.exit(0)))
}
