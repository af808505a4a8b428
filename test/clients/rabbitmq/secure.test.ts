import assert from 'node:assert/strict'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { createServer } from 'node:tls'
import { rabbitAccessOf } from '../../../clients/rabbitmq/access.ts'
import { openLink } from '../../../clients/rabbitmq/link.ts'
import { readQueueCounts } from '../../../clients/rabbitmq/management.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { noRabbitmq, sharedRabbitmq } from '../../servers/rabbitmq.ts'
import { type Certified, makeCertificate } from '../../support/certificates.ts'

const missing = await noRabbitmq()
const withServer = missing === false ? {} : { skip: missing }
const signal = new AbortController().signal

/** Speaks TLS in front of a plain port of this machine, as a proxy of a cluster does. */
async function secured(port: number, { cert, key }: Certified) {
  const server = createServer({ cert, key }, socket => {
    const plain = connect(port, '127.0.0.1')
    socket.pipe(plain).pipe(socket)
    socket.on('error', () => plain.destroy())
    plain.on('error', () => socket.destroy())
  })
  server.on('tlsClientError', () => {})
  const open = new Set<Socket>()
  server.on('connection', socket => open.add(socket))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

test('an authority in the Secret vouches for the server and for its management', withServer, async () => {
  const { credentials, port } = await sharedRabbitmq()
  const authority = makeCertificate('Authority')
  const certified = makeCertificate('rabbit', { by: authority })
  await using amqps = await secured(port, certified)
  await using https = await secured(port + 10_000, certified)
  const secret = {
    ...credentials,
    uri: 'amqps://127.0.0.1',
    port: String(amqps.port),
    managementUri: `https://127.0.0.1:${https.port}`,
  }
  const trusting = rabbitAccessOf({ ...secret, 'ca.crt': authority.cert }, undefined)
  const link = await openLink(trusting, systemClock, signal)
  assert.ok(link.kind === 'link', link.kind === 'trouble' ? link.reason : '')
  const channel = await link.channel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  assert.match(queue, /^amq\.gen-/)
  await link.close()
  const counted = await readQueueCounts(trusting, 'no such queue', systemClock, signal)
  assert.ok(counted.kind === 'trouble' && counted.what === 'missing', JSON.stringify(counted))

  for (const ca of [undefined, makeCertificate('Stranger').cert]) {
    const doubting = rabbitAccessOf({ ...secret, ...(ca !== undefined && { 'ca.crt': ca }) }, undefined)
    const refused = await openLink(doubting, systemClock, signal)
    assert.ok(refused.kind === 'trouble', 'a stranger is not trusted')
    assert.match(
      refused.reason,
      /its certificate is not trusted \(.+\): put its authority into the Secret as `ca\.crt`/,
    )
    const unread = await readQueueCounts(doubting, 'q', systemClock, signal)
    assert.ok(unread.kind === 'trouble' && unread.what === 'unreachable', JSON.stringify(unread))
  }

  // Its authority is known: that one was not the matter.
  const expired = makeCertificate('late', { by: authority, notAfterMs: Date.now() - 3_600_000 })
  await using late = await secured(port, expired)
  const old = await openLink({ ...trusting, port: late.port }, systemClock, signal)
  assert.ok(old.kind === 'trouble' && /expired/.test(old.reason) && !/ca\.crt/.test(old.reason))
})
