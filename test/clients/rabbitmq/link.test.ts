import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { rabbitAccessOf } from '../../../clients/rabbitmq/access.ts'
import { CALL_TIMEOUT_MS, openLink } from '../../../clients/rabbitmq/link.ts'
import { ManualClock } from '../../support/manual-clock.ts'

async function listening(onConnection: (write: (bytes: Buffer) => void) => void) {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(bytes => socket.write(bytes))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const access = rabbitAccessOf(
    { uri: `127.0.0.1:${address.port}`, username: 'hunter2', password: 'hunter2' },
    undefined,
  )
  return {
    access,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

test('a server that takes the connection and says nothing is given up in time', async () => {
  const connected = Promise.withResolvers<void>()
  await using server = await listening(() => connected.resolve())
  const clock = new ManualClock()
  const opening = openLink(server.access, clock, new AbortController().signal)
  await connected.promise
  await clock.advance(CALL_TIMEOUT_MS)
  const link = await opening
  assert.ok(link.kind === 'trouble')
  assert.match(link.reason, /has not answered within 15 s/)
})

test('something that does not speak AMQP is trouble, and no crash', async () => {
  for (const words of [
    'HTTP/1.1 400 Bad Request\r\n\r\n',
    'AMQP\u0000\u0000\t\u0001',
    '\u0001\u0000\u0000\u0000\u0000\u0000\u0004abcd!',
  ]) {
    await using server = await listening(write => write(Buffer.from(words, 'latin1')))
    const clock = new ManualClock()
    const opening = openLink(server.access, clock, new AbortController().signal)
    const late = setTimeout(() => void clock.advance(CALL_TIMEOUT_MS), 2_000)
    const link = await opening
    clearTimeout(late)
    assert.equal(link.kind, 'trouble', words)
    assert.doesNotMatch(JSON.stringify(link), /hunter2/)
  }
})

test('told to stop, it stops connecting at once', async () => {
  const connected = Promise.withResolvers<void>()
  await using server = await listening(() => connected.resolve())
  const stop = new AbortController()
  const opening = openLink(server.access, new ManualClock(), stop.signal)
  await connected.promise
  stop.abort(new Error('stop'))
  await assert.rejects(opening, /stop/)
})
