import { after, test } from 'node:test'
import { adapterConformance } from '../../conformance/adapter.ts'
import { noRabbitmq, openRabbitmq, uniqueName } from '../../servers/rabbitmq.ts'
import { TestQueue } from './queue.ts'

/** More than there are promises. */
const QUEUES = 24
/** RabbitMQ 3.10 writes down a moment later that there is a quorum queue: killed before, it starts without it. */
const REMEMBERED_MS = 3_000

const missing = await noRabbitmq()
if (missing !== false) test('RabbitMQ', { skip: missing })
else {
  // Its own, because it is killed.
  const server = await openRabbitmq()
  after(() => server[Symbol.asyncDispose]())
  const crash = { kill: server.kill, start: server.start }
  const adapter = { leaseMs: undefined, parallelism: 16, ordered: false }
  const next = async (queues: TestQueue[]) => {
    const queue = queues.pop()
    if (queue === undefined) throw new Error('there are more promises than queues')
    return queue
  }
  const quorum = await made(() => new TestQueue(server, { crash }))
  const classic = await made(
    () => new TestQueue(server, { crash, queue: { arguments: {}, deadLetterExchange: uniqueName('dead') } }),
  )
  await new Promise(resolve => setTimeout(resolve, REMEMBERED_MS))
  adapterConformance({ ...adapter, name: 'RabbitMQ quorum queue', open: () => next(quorum) })
  adapterConformance({
    ...adapter,
    name: 'RabbitMQ classic queue with a dead-letter exchange',
    open: () => next(classic),
  })
}

async function made(one: () => TestQueue): Promise<TestQueue[]> {
  const queues = Array.from({ length: QUEUES }, one)
  for (const queue of queues) await queue.make()
  return queues
}
