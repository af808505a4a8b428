/** `node bare-client.ts PLACE COUNT`: reads a queue as a program does that has nothing else to do, acknowledges, and waits. */
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import type { Place } from './queues.ts'

const PREFETCH = 1000

const [, , text = '', count = '0'] = process.argv
const place: Place = JSON.parse(text)
let left = Number(count)
let began: { readonly atMs: number; readonly cpu: NodeJS.CpuUsage } | undefined

/** Prints the rate when the last of `count` messages is acknowledged. */
function done(messages: number): void {
  began ??= { atMs: performance.now(), cpu: process.cpuUsage() }
  left -= messages
  if (left > 0) return
  const { user, system } = process.cpuUsage(began.cpu)
  const perSecond = Number(count) / ((performance.now() - began.atMs) / 1000)
  console.log(JSON.stringify({ perSecond, cpuUs: (user + system) / Number(count) }))
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
      began ??= { atMs: performance.now(), cpu: process.cpuUsage() }
      for (const message of batch.messages) resolveOffset(message.offset)
      await commitOffsetsIfNecessary(uncommittedOffsets())
      done(batch.messages.length)
    },
  })
  process.on('SIGTERM', () => void consumer.disconnect().then(() => process.exit(0)))
}
