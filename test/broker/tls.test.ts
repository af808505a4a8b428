import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import tls, { type TLSSocket } from 'node:tls'
import { Budget } from '../../broker/budget.ts'
import { type Ingress, type IngressOptions, openIngress } from '../../broker/ingress.ts'
import { openMemoryStore } from '../../broker/stores/memory.ts'
import { KeyPairError } from '../../broker/tls-key-pair.ts'
import { LOOK_MS } from '../../broker/tls-reload.ts'
import { brokerId } from '../../contract/ids.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { Log } from '../../runtime/log.ts'
import { type Certified, makeCertificate } from '../support/certificates.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { exchange } from '../support/raw-http.ts'
import { openRunning, routes } from '../support/running-broker.ts'

const broker = brokerId('shop', 'main')
const EVENT = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' }

interface Secure extends AsyncDisposable {
  readonly ingress: Ingress
  readonly port: number
  readonly clock: ManualClock
  readonly stored: readonly CloudEvent[]
  /** Messages of `error` and `info`. */
  readonly logged: readonly string[]
  readonly files: { readonly certFile: string; readonly keyFile: string }
  write(pair: Partial<Pick<Certified, 'cert' | 'key'>>): void
  /** Lets the files be looked at once. */
  look(): Promise<void>
}

/** A real door with TLS beside the plain one, for shop/main; its clock stands still. */
async function openSecure(pair: Certified, over: Partial<IngressOptions> = {}): Promise<Secure> {
  await using opening = new AsyncDisposableStack()
  const folder = openFolder(opening)
  const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') }
  const write: Secure['write'] = ({ cert, key }) => {
    if (cert !== undefined) writeFileSync(files.certFile, cert)
    if (key !== undefined) writeFileSync(files.keyFile, key)
  }
  write(pair)
  const clock = new ManualClock(Date.now())
  const store = openMemoryStore(clock)
  const stored: CloudEvent[] = []
  const logged: string[] = []
  const say = (_facts: unknown, message?: string) => void logged.push(message ?? '')
  const log = { debug() {}, warn() {}, info: say, error: say } as Log
  const onStored = (_broker: unknown, event: CloudEvent) => stored.push(event)
  const intake = { broker, store, budget: new Budget(1 << 20), onStored }
  const options: IngressOptions = {
    host: '127.0.0.1',
    port: 0,
    tls: { ...files, port: 0 },
    bodyMaxBytes: 1000,
    budget: new Budget(1 << 20),
    door: path => (path === `/${broker}` ? { intake, authorise: undefined, onRefused() {} } : undefined),
    clock,
    log,
    ...over,
  }
  const ingress = opening.use(await openIngress(options))
  const open = opening.move()
  return {
    ingress,
    port: Number(new URL(ingress.origins.https ?? '').port),
    clock,
    stored,
    logged,
    files,
    write,
    async look() {
      assert.ok(clock.pending > 0)
      await clock.advance(LOOK_MS)
      // The files are real; the next look is arranged when this one is over.
      while (clock.pending === 0) await new Promise(resolve => setTimeout(resolve, 2))
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** A folder that goes with the stack. */
function openFolder(opening: AsyncDisposableStack): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-tls-'))
  opening.defer(() => rmSync(folder, { recursive: true }))
  return folder
}

interface Answered {
  readonly status: number | undefined
  /** Whose certificate the connection began with. */
  readonly shown: string | undefined
  readonly body: string
}

interface PostOptions {
  readonly agent?: Agent
  readonly path?: string
  readonly body?: string
}

/** One event over TLS, by a client that trusts `trusted` alone. */
async function post(port: number, trusted: readonly Certified[], options: PostOptions = {}): Promise<Answered> {
  const { agent = new Agent({ keepAlive: false, maxCachedSessions: 0 }), path = '/shop/main', body = '' } = options
  const ca = trusted.map(one => one.cert)
  const sent = request({ port, host: '127.0.0.1', method: 'POST', path, headers: EVENT, ca, agent })
  sent.end(body)
  const [response] = await once(sent, 'response')
  // A connection that is kept is taken from the response at its end.
  const shown = (response.socket as TLSSocket).getPeerCertificate(true).subject.CN
  const chunks: Buffer[] = await response.toArray()
  return { status: response.statusCode, shown: String(shown), body: Buffer.concat(chunks).toString() }
}

/** How a handshake ends: the protocol, or the error. */
async function handshake(port: number, options: tls.ConnectionOptions): Promise<string> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  try {
    await once(socket, 'secureConnect')
    return socket.getProtocol() ?? ''
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  } finally {
    socket.destroy()
  }
}

const first = makeCertificate('first')
const second = makeCertificate('second')

test('the same Brokers, answers and limits are behind both doors', async () => {
  await using door = await openSecure(first)
  assert.equal((await post(door.port, [first])).status, 202)
  assert.equal((await post(door.port, [first], { path: '/shop/nobody' })).status, 404)
  assert.equal((await post(door.port, [first], { body: 'x'.repeat(1001) })).status, 413)
  assert.match(door.ingress.origins.https ?? '', /^https:\/\/127\.0\.0\.1:\d+$/)
  const plain = await fetch(`${door.ingress.origins.http}/shop/main`, { method: 'POST', headers: EVENT })
  assert.equal(plain.status, 202)
  assert.equal(door.stored.length, 2)
})

test('a chain is shown whole, so that whoever trusts the authority trusts the door', async () => {
  const authority = makeCertificate('authority')
  const leaf = makeCertificate('leaf', { by: authority })
  await using door = await openSecure({ ...leaf, cert: `${leaf.cert}${authority.cert}` })
  assert.equal((await post(door.port, [authority])).shown, 'leaf')
})

test('TLS is 1.2 or 1.3, and HTTP/1.1 inside', async () => {
  await using door = await openSecure(first)
  assert.equal(await handshake(door.port, { maxVersion: 'TLSv1.2' }), 'TLSv1.2')
  assert.equal(await handshake(door.port, { minVersion: 'TLSv1.3' }), 'TLSv1.3')
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  assert.equal(await handshake(door.port, old), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  const h2 = await handshake(door.port, { ALPNProtocols: ['h2'] })
  assert.equal(h2, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL')
  assert.equal(await handshake(door.port, { ALPNProtocols: ['h2', 'http/1.1'] }), 'TLSv1.3')
})

test('a new pair is used for new connections, and those that are open live on', async () => {
  await using door = await openSecure(first)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  assert.equal((await post(door.port, [first], { agent })).shown, 'first')
  door.write(second)
  assert.equal((await post(door.port, [first])).shown, 'first')
  await door.look()
  assert.equal((await post(door.port, [second])).shown, 'second')
  assert.equal((await post(door.port, [first], { agent })).shown, 'first')
  await assert.rejects(post(door.port, [first]), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  await door.look()
  assert.deepEqual(door.logged, ['TLS certificate replaced'])
  agent.destroy()
})

test('links that are swapped under the files are followed, as Kubernetes swaps those of a Secret', async () => {
  await using opening = new AsyncDisposableStack()
  const folder = openFolder(opening)
  const version = async (name: string, pair: Certified) => {
    await mkdir(join(folder, name))
    writeFileSync(join(folder, name, 'tls.crt'), pair.cert)
    writeFileSync(join(folder, name, 'tls.key'), pair.key)
    symlinkSync(name, join(folder, 'next'))
    renameSync(join(folder, 'next'), join(folder, '..data'))
  }
  await version('..1', first)
  for (const file of ['tls.crt', 'tls.key']) symlinkSync(join('..data', file), join(folder, file))
  const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') }
  await using door = await openSecure(first, { tls: { ...files, port: 0 } })
  await door.look()
  await version('..2', second)
  rmSync(join(folder, '..1'), { recursive: true })
  await door.look()
  assert.equal((await post(door.port, [second])).shown, 'second')
})

for (const [what, pair] of [
  ['is no PEM', { cert: 'x', key: 'x' }],
  ['is empty', { cert: '', key: '' }],
  ['is cut off', { cert: second.cert.slice(0, 300), key: second.key }],
  ['has a key of another', { cert: second.cert, key: makeCertificate('third').key }],
  ['has ended', makeCertificate('ended', { notAfterMs: Date.now() - 1000 })],
] as const) {
  test(`a new pair that ${what} leaves the old one in use, which is said once, and the next good one is used`, async () => {
    await using door = await openSecure(first)
    await door.look()
    door.write(pair)
    for (let looks = 0; looks < 5; looks++) await door.look()
    assert.deepEqual(door.logged, ['new TLS certificate cannot be used: the old one stays'])
    assert.equal((await post(door.port, [first])).shown, 'first')
    door.write(second)
    await door.look()
    assert.equal((await post(door.port, [second])).shown, 'second')
    assert.equal(door.logged.length, 2)
  })
}

test('files that are gone leave the pair in use', async () => {
  await using door = await openSecure(first)
  rmSync(door.files.certFile)
  for (let looks = 0; looks < 3; looks++) await door.look()
  assert.deepEqual(door.logged, ['new TLS certificate cannot be used: the old one stays'])
  assert.equal((await post(door.port, [first])).status, 202)
})

test('a pair of which one file comes a moment before the other is no mistake', async () => {
  await using door = await openSecure(first)
  await door.look()
  door.write({ cert: second.cert })
  await door.look()
  door.write({ key: second.key })
  await door.look()
  assert.equal((await post(door.port, [second])).shown, 'second')
  assert.deepEqual(door.logged, ['TLS certificate replaced'])
})

test('a certificate that ends while it is used is told once, and still shown', async () => {
  const short = makeCertificate('short', { notAfterMs: Date.now() + 3_600_000 })
  await using door = await openSecure(short)
  await door.look()
  door.clock.jump(3_600_000)
  for (let looks = 0; looks < 3; looks++) await door.look()
  assert.deepEqual(door.logged, ['TLS certificate has ended: senders will refuse it until it is renewed'])
  assert.equal((await post(door.port, [short])).shown, 'short')
})

test('no request fails while the pair is renewed again and again', async () => {
  await using door = await openSecure(first)
  const stop = new AbortController()
  let answered = 0
  const sender = async () => {
    while (!stop.signal.aborted) {
      assert.equal((await post(door.port, [first, second])).status, 202)
      answered++
    }
  }
  const senders = Promise.all([sender(), sender(), sender(), sender()])
  for (let round = 0; round < 10; round++) {
    door.write(round % 2 === 0 ? second : first)
    await door.look()
    const seen = answered
    while (answered < seen + 8) await Promise.race([senders, new Promise(resolve => setTimeout(resolve, 5))])
  }
  stop.abort()
  await senders
  assert.equal(door.logged.length, 10)
})

test('whoever speaks no TLS, or nothing at all, is let go, and does not hold up the end', async () => {
  const door = await openSecure(first)
  assert.doesNotMatch(await exchange(door.port, 'POST /shop/main HTTP/1.1\r\nhost: x\r\n\r\n', 5000), /HTTP\/1\.1/)
  const silent = net.connect(door.port, '127.0.0.1')
  await once(silent, 'connect')
  const gone = once(silent, 'close')
  assert.equal((await post(door.port, [first])).status, 202)
  const beganMs = performance.now()
  const closed = door[Symbol.asyncDispose]()
  await door.clock.advance(5000)
  await Promise.all([closed, gone])
  assert.ok(performance.now() - beganMs < 15_000, 'it did not wait for the end of a handshake')
  assert.equal(door.clock.pending, 0)
})

test('once it stops, what was asked before is answered, and nobody is let in', async () => {
  const held: (() => void)[] = []
  const store = openMemoryStore(new ManualClock())
  const append = () => new Promise(resolve => held.push(() => resolve({ seq: 1, matched: [] })))
  const slow = Object.assign(Object.create(store), { append })
  const intake = { broker, store: slow, budget: new Budget(1 << 20), onStored() {} }
  const door = await openSecure(first, { door: () => ({ intake, authorise: undefined, onRefused() {} }) })
  const early = post(door.port, [first])
  while (held.length === 0) await new Promise(resolve => setTimeout(resolve, 5))
  door.ingress.stop()
  await assert.rejects(post(door.port, [first]), { code: 'ECONNREFUSED' })
  held[0]?.()
  assert.equal((await early).status, 202)
  await door[Symbol.asyncDispose]()
  assert.equal(door.clock.pending, 0, 'the files are looked at no more')
})

test('a handshake that goes on for ever is cut off, in real time', { timeout: 90_000 }, async () => {
  await using door = await openSecure(first)
  const silent = net.connect(door.port, '127.0.0.1')
  silent.on('error', () => {})
  await once(silent, 'close')
  assert.equal((await post(door.port, [first])).status, 202)
})

for (const [what, pair, words] of [
  ['no PEM', { cert: 'x', key: first.key }, /the certificate is no PEM/],
  ['a key that is none', { cert: first.cert, key: 'x' }, /the key is no PEM/],
  ['the key of another', { cert: first.cert, key: second.key }, /the key belongs to another certificate/],
] as const) {
  test(`with ${what} the door does not open, and says which files and why`, async () => {
    const port = await freePort()
    await assert.rejects(openSecure({ ...first, ...pair }, { port }), error => {
      assert(error instanceof KeyPairError)
      assert.match(error.message, words)
      assert.match(error.message, /tls\.crt.*tls\.key/)
      return true
    })
    await assert.rejects(exchange(port, 'x'), { code: 'ECONNREFUSED' }, 'the plain door is closed too')
  })
}

test('without its files, or with a folder for one, the door does not open', async () => {
  const files = { certFile: '/nowhere/tls.crt', keyFile: '/nowhere/tls.key', port: 0 }
  await assert.rejects(openSecure(first, { tls: files }), /\/nowhere\/tls\.crt is not there/)
  await assert.rejects(openSecure(first, { tls: { ...files, certFile: tmpdir() } }), /is no file/)
})

test('a whole broker has both origins where it is given a pair, and one where it is not', async () => {
  await using door = await openSecure(first)
  await using running = await openRunning({ tls: { ...door.files, port: 0 } })
  await running.broker.apply(routes([]))
  const { http, https } = running.broker.origins
  assert.equal(http, running.broker.origin)
  assert.equal((await post(Number(new URL(https ?? '').port), [first])).status, 202)
  assert.equal(running.broker.counters()[0]?.accepted, 1)
  await using plain = await openRunning()
  assert.equal(plain.broker.origins.https, undefined)
})

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
