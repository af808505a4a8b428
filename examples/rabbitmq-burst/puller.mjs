import { connect } from 'amqplib'

// A worker of the usual kind: it knows RabbitMQ and nothing of Weir. 5 messages at a time, 50 ms each.
const connection = await connect(process.env.RABBITMQ)
const channel = await connection.createChannel()
await channel.prefetch(5)
const working = new Set()
const { consumerTag } = await channel.consume(process.env.QUEUE, message => {
  if (message === null) process.exit(1) // The queue is gone.
  const work = new Promise(done => setTimeout(done, 50)).then(() => {
    console.log('did', message.content.toString())
    channel.ack(message)
    working.delete(work)
  })
  working.add(work)
})

process.on('SIGTERM', async () => {
  await channel.cancel(consumerTag)
  await Promise.all(working)
  await channel.close()
  await connection.close()
  process.exit(0)
})
