import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { type TestContext, test } from 'node:test'
import { workloadId } from '../../contract/ids.ts'
import type { Endpoint, Target } from '../../contract/routes.ts'
import { systemClock } from '../../runtime/clock.ts'
import { openDoor } from '../../runtime/door.ts'
import { silentLog } from '../../runtime/log.ts'
import { LocalDoor } from '../../standalone/local-door.ts'
import { ServiceDoors } from '../../standalone/service-doors.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { eventually } from './local.ts'

const WORKLOAD = workloadId('Deployment', 'shop', 'app')

function target(path = '/'): Extract<Target, { kind: 'workload' }> {
  return { kind: 'workload', address: `http://svc.shop.svc.cluster.local${path}`, workload: WORKLOAD, path }
}

async function replica(t: TestContext, id: string, listener: RequestListener): Promise<Endpoint> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return { id, origin: `http://127.0.0.1:${address.port}`, state: 'ready' }
}

async function open(t: TestContext, endpoints: Endpoint[]) {
  const clock = new ManualClock()
  const door = await openDoor({ host: '127.0.0.1', port: 0, bodyMaxBytes: 1 << 20, clock: systemClock, log: silentLog })
  t.after(() => door[Symbol.asyncDispose]())
  const doors = new ServiceDoors({
    clock,
    door: async () => door,
    endpoints: id => (id === WORKLOAD ? endpoints : []),
  })
  return { doors, clock, door }
}

test('the address of a Service stays, and its replicas are asked in turn', async t => {
  const answering = (name: string) => replica(t, name, (_, response) => response.end(name))
  const endpoints = [await answering('a'), await answering('b')]
  const { doors, door } = await open(t, endpoints)
  const url = await doors.address(target('/in?x=1'))
  assert.equal(url, `${door.origin}/services/shop/svc/in?x=1`)
  assert.equal(await doors.address(target('/in?x=1')), url)
  const ask = async () => await (await fetch(url, { method: 'POST', body: 'x' })).text()
  assert.deepEqual([await ask(), await ask()].sort(), ['a', 'b'])
  endpoints.shift()
  assert.deepEqual([await ask(), await ask()], ['b', 'b'])
})

test('a request and its answer are passed on whole, without what belongs to one connection', async t => {
  let seen = ''
  const one = await replica(t, 'a', (request, response) => {
    request.setEncoding('utf8').on('data', part => {
      seen += part
    })
    request.on('end', () => {
      const { url, method, headers } = request
      seen += ` ${method} ${url} ${headers['ce-id']} ${headers.te} ${headers.host === new URL(one.origin).host}`
      response.writeHead(207, { 'ce-id': 'r', 'keep-alive': 'timeout=1' }).end('é')
    })
  })
  const { doors } = await open(t, [one])
  const answer = await fetch(`${await doors.address(target('/a/b'))}?q=1`, {
    method: 'PUT',
    headers: { 'ce-id': 'e', te: 'trailers' },
    body: 'é',
  })
  assert.equal(seen, 'é PUT /a/b?q=1 e undefined true')
  assert.deepEqual([answer.status, answer.headers.get('ce-id'), await answer.text()], [207, 'r', 'é'])
})

test('without a replica that is ready it is 503, and 502 where one fails, answers too much, or not at all', async t => {
  const endpoints: Endpoint[] = []
  const { doors, clock } = await open(t, endpoints)
  const url = await doors.address(target())
  const ask = async () => await fetch(url, { method: 'POST', body: 'x' })
  const none = await ask()
  assert.deepEqual([none.status, none.headers.get('retry-after')], [503, '1'])
  endpoints.push({ ...(await replica(t, 'd', (_, response) => response.end())), state: 'draining' })
  assert.equal((await ask()).status, 503)

  endpoints[0] = await replica(t, 'dies', request => request.socket.destroy())
  assert.match(await (await ask()).text(), /dies did not answer/)
  endpoints[0] = await replica(t, 'much', (_, response) => response.end(Buffer.alloc((1 << 20) + 1)))
  assert.match(await (await ask()).text(), /more than 1048576 bytes/)
  let asked = false
  endpoints[0] = await replica(t, 'hangs', () => {
    asked = true
  })
  const hung = ask()
  await eventually('it is asked', () => asked)
  await clock.advance(60_000)
  assert.match(await (await hung).text(), /took too long/)
})

test('the local door is opened by the first who asks, again after a failure, and never once it is closed', async () => {
  const ports = [Promise.reject(new Error('no port')), Promise.resolve(0)]
  const config = { host: '127.0.0.1', bodyMaxBytes: 1, clock: systemClock, log: silentLog }
  const local = new LocalDoor({ ...config, port: () => ports.shift() ?? Promise.reject(new Error('asked twice')) })
  await assert.rejects(local.open(), /no port/)
  const [one, two] = await Promise.all([local.open(), local.open()])
  assert.equal(one, two)
  await local[Symbol.asyncDispose]()
  await assert.rejects(local.open(), /closed/)
  await assert.rejects(fetch(one.origin))
})
