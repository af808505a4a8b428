import { after, test } from 'node:test'
import { adapterConformance } from '../../conformance/adapter.ts'
import { noKafka, openKafkaServer } from '../../servers/kafka.ts'
import { TestTopic } from './topic.ts'

const missing = await noKafka()
if (missing !== false) test('Kafka', { skip: missing })
else {
  // Its own, because it is killed.
  const server = await openKafkaServer()
  after(() => server[Symbol.asyncDispose]())
  const crash = { kill: server.kill, start: server.start }
  const open = async (ordering: 'ordered' | 'unordered') => {
    const topic = new TestTopic(server, { changes: { ordering }, crash })
    await topic.make()
    return topic
  }
  const adapter = { leaseMs: undefined, parallelism: 100 }
  adapterConformance({ ...adapter, name: 'Kafka, ordered', ordered: true, open: () => open('ordered') })
  adapterConformance({ ...adapter, name: 'Kafka, unordered', ordered: false, open: () => open('unordered') })
}
