import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { openLookout } from '../../../clients/kafka/positions.ts'
import { trackSockets } from '../../../clients/kafka/sockets.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'

/** Takes connections and never answers. */
async function openMute() {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return { server, port: address.port, [Symbol.dispose]: () => void server.close() }
}

async function nextConnection(server: Server): Promise<Socket> {
  const [socket] = (await once(server, 'connection')) as [Socket]
  return socket.resume().on('error', () => {})
}

test('what was open when a client was cut is closed, and so is what it opens afterwards', async () => {
  using mute = await openMute()
  const { factory, cut } = trackSockets()
  const make = () => {
    const options = { host: '127.0.0.1', port: mute.port, onConnect: () => {} }
    return factory(options as Parameters<typeof factory>[0]).on('error', () => {})
  }
  const [early, arrived] = [make(), await nextConnection(mute.server)]
  const gone = once(arrived, 'close')
  cut()
  await gone
  assert.ok(early.destroyed)
  assert.ok(make().destroyed)
})

test('a lookout that is closed while it waits for an answer leaves no connection', async () => {
  using mute = await openMute()
  const access = { brokers: [`127.0.0.1:${mute.port}`], tls: undefined, sasl: undefined }
  const lookout = await openLookout(access, { log: silentLog }, systemClock)
  const stop = new AbortController()
  const asked = assert.rejects(lookout.topics(stop.signal), /enough/)
  const gone = once(await nextConnection(mute.server), 'close')
  stop.abort(new Error('enough'))
  await asked
  await lookout.close()
  await gone
})
