import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { type AddressPolicy, buildAddressGuard } from '../../broker/address-guard.ts'
import { refusal } from '../../broker/connect.ts'
import { openClient, requestTo } from '../support/deliverer.ts'
import { openSubscriber } from '../support/subscriber.ts'

const laptop: AddressPolicy = { loopback: 'allow', private: 'allow', allow: [] }
const cluster: AddressPolicy = { loopback: 'refuse', private: 'allow', allow: [] }
const strict: AddressPolicy = { loopback: 'refuse', private: 'refuse', allow: [] }
const stop = new AbortController().signal

/** Refused wherever Weir runs. */
const neverAllowed = [
  '169.254.169.254',
  '169.254.0.1',
  '169.254.170.2',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '0.0.0.0',
  '0.1.2.3',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  'fe80::1',
  'fe80::1%eth0',
  'febf::1',
  'ff02::1',
  'fd00:ec2::254',
  'fd20:ce::254',
  '::ffff:169.254.169.254',
  '::ffff:a9fe:a9fe',
  '::a9fe:a9fe',
  '::ffff:0:a9fe:a9fe',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::a9fe:a9fe',
  '2002:a9fe:a9fe::',
  '2001::5601:5601', // Teredo keeps the address inverted
]
const loopback = ['127.0.0.1', '127.255.0.1', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::']
const inside = [
  '10.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '100.64.0.1',
  'fc00::1',
  'fdff::1',
  'fec0::1',
]
const outside = ['1.1.1.1', '172.15.0.1', '172.32.0.1', '192.169.0.1', '100.128.0.1', '2606:4700::1111', '128.0.0.1']

test('metadata, link-local, multicast and unspecified addresses are refused everywhere, in whatever form', () => {
  for (const policy of [laptop, cluster, strict]) {
    const guard = buildAddressGuard(policy)
    for (const address of neverAllowed) assert.notEqual(guard(address), undefined, address)
  }
})

test('loopback and private addresses are refused where the policy says so, public ones never', () => {
  const guards = [laptop, cluster, strict].map(buildAddressGuard)
  const refused = (address: string) => guards.map(guard => guard(address) !== undefined)
  for (const address of loopback) assert.deepEqual(refused(address), [false, true, true], address)
  for (const address of inside) assert.deepEqual(refused(address), [false, false, true], address)
  for (const address of outside) assert.deepEqual(refused(address), [false, false, false], address)
})

test('a range that is allowed is allowed whatever it is, and nothing beside it', () => {
  const guard = buildAddressGuard({
    ...strict,
    allow: ['10.1.0.0/16', '169.254.169.254', 'fd00:1::/32', '127.0.0.1/32'],
  })
  for (const address of ['10.1.2.3', '169.254.169.254', 'fd00:1::5', '127.0.0.1', '::ffff:10.1.2.3']) {
    assert.equal(guard(address), undefined, address)
  }
  for (const address of ['10.2.0.1', '169.254.169.253', 'fd00:2::5', '127.0.0.2', '::1']) {
    assert.notEqual(guard(address), undefined, address)
  }
})

test('what is no range of addresses is an error that shows it', () => {
  for (const range of ['', 'x', '10.0.0.0/33', '10.0.0/8', '::/129', '10.0.0.0/8/9', '10.0.0.0/-1', '10.0.0.0/']) {
    assert.throws(() => buildAddressGuard({ ...strict, allow: [range] }), RangeError, range)
  }
})

test('an IPv4 address means the same when IPv6 carries it', () => {
  const byte = fc.integer({ min: 0, max: 255 })
  const guard = buildAddressGuard(strict)
  fc.assert(
    fc.property(byte, byte, byte, byte, (a, b, c, d) => {
      const plain = `${a}.${b}.${c}.${d}`
      const hex = (high: number, low: number) => (high * 256 + low).toString(16)
      const carried = [`::ffff:${plain}`, `64:ff9b::${plain}`, `2002:${hex(a, b)}:${hex(c, d)}::9`]
      for (const address of carried) {
        assert.ok(isIP(address) === 6)
        assert.equal(guard(address), guard(plain), address)
      }
    }),
  )
})

test('of a name that has several addresses every one must be allowed', () => {
  const guard = buildAddressGuard(laptop)
  const good = { address: '127.0.0.1', family: 4 }
  const bad = { address: '169.254.169.254', family: 4 }
  assert.equal(refusal('x', [good, good], guard), undefined)
  for (const addresses of [
    [good, bad],
    [bad, good],
  ]) {
    assert.match(
      refusal('x', addresses, guard)?.message ?? '',
      /^x is 169\.254\.169\.254, which is refused: .*metadata/,
    )
  }
})

test('odd ways to write an address lead nowhere else', async () => {
  await using peer = await openSubscriber()
  const { port } = new URL(peer.origin)
  await using client = openClient({ guard: buildAddressGuard(cluster) })
  const hosts = [
    '127.0.0.1',
    '0x7f000001',
    '2130706433',
    '127.1',
    '017700000001',
    'localhost',
    'ⓛocalhost',
    '127.0.0.1.',
  ]
  for (const host of [...hosts, '[::ffff:127.0.0.1]', '[::1]', '0', '[::]', '①⑥⑨.254.169.254', '169.254.169.254.']) {
    const result = await client.deliver(requestTo(`http://${host}:${port}/`), stop)
    assert(result.kind === 'unreachable' && result.cause === 'address', `${host} ${JSON.stringify(result)}`)
    assert.match(result.reason, /refused: it is/)
  }
  assert.equal(peer.received.length, 0)
})

test('loopback is reached where the policy allows it, by address and by name', async () => {
  await using peer = await openSubscriber()
  const { port } = new URL(peer.origin)
  await using client = openClient({ guard: buildAddressGuard(laptop) })
  for (const host of ['127.0.0.1', 'localhost', '0x7f000001', '[::ffff:127.0.0.1]']) {
    const result = await client.deliver(requestTo(`http://${host}:${port}/`), stop)
    assert.equal(result.kind, 'delivered', `${host} ${JSON.stringify(result)}`)
  }
})

test('what a name means is looked at with every new connection', async () => {
  await using peer = await openSubscriber((_received, response) => {
    response.writeHead(200, { 'content-length': 0, connection: 'close' }).end()
  })
  const { port } = new URL(peer.origin)
  let rebound = false
  const guard = (address: string) => (rebound ? `${address} is not what it was` : undefined)
  await using client = openClient({ guard })
  const send = () => client.deliver(requestTo(`http://localhost:${port}/`), stop)
  assert.equal((await send()).kind, 'delivered')
  rebound = true
  const result = await send()
  assert(result.kind === 'unreachable' && result.cause === 'address', JSON.stringify(result))
  assert.equal(peer.received.length, 1)
})
