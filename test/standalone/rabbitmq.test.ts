import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { thisProcess } from '../../runtime/outside.ts'
import { openStandalone } from '../../standalone/standalone.ts'
import { openSink, status } from '../adapters/sink.ts'
import { noRabbitmq, sharedRabbitmq, testChannel, uniqueName } from '../servers/rabbitmq.ts'
import { eventually, tempFolder } from './local.ts'

const missing = await noRabbitmq()
const withServer = missing === false ? {} : { skip: missing }

function yamlOf(queue: string, port: number, refusing: string): string {
  return `
apiVersion: v1
kind: Secret
metadata: { name: rabbit }
stringData: { uri: "amqp://127.0.0.1:${port}", username: guest, password: guest }
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: { name: default }
---
apiVersion: sources.knative.dev/v1alpha1
kind: RabbitmqSource
metadata: { name: in }
spec:
  rabbitmqClusterReference: { connectionSecret: { name: rabbit } }
  rabbitmqResourcesConfig: { queueName: ${queue}, exchangeName: ${queue}-in, parallelism: 10 }
  sink: { ref: { apiVersion: eventing.knative.dev/v1, kind: Broker, name: default } }
---
apiVersion: sources.knative.dev/v1alpha1
kind: RabbitmqSource
metadata:
  name: unwanted
  annotations: { weir.dev/dead-letter-sink: RabbitmqSink/dead }
spec:
  rabbitmqClusterReference: { connectionSecret: { name: rabbit } }
  rabbitmqResourcesConfig: { queueName: ${queue}-unwanted, exchangeName: ${queue}-unwanted }
  sink: { uri: "${refusing}" }
---
apiVersion: eventing.weir.dev/v1alpha1
kind: RabbitmqSink
metadata: { name: out }
spec:
  rabbitmqClusterReference: { connectionSecret: { name: rabbit } }
  routingKey: ${queue}-out
---
apiVersion: eventing.weir.dev/v1alpha1
kind: RabbitmqSink
metadata: { name: dead }
spec:
  rabbitmqClusterReference: { connectionSecret: { name: rabbit } }
  routingKey: ${queue}-dead
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: { name: out }
spec:
  broker: default
  subscriber: { ref: { apiVersion: eventing.weir.dev/v1alpha1, kind: RabbitmqSink, name: out } }
`
}

test(
  'messages go from a queue through a Broker to another queue, and what a sink refuses to a third',
  withServer,
  async t => {
    const server = await sharedRabbitmq()
    await using opened = await testChannel(server)
    const { channel } = opened
    const queue = uniqueName()
    for (const name of ['out', 'dead'])
      await channel.assertQueue(`${queue}-${name}`, { durable: false, expires: 600_000 })
    await using refusing = await openSink(status(400))
    const folder = tempFolder(t)
    writeFileSync(join(folder, 'rabbit.yaml'), yamlOf(queue, server.port, refusing.url))
    await using world = await openStandalone(
      {
        ...{ paths: [join(folder, 'rabbit.yaml')], cwd: folder, port: undefined, consolePort: undefined },
        ...{ dataDir: undefined, memory: true, broker: undefined },
      },
      { outside: thisProcess, log: silentLog, fatal: error => assert.fail(error), tell: () => {} },
    )
    const sources = () => world.state().sources
    const ready = () => sources().length === 2 && sources().every(one => one.ready)
    await eventually('the sources are ready', ready, 60_000)
    const put = (id: string, body: Buffer) =>
      channel.publish(`${queue}-in`, '', body, { messageId: id, contentType: 'text/plain' })
    for (let i = 1; i <= 20; i++) put(`m-${i}`, Buffer.from(`message ${i}`))
    channel.publish(`${queue}-unwanted`, '', Buffer.from('nobody wants it'), { messageId: 'unwanted' })
    await channel.waitForConfirms()

    const taken = async (name: string, count: number) => {
      await eventually(
        `${count} in ${name}`,
        async () => (await channel.checkQueue(`${queue}-${name}`)).messageCount === count,
        60_000,
      )
      const messages = []
      for (let i = 0; i < count; i++) {
        const message = await channel.get(`${queue}-${name}`, { noAck: true })
        assert.ok(message)
        messages.push(message)
      }
      return messages
    }
    const out = await taken('out', 20)
    assert.deepEqual(
      out.map(one => [one.properties.messageId, one.content.toString()]).sort(),
      Array.from({ length: 20 }, (_, i) => [`m-${i + 1}`, `message ${i + 1}`]).sort(),
    )
    assert.equal(out[0]?.properties.headers?.['ce-type'], 'dev.knative.rabbitmq.event')
    const [dead] = await taken('dead', 1)
    assert.deepEqual([dead?.properties.messageId, dead?.content.toString()], ['unwanted', 'nobody wants it'])
    assert.equal(dead?.properties.headers?.['ce-knativeerrorcode'], '400')
    await eventually('nothing waits', () => sources().every(one => one.lag === 0 && one.held === 0), 60_000)
    for (const name of ['', '-out', '-dead', '-unwanted']) await channel.deleteQueue(queue + name)
  },
)
