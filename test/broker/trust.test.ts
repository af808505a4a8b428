import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Attempt } from '../../broker/attempt.ts'
import { Authorities, AuthoritiesError } from '../../broker/authorities.ts'
import { silentLog } from '../../runtime/log.ts'
import { makeCertificate } from '../support/certificates.ts'
import { openClient, requestTo } from '../support/deliverer.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openRunning, routes, trigger } from '../support/running-broker.ts'
import { openSecureSubscriber } from '../support/secure-subscriber.ts'
import { eventually, openRawPeer } from '../support/subscriber.ts'

const DAY_MS = 24 * 3_600_000
const never = new AbortController().signal
const authority = makeCertificate('Authority')
const stranger = makeCertificate('Stranger')
const good = makeCertificate('good', { by: authority })
const foreign = makeCertificate('foreign', { by: stranger })
const days = (count: number) => Date.now() + count * DAY_MS

async function attempt(url: string, caCerts: string | undefined): Promise<Attempt> {
  await using client = openClient()
  return await client.deliver(requestTo(url, { trust: caCerts === undefined ? undefined : { caCerts } }), never)
}

/** The words of an attempt that failed for TLS. */
async function words(url: string, caCerts: string | undefined): Promise<string> {
  const result = await attempt(url, caCerts)
  assert(result.kind === 'unreachable' && result.cause === 'tls', JSON.stringify(result))
  return result.reason
}

test('a sink whose authority the Trigger brings is believed, by name and by address', async () => {
  await using peer = await openSecureSubscriber(good)
  for (const host of ['localhost', '127.0.0.1']) {
    const result = await attempt(`https://${host}:${peer.port}/`, authority.cert)
    assert.equal(result.kind, 'delivered', JSON.stringify(result))
  }
  // Several in one text, in any order, with words between them.
  const result = await attempt(peer.origin, `# ours\n${stranger.cert}\n${authority.cert}`)
  assert.equal(result.kind, 'delivered')
})

test('a certificate that is not good for the sink fails the attempt, and the words say what is wrong', async () => {
  const rows = [
    [
      makeCertificate('old', { by: authority, notBeforeMs: days(-9), notAfterMs: days(-1) }),
      /has expired \(CERT_HAS_EXPIRED\)/,
    ],
    [makeCertificate('new', { by: authority, notBeforeMs: days(1), notAfterMs: days(9) }), /not valid yet/],
    [
      makeCertificate('other', { by: authority, names: ['worker.shop'] }),
      /another host: Host: localhost\. is not in the cert's altnames: DNS:worker\.shop/,
    ],
    [foreign, /authority that is not trusted here; .* CACerts/],
  ] as const
  for (const [identity, expected] of rows) {
    await using peer = await openSecureSubscriber(identity)
    assert.match(await words(peer.origin, authority.cert), expected)
    assert.deepEqual(peer.ids, [])
  }
  await using peer = await openSecureSubscriber(good)
  assert.match(await words(peer.origin, undefined), /authority that is not trusted here/)
})

test('CACerts without a certificate, or with a damaged one, say so', async () => {
  await using peer = await openSecureSubscriber(good)
  assert.match(await words(peer.origin, 'hello'), /CACerts of the sink: there is no certificate/)
  const damaged = authority.cert.replace(/\n.{64}\n/, '\nAAAA\n')
  assert.match(await words(peer.origin, `${stranger.cert}${damaged}`), /certificate 2 of 2 is damaged/)
})

test('nothing below TLS 1.2 is spoken, and a port without TLS says so', async () => {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  await using aged = await openSecureSubscriber({ ...good, ...old })
  assert.match(await words(aged.origin, authority.cert), /no TLS 1\.2 or newer/)
  await using plain = await openRawPeer(socket =>
    socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  )
  assert.match(await words(plain.origin.replace('http:', 'https:'), undefined), /does not speak TLS/)
})

test('what one sink brings is not believed for another at the same address', async () => {
  await using peer = await openSecureSubscriber(good)
  await using client = openClient()
  const send = (caCerts: string) => client.deliver(requestTo(peer.origin, { trust: { caCerts } }), never)
  assert.equal((await send(authority.cert)).kind, 'delivered')
  assert.equal((await send(stranger.cert)).kind, 'unreachable')
  assert.equal((await send(authority.cert)).kind, 'delivered')
})

test('the variable that turns checks off does not turn them off', async () => {
  await using peer = await openSecureSubscriber(good)
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  try {
    assert.equal((await attempt(peer.origin, undefined)).kind, 'unreachable')
  } finally {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
  }
})

test('the file of authorities is read again when it changes, and stays believed while it is damaged', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-trust-'))
  try {
    const file = join(folder, 'ca.pem')
    writeFileSync(file, stranger.cert)
    const clock = new ManualClock()
    const errors: string[] = []
    const log = { ...silentLog, error: (_facts: unknown, message?: string) => void errors.push(message ?? '') }
    await using client = openClient({ authorities: new Authorities(clock, log, file) })
    await using peer = await openSecureSubscriber(good, (_request, response) => {
      response.writeHead(200, { 'content-length': 0, connection: 'close' }).end()
    })
    const kind = async () => (await client.deliver(requestTo(peer.origin), never)).kind
    assert.equal(await kind(), 'unreachable')
    writeFileSync(file, `${stranger.cert}${authority.cert}`)
    await clock.advance(10_000)
    assert.equal(await kind(), 'delivered')
    writeFileSync(file, 'half a certi')
    await clock.advance(10_000)
    assert.equal(await kind(), 'delivered')
    assert.deepEqual(errors, ['certificates cannot be read: the last ones stay trusted'])
    writeFileSync(file, stranger.cert)
    await clock.advance(10_000)
    assert.equal(await kind(), 'unreachable')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a file of authorities that cannot be used is an error at the start', () => {
  const open = (file: string) => () => new Authorities(new ManualClock(), silentLog, file)
  assert.throws(open('/no/such/file.pem'), AuthoritiesError)
  assert.throws(open(import.meta.filename), /trust\.test\.ts: .*(no certificate|damaged)/)
})

test('subscriber and dead-letter sink each have their own trust, and a new one takes effect with the next attempt', async () => {
  await using subscriber = await openSecureSubscriber(good, (_request, response) => response.writeHead(422).end())
  await using sink = await openSecureSubscriber(foreign)
  await using running = await openRunning()
  const to = (address: string, caCerts: string) => ({ kind: 'url', address, trust: { caCerts } }) as const
  const route = (caCerts: string) =>
    trigger('t', to(subscriber.origin, caCerts), {
      deadLetter: to(sink.origin, stranger.cert),
      delivery: { ...trigger('t', '').delivery, retries: 1000, backoff: 'linear', backoffMs: 20, backoffMaxMs: 20 },
    })
  await running.broker.apply(routes([route(stranger.cert)]))
  await running.post({ id: 'one' })
  await eventually(() => /not trusted/.test(running.broker.backlog.read()[0]?.lastError ?? ''), 'the attempt fails')
  assert.deepEqual(subscriber.ids, [])
  await running.broker.apply(routes([route(authority.cert)]))
  await eventually(() => sink.ids.length === 1, 'the dead letter arrives')
  assert.deepEqual([subscriber.ids, sink.ids], [['one'], ['one']])
})

test('a sink whose certificate is renewed under load loses nothing', async () => {
  await using peer = await openSecureSubscriber(good, (_request, response) => {
    response.writeHead(200, { 'content-length': 0, connection: 'close' }).end()
  })
  await using client = openClient()
  for (let i = 0; i < 30; i++) {
    if (i === 15) peer.renew(makeCertificate('renewed', { by: authority }))
    const result = await client.deliver(requestTo(peer.origin, { trust: { caCerts: authority.cert } }), never)
    assert.equal(result.kind, 'delivered', JSON.stringify(result))
  }
})
