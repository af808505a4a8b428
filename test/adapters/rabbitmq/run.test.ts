import assert from 'node:assert/strict'
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import type { AdapterState } from '../../../adapters/adapter.ts'
import { type AdapterJob, runAdapter } from '../../../adapters/registry.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { noRabbitmq, openRabbitmq, sharedRabbitmq, testChannel, uniqueName } from '../../servers/rabbitmq.ts'
import { accept, openSink, status } from '../sink.ts'
import { TestQueue } from './queue.ts'
import { sourceOf } from './source.ts'

const missing = await noRabbitmq()
const withServer = missing === false ? {} : { skip: missing }

function start(job: AdapterJob, drainMs = 2_000) {
  const stop = new AbortController()
  const states: AdapterState[] = []
  const deps = { clock: systemClock, random: Math.random, log: silentLog, drainMs }
  const ended = runAdapter(job, { ...deps, report: state => void states.push(state) }, stop.signal)
  const end = () => {
    stop.abort(new Error('the test is over'))
    return ended
  }
  return { states, last: () => states.at(-1), end, [Symbol.asyncDispose]: end }
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>, withinMs = 30_000): Promise<void> {
  const untilMs = performance.now() + withinMs
  while (!(await holds())) {
    assert.ok(performance.now() < untilMs, `not within ${withinMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

function jobOf(
  queueName: string,
  sinkUrl: string,
  changes: Partial<AdapterJob> & { resources?: object } = {},
): AdapterJob {
  const { resources, ...rest } = changes
  return {
    source: sourceOf(queueName, resources),
    credentials: {},
    sink: { url: sinkUrl, takesBatches: false },
    ...rest,
  }
}

test(
  'what is not declared before is made: exchange, quorum queue and binding, and every message of the exchange comes',
  withServer,
  async () => {
    const { credentials, ...server } = await sharedRabbitmq()
    await using sink = await openSink()
    const name = uniqueName()
    const resources = { predeclared: false, exchangeName: `${name}-exchange`, parallelism: 4 }
    await using adapter = start(jobOf(name, sink.url, { credentials, resources }))
    await eventually('it is ready', () => adapter.last()?.ready === true)
    await using opened = await testChannel({ credentials, ...server })
    opened.channel.publish(`${name}-exchange`, 'any.key', Buffer.from('1'), { messageId: 'm-1' })
    opened.channel.publish(`${name}-exchange`, '', Buffer.from('2'), { messageId: 'm-2', headers: { any: 'header' } })
    await sink.until(() => sink.stored.size === 2)
    // Declared as a quorum queue: another type would end the channel.
    await opened.channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    await opened.channel.assertExchange(`${name}-exchange`, 'headers', { durable: true })

    await opened.channel.deleteQueue(name)
    await eventually('it is said', () => adapter.last()?.ready === false)
    await eventually('it is made again', () => adapter.last()?.ready === true)
    opened.channel.publish(`${name}-exchange`, '', Buffer.from('3'), { messageId: 'm-3' })
    await sink.until(() => sink.stored.has('m-3'))
  },
)

test('an exchange and a queue that are there already are taken as they are', withServer, async () => {
  const server = await sharedRabbitmq()
  await using sink = await openSink()
  await using opened = await testChannel(server)
  const name = uniqueName()
  await opened.channel.assertExchange(name, 'direct', { durable: false, autoDelete: true })
  await opened.channel.assertQueue(name, { durable: false, autoDelete: true })
  const resources = { predeclared: false, exchangeName: name }
  await using adapter = start(jobOf(name, sink.url, { credentials: server.credentials, resources }))
  await eventually('it is ready', () => adapter.last()?.ready === true)
  opened.channel.publish(name, '', Buffer.from('1'), { messageId: 'm-1' })
  await sink.until(() => sink.stored.has('m-1'))
})

test('what is held of a queue that is deleted is finished, for nobody else has it', withServer, async () => {
  const queue = new TestQueue(await sharedRabbitmq())
  await queue.make()
  let open = false
  await using sink = await openSink((response, seen, attempt) => (open ? accept : status(503))(response, seen, attempt))
  const ids = await queue.put(['1', '2', '3'])
  await using adapter = start(queue.job(sink.url))
  await eventually('all are held', () => adapter.last()?.held === 3)
  await queue.remove()
  await eventually('it is said', () => /deleted|no queue/.test(adapter.last()?.error ?? ''))
  open = true
  await sink.until(() => sink.stored.size === 3)
  assert.deepEqual([...sink.stored.keys()].sort(), ids.sort())
})

test('a stream is said to be none of ours, and nothing of it is lost', withServer, async () => {
  const server = await sharedRabbitmq()
  const queue = new TestQueue(server, { queue: { arguments: { 'x-queue-type': 'stream' } } })
  await queue.make()
  await using sink = await openSink()
  await using adapter = start(queue.job(sink.url))
  await eventually('it is ready', () => adapter.last()?.ready === true)
  await queue.put(['1'])
  await eventually('it is said', () => /is a stream/.test(adapter.last()?.error ?? ''))
  assert.equal(sink.seen.length, 0)
  await adapter.end()
  await queue.remove()
})

test(
  'a wrong password, a missing virtual host and a closed port are said without credentials',
  withServer,
  async () => {
    const { credentials } = await sharedRabbitmq()
    await using sink = await openSink()
    for (const [given, resources, words] of [
      [{ ...credentials, password: 'hunter2' }, {}, /refuses the credentials/],
      [credentials, { vhost: 'nowhere' }, /virtual host|refuses/],
      [{ ...credentials, port: '1' }, {}, /cannot be reached/],
    ] as const) {
      await using adapter = start(jobOf('any', sink.url, { credentials: given, resources }))
      await eventually('it is said', () => adapter.last()?.error !== undefined)
      assert.match(adapter.last()?.error ?? '', words)
      assert.doesNotMatch(JSON.stringify(adapter.states), /hunter2|guest/)
      assert.equal(adapter.last()?.ready, false)
    }
  },
)

test('a consumer that the server cuts off for holding a message too long takes it up again', withServer, async () => {
  await using server = await openRabbitmq('{consumer_timeout,2000},{channel_tick_interval,1000}')
  const queue = new TestQueue(server)
  await queue.make()
  let open = false
  await using sink = await openSink((response, seen, attempt) => (open ? accept : status(503))(response, seen, attempt))
  const ids = await queue.put(['1', '2'])
  await using adapter = start(queue.job(sink.url))
  await eventually(
    'it is said',
    () => /ack|timed out|timeout/i.test(adapter.states.map(one => one.error).join()),
    120_000,
  )
  open = true
  await sink.until(() => ids.every(id => sink.stored.has(id)))
  await eventually('the trouble is over', () => adapter.last()?.error === undefined && adapter.last()?.held === 0)
})

/** A way to the server that can fall silent without ending. */
async function openTunnel(port: number) {
  const sockets = new Set<Socket>()
  let silent = new Set<Socket>()
  const server: Server = createServer(near => {
    const far = connectTcp(port, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => other.destroy())
      one.on('data', data => void (silent.has(one) || other.write(data)))
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return {
    port: address.port,
    fallSilent: () => {
      silent = new Set(sockets)
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

test(
  'a connection that falls silent without ending is given up, and what it held comes again',
  withServer,
  async () => {
    const server = await sharedRabbitmq()
    const queue = new TestQueue(server)
    await queue.make()
    await using tunnel = await openTunnel(server.port)
    await using sink = await openSink()
    const job = queue.job(sink.url)
    await using adapter = start({ ...job, credentials: { ...job.credentials, port: String(tunnel.port) } })
    await eventually('it is ready', () => adapter.last()?.ready === true)
    await sink.until(() => true)
    tunnel.fallSilent()
    const ids = await queue.put(['while nobody listens'])
    await eventually('it is said', () => adapter.last()?.error !== undefined, 60_000)
    await eventually('it comes all the same', () => ids.every(id => sink.stored.has(id)), 60_000)
  },
)

test('a drain does not wait for a server that answers nothing', withServer, async () => {
  const server = await sharedRabbitmq()
  const queue = new TestQueue(server)
  await queue.make()
  await using tunnel = await openTunnel(server.port)
  await using sink = await openSink()
  const job = queue.job(sink.url)
  const adapter = start({ ...job, credentials: { ...job.credentials, port: String(tunnel.port) } }, 1_000)
  await eventually('it is ready', () => adapter.last()?.ready === true)
  tunnel.fallSilent()
  const startedMs = performance.now()
  await adapter.end()
  assert.ok(performance.now() - startedMs < 10_000, `it took ${performance.now() - startedMs} ms`)
})

test('a message survives more restarts of its adapter than its queue allows deliveries', withServer, async () => {
  const server = await sharedRabbitmq()
  const queue = new TestQueue(server, { queue: { arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 3 } } })
  await queue.make()
  const [id] = await queue.put(['1'])
  {
    await using hung = await openSink(() => {})
    for (let life = 1; life <= 8; life++) {
      const adapter = start(queue.job(hung.url), 300)
      await hung.until(() => hung.seen.length === life)
      await adapter.end()
    }
  }
  await using sink = await openSink()
  await using _ = start(queue.job(sink.url))
  await sink.until(() => sink.stored.has(id ?? ''))
})
