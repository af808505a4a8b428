import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { brokerId, triggerId, type WorkloadId, workloadId } from '../../contract/ids.ts'
import type { Endpoint } from '../../contract/routes.ts'
import { FAST, openRunning, routes, trigger, url } from '../support/running-broker.ts'
import { afterRequest, answering, eventually, openRawPeer, openSubscriber } from '../support/subscriber.ts'

/** A folder that is gone after the test. */
async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'weir-test-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

test('an event goes to every Trigger that wants it, and nobody else', async () => {
  await using orders = await openSubscriber()
  await using audit = await openSubscriber()
  await using running = await openRunning()
  const filters = [{ exact: { type: 'order' } }]
  await running.broker.apply(routes([trigger('orders', orders.origin, { filters }), trigger('audit', audit.origin)]))
  assert.equal(await running.post({ type: 'order' }), 202)
  assert.equal(await running.post({ type: 'other' }), 202)
  await audit.reached(2)
  await orders.reached(1)
  const ids = audit.received.map(one => one.headers['ce-id']).sort()
  assert.deepEqual(ids, ['1', '2'])
  assert.equal(orders.received.length, 1)
})

test('an event that nobody wants is taken, and counted as such', async () => {
  await using running = await openRunning()
  await running.broker.apply(routes([]))
  assert.equal(await running.post(), 202)
  const [counters] = running.broker.counters()
  assert.deepEqual(counters, {
    broker: brokerId('shop', 'main'),
    accepted: 1,
    unmatched: 1,
    refused: 0,
    duplicates: 0,
    overQuota: 0,
  })
  assert.deepEqual(running.broker.journal.recent(1)[0]?.deliveries, Object.create(null))
})

test('a failure is retried as often as the policy says, then parked, and all of it is counted', async () => {
  await using peer = await openSubscriber(answering(500, {}, 'broken'))
  await using running = await openRunning()
  await running.broker.apply(routes([trigger('t', peer.origin)]))
  await running.post()
  await peer.reached(4)
  await eventually(() => running.broker.backlog.read()[0]?.parked === 1, 'the event is parked')
  const [backlog] = running.broker.backlog.read()
  assert.equal(backlog?.failed, 4)
  assert.equal(backlog.delivered, 0)
  assert.equal(backlog.lastError, '500: broken')
  assert.equal(running.broker.journal.recent(1)[0]?.deliveries[triggerId('shop', 't')]?.state, 'parked')
  assert.match(
    running.metrics.text(),
    /weir_delivery_attempts_total\{namespace="shop",trigger="t",outcome="retried"\} 3\n/,
  )
  assert.match(running.metrics.text(), /weir_trigger_parked\{namespace="shop",trigger="t"\} 1\n/)
  assert.equal(running.broker.discarding(), 1)
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.equal(peer.received.length, 4)
})

test('what no repetition can mend goes to the dead-letter sink at once, with the reasons', async () => {
  await using peer = await openSubscriber(answering(422, {}, 'no such product'))
  await using sink = await openSubscriber()
  await using running = await openRunning()
  await running.broker.apply(routes([trigger('t', peer.origin, { deadLetter: url(sink.origin) })]))
  await running.post()
  await sink.reached(1)
  const { headers } = sink.received[0] ?? {}
  assert.equal(headers?.['ce-knativeerrordest'], peer.origin)
  assert.equal(headers['ce-knativeerrorcode'], '422')
  assert.equal(Buffer.from(String(headers['ce-knativeerrordata']), 'base64').toString(), 'no such product')
  assert.equal(headers['ce-knativebrokerttl'], '254')
  assert.equal(headers.prefer, undefined)
  assert.equal(peer.received.length, 1)
  await eventually(() => running.broker.backlog.read()[0]?.deadLettered === 1, 'it is counted')
})

test('a dead-letter sink is tried under the same policy, and what it fails is parked', async () => {
  await using sink = await openSubscriber(answering(503))
  await using running = await openRunning()
  await running.broker.apply(routes([trigger('t', 'bad://uri', { deadLetter: url(sink.origin) })]))
  await running.post()
  await sink.reached(4)
  await eventually(() => running.broker.backlog.read()[0]?.parked === 1, 'the event is parked')
  assert.equal(sink.received[0]?.headers['ce-knativeerrordest'], 'http://uri/')
  assert.equal(sink.received[0]?.headers['ce-knativeerrorcode'], '500')
})

test('Retry-After is kept', async () => {
  const atMs: number[] = []
  await using peer = await openSubscriber((_received, response, count) => {
    atMs.push(performance.now())
    if (count === 1) response.writeHead(429, { 'retry-after': '1' }).end()
    else response.end()
  })
  await using running = await openRunning()
  await running.broker.apply(routes([trigger('t', peer.origin)]))
  await running.post()
  await peer.reached(2)
  const [first = 0, second = 0] = atMs
  assert.ok(second - first >= 990, `${second - first} ms`)
})

test('only the Trigger of a subscriber that hangs, fails, resets or never ends has to wait', async () => {
  await using hanging = await openSubscriber(() => {})
  await using failing = await openSubscriber(answering(500))
  await using resetting = await openRawPeer(afterRequest(socket => socket.resetAndDestroy()))
  await using endless = await openRawPeer(
    afterRequest(socket => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      const timer = setInterval(() => socket.write('1\r\nx\r\n'), 5)
      socket.on('close', () => clearInterval(timer))
    }),
  )
  await using healthy = await openSubscriber()
  await using running = await openRunning({ drainMs: 100 })
  await running.broker.apply(
    routes([
      trigger('hanging', hanging.origin),
      trigger('failing', failing.origin),
      trigger('resetting', resetting.origin),
      trigger('endless', endless.origin),
      trigger('healthy', healthy.origin),
    ]),
  )
  for (let i = 0; i < 100; i++) assert.equal(await running.post(), 202)
  await healthy.reached(100)
  assert.equal(healthy.received.length, 100)
  const [stuck] = running.broker.backlog.read()
  assert.equal(stuck?.inFlight, 10)
  assert.equal(stuck.waiting, 90)
})

test('a reply is a new event for every Trigger, and its hops run out', async () => {
  await using echo = await openSubscriber((received, response) => {
    const hops = Number(received.headers['ce-hops'] ?? 0)
    response.writeHead(200, {
      'ce-specversion': '1.0',
      'ce-id': `r${hops}`,
      'ce-source': '/echo',
      'ce-type': 'reply',
      'ce-hops': String(hops + 1),
      'ce-knativebrokerttl': '255',
    })
    response.end('pong')
  })
  await using running = await openRunning()
  await running.broker.apply(routes([trigger('echo', echo.origin)]))
  await running.post()
  await echo.reached(255)
  await eventually(() => running.broker.backlog.read()[0]?.delivered === 255, 'the circle ends')
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.equal(echo.received.length, 255)
  assert.match(running.broker.backlog.read()[0]?.notice ?? '', /circle/)
  assert.match(running.metrics.text(), /weir_replies_dropped_total\{namespace="shop",trigger="echo"\} 1\n/)
  assert.ok(echo.received.every(one => one.headers['ce-knativebrokerttl'] === undefined))
  const [counters] = running.broker.counters()
  assert.equal(counters?.accepted, 255)
})

test('a plain answer is a success that is told of once; strict makes it a failure', async () => {
  await using peer = await openSubscriber(answering(200, {}, 'ok'))
  await using running = await openRunning()
  const strict = trigger('strict', `${peer.origin}/strict`, { reply: 'strict' })
  await running.broker.apply(routes([trigger('lenient', `${peer.origin}/lenient`), strict]))
  await running.post()
  await running.post()
  await eventually(() => running.broker.backlog.read()[1]?.parked === 2, 'the strict ones are parked')
  const [lenient, other] = running.broker.backlog.read()
  assert.equal(lenient?.delivered, 2)
  assert.match(lenient.notice ?? '', /no CloudEvents/)
  assert.equal(other?.delivered, 0)
  const told = running.logged.filter(line => line.message.startsWith('reply bodies ignored'))
  assert.equal(told.length, 1)
})

test('a broken reply is a failed attempt', async () => {
  await using peer = await openSubscriber(answering(200, { 'ce-specversion': '1.0', 'ce-id': 'x' }, 'x'))
  await using running = await openRunning()
  await running.broker.apply(routes([trigger('t', peer.origin)]))
  await running.post()
  await peer.reached(4)
  await eventually(() => running.broker.backlog.read()[0]?.parked === 1, 'the event is parked')
})

test('a Trigger added while events flow disturbs no other, and one that is removed stops', async () => {
  await using one = await openSubscriber()
  await using two = await openSubscriber()
  await using running = await openRunning()
  const first = trigger('one', one.origin)
  await running.broker.apply(routes([first]))
  const applying: Promise<void>[] = []
  for (let i = 0; i < 200; i++) {
    await running.post({ id: `e${i}` })
    if (i % 20 === 0)
      applying.push(running.broker.apply(routes(i % 40 === 0 ? [first, trigger('two', two.origin)] : [first])))
  }
  await Promise.all(applying)
  await one.reached(200)
  await eventually(() => running.broker.backlog.read()[0]?.inFlight === 0, 'nothing is in flight')
  assert.equal(new Set(one.received.map(got => got.headers['ce-id'])).size, 200)
  assert.equal(one.received.length, 200)
  await running.broker.apply(routes([first]))
  const before = two.received.length
  assert.ok(before > 0)
  await running.post()
  await one.reached(201)
  assert.equal(two.received.length, before)
})

test('a changed subscriber takes effect with the next attempt, the number of attempts goes on', async () => {
  await using wrong = await openSubscriber(answering(500))
  await using right = await openSubscriber()
  await using running = await openRunning()
  const slow = { ...trigger('t', '').delivery, backoffMs: 300 }
  await running.broker.apply(routes([trigger('t', wrong.origin, { delivery: slow })]))
  await running.post()
  await wrong.reached(1)
  await running.broker.apply(routes([trigger('t', right.origin, { delivery: slow })]))
  await right.reached(1)
  await eventually(() => running.broker.backlog.read()[0]?.delivered === 1, 'it is delivered')
  assert.equal(wrong.received.length, 1)
  assert.equal(running.broker.journal.recent(1)[0]?.deliveries[triggerId('shop', 't')]?.attempts, 2)
})

test('a Trigger made anew under its name does not inherit the queue, and that is said', async () => {
  await using peer = await openSubscriber()
  const worker = workloadId('Deployment', 'shop', 'worker')
  await using running = await openRunning()
  const asleep = { kind: 'workload', address: 'http://worker', workload: worker, path: '/' } as const
  await running.broker.apply(routes([trigger('t', asleep)]))
  await running.post()
  await running.broker.apply(routes([trigger('t', peer.origin, { uid: 'another' })]))
  await running.post({ id: 'second' })
  await peer.reached(1)
  assert.equal(peer.received[0]?.headers['ce-id'], 'second')
  assert.equal(running.broker.backlog.read()[0]?.accepted, 1)
  assert.ok(running.logged.some(line => line.level === 'warn' && line.message.startsWith('Trigger gone')))
})

const worker: WorkloadId = workloadId('Deployment', 'shop', 'worker')

function workload(path = '/in') {
  return { kind: 'workload', address: 'http://worker.shop', workload: worker, path } as const
}

function replica(id: string, origin: string, state: Endpoint['state'] = 'ready'): Endpoint {
  return { id, origin, state }
}

test('events for a workload at zero are held without an attempt, the autoscaler is told, and they flow when it wakes', async () => {
  await using peer = await openSubscriber()
  await using running = await openRunning()
  const held: string[] = []
  running.broker.backlog.onHeld(id => held.push(id))
  const all = [trigger('t', workload(), { delivery: { ...trigger('t', '').delivery, retries: 0 } })]
  await running.broker.apply(routes(all))
  assert.deepEqual(held, [])
  for (let i = 0; i < 30; i++) await running.post()
  assert.ok(held.length >= 30)
  assert.equal(running.broker.backlog.read()[0]?.waiting, 30)
  await running.broker.apply(routes(all, { [worker]: [replica('worker-0', peer.origin)] }))
  await peer.reached(30)
  await eventually(() => running.broker.backlog.read()[0]?.delivered === 30, 'all are delivered')
  assert.equal(running.broker.backlog.read()[0]?.failed, 0)
  assert.equal(peer.received[0]?.path, '/in')
})

test('who asks later is told of what is held already', async () => {
  await using running = await openRunning()
  await running.broker.apply(routes([trigger('t', workload())]))
  await running.post()
  const held: string[] = []
  const stop = running.broker.backlog.onHeld(id => held.push(id))
  await eventually(() => held.length === 1)
  stop()
  await running.post()
  assert.equal(held.length, 1)
})

test('a replica has at most its concurrency, all Triggers together, and a draining one finishes alone', async () => {
  let most = 0
  const open = new Map<string, number>()
  const finish: (() => void)[] = []
  const count = (name: string) => (_received: unknown, response: import('node:http').ServerResponse) => {
    open.set(name, (open.get(name) ?? 0) + 1)
    most = Math.max(most, open.get(name) ?? 0)
    finish.push(() => {
      open.set(name, (open.get(name) ?? 0) - 1)
      response.end()
    })
  }
  await using a = await openSubscriber(count('a'))
  await using b = await openSubscriber(count('b'))
  await using running = await openRunning()
  const drained: string[] = []
  running.broker.backlog.onDrained(id => drained.push(id))
  const all = [trigger('x', workload(), { concurrency: 3 }), trigger('y', workload(), { concurrency: 3 })]
  const both = { [worker]: [replica('a', a.origin), replica('b', b.origin)] }
  await running.broker.apply(routes(all, both))
  for (let i = 0; i < 10; i++) await running.post()
  await eventually(() => finish.length === 6, 'six are open')
  assert.deepEqual(running.broker.backlog.read()[0]?.inFlightByReplica, { a: 3, b: 3 })
  await running.broker.apply(routes(all, { [worker]: [replica('a', a.origin, 'draining'), replica('b', b.origin)] }))
  const before = a.received.length
  const timer = setInterval(() => finish.shift()?.(), 5)
  await eventually(() => running.broker.backlog.read().every(one => one.delivered === 10), 'all are delivered')
  clearInterval(timer)
  assert.equal(a.received.length, before)
  assert.deepEqual(drained, ['a'])
  assert.equal(most, 3)
})

test('closing waits for what is in flight, and takes nothing new', async () => {
  const finish: (() => void)[] = []
  await using peer = await openSubscriber((_received, response) => void finish.push(() => response.end()))
  const running = await openRunning()
  await running.broker.apply(routes([trigger('t', peer.origin, { concurrency: 5 })]))
  for (let i = 0; i < 20; i++) await running.post()
  await peer.reached(5)
  const closing = running.broker[Symbol.asyncDispose]()
  await assert.rejects(running.post())
  for (const one of finish) one()
  await closing
  assert.equal(peer.received.length, 5)
  assert.equal(running.broker.discarding(), 15)
  await running.broker[Symbol.asyncDispose]()
})

test('closing gives up what does not end in time; it counts as no attempt', async () => {
  await using peer = await openSubscriber(() => {})
  const running = await openRunning({ drainMs: 100 })
  await running.broker.apply(routes([trigger('t', peer.origin)]))
  await running.post()
  await peer.reached(1)
  await running.broker[Symbol.asyncDispose]()
  assert.equal(running.broker.discarding(), 1)
  assert.match(running.metrics.text(), /outcome="abandoned"\} 1\n/)
  assert.match(running.metrics.text(), /outcome="retried"\} 0\n/)
})

test('with a subscriber slower than the door, the backlog waits in the store and all of it arrives', async () => {
  await using peer = await openSubscriber((_received, response) => void setTimeout(() => response.end(), 2))
  await using running = await openRunning()
  await running.broker.apply(routes([trigger('t', peer.origin, { concurrency: 4 })]))
  await Promise.all(Array.from({ length: 300 }, (_, i) => running.post({ id: `e${i}` })))
  await peer.reached(300)
  assert.equal(new Set(peer.received.map(one => one.headers['ce-id'])).size, 300)
})

test('what is owed outlives the process: a retry goes on with its number, a held event waits', async t => {
  await using peer = await openSubscriber((_received, response, count) => {
    response.writeHead(count === 1 ? 500 : 200).end()
  })
  const dataDir = await folder(t)
  const slow = trigger('slow', peer.origin, { delivery: { ...FAST, backoffMs: 700 } })
  const all = [slow, trigger('held', workload())]
  {
    await using running = await openRunning({ dataDir })
    await running.broker.apply(routes(all))
    assert.equal(await running.post(), 202)
    await eventually(() => running.broker.backlog.read()[0]?.retrying === 1, 'the retry is planned')
    assert.equal(running.broker.discarding(), 0)
  }
  await using running = await openRunning({ dataDir })
  await running.broker.apply(routes(all, { [worker]: [replica('w0', peer.origin)] }))
  await eventually(() => running.broker.backlog.read().every(one => one.delivered === 1), 'both are delivered')
  const entry = running.broker.journal.recent(1)[0]
  assert.equal(entry?.deliveries[slow.id]?.attempts, 2)
  assert.equal(peer.received.length, 3)
})

test('without a folder the durable store is in a temporary one, which is gone afterwards', async () => {
  const before = new Set(await readdir(tmpdir()))
  const running = await openRunning({ memory: false })
  const made = (await readdir(tmpdir())).filter(name => name.startsWith('weir-') && !before.has(name))
  assert.ok(made.length >= 1)
  await running.broker.apply(routes([trigger('t', workload())]))
  await running.post()
  assert.equal(running.broker.discarding(), 1)
  await running.broker[Symbol.asyncDispose]()
  assert.equal(running.broker.discarding(), 1)
  const left = new Set(await readdir(tmpdir()))
  assert.ok(made.some(name => !left.has(name)))
})

test('a folder that cannot be used is an error at once, and nothing listens', async t => {
  const file = join(await folder(t), 'file')
  await writeFile(file, 'no folder')
  await assert.rejects(openRunning({ dataDir: file }))
})

test('a Broker that is taken away is not there any more, and its counters begin anew with its next life', async () => {
  await using running = await openRunning()
  const document = routes([])
  await running.broker.apply(document)
  assert.equal(await running.post(), 202)
  await running.broker.apply({ brokers: [], endpoints: {} })
  assert.equal(await running.post(), 404)
  assert.deepEqual(running.broker.counters(), [])
  await running.broker.apply(document)
  assert.equal(await running.post(), 202)
  assert.equal(running.broker.counters()[0]?.accepted, 1)
})

test('closing under load loses nothing: what was answered 202 is delivered, now or by the next process', async t => {
  await using peer = await openSubscriber((_received, response) => void setTimeout(() => response.end(), 3))
  const dataDir = await folder(t)
  const all = routes([trigger('t', peer.origin, { concurrency: 5 })])
  const accepted = new Set<string>()
  const first = await openRunning({ dataDir, drainMs: 20 })
  await first.broker.apply(all)
  let next = 0
  const send = async () => {
    for (;;) {
      const id = `e${next++}`
      const status = await first.post({ id }).catch(() => 0)
      if (status !== 202) return
      accepted.add(id)
    }
  }
  const senders = Array.from({ length: 20 }, send)
  await peer.reached(50)
  await first.broker[Symbol.asyncDispose]()
  await Promise.all(senders)
  await using second = await openRunning({ dataDir })
  await second.broker.apply(all)
  const arrived = () => new Set(peer.received.map(one => String(one.headers['ce-id'])))
  await eventually(() => accepted.isSubsetOf(arrived()), 'all arrive')
  assert.ok(accepted.size >= 50)
  assert.deepEqual(first.fatal, [])
})

test('a Broker may be transient beside a durable one, and only its events are discarded', async t => {
  const dataDir = await folder(t)
  const running = await openRunning({ dataDir })
  const [durable] = routes([trigger('t', workload())]).brokers
  assert.ok(durable !== undefined)
  const other = trigger('m', workload())
  const memory = { ...durable, id: brokerId('shop', 'fleeting'), uid: 'm', store: 'memory' as const, triggers: [other] }
  await running.broker.apply({ brokers: [durable, memory], endpoints: {} })
  await running.post()
  await running.post()
  const headers = { 'ce-specversion': '1.0', 'ce-id': 'x', 'ce-source': '/s', 'ce-type': 't' }
  const response = await fetch(`${running.broker.origin}/shop/fleeting`, { method: 'POST', headers })
  assert.equal(response.status, 202)
  assert.deepEqual(
    running.broker.backlog.read().map(one => one.waiting),
    [2, 1],
  )
  await running.broker[Symbol.asyncDispose]()
  assert.equal(running.broker.discarding(), 1)
})

test('a door that cannot be opened leaves the folder free for the next try', async t => {
  await using other = await openSubscriber()
  const dataDir = await folder(t)
  await assert.rejects(openRunning({ dataDir, port: Number(new URL(other.origin).port) }), { code: 'EADDRINUSE' })
  await using running = await openRunning({ dataDir })
  assert.ok(running.broker.origin.startsWith('http://127.0.0.1:'))
})
