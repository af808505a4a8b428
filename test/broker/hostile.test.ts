import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { Attempt, DeliveryRequest } from '../../broker/attempt.ts'
import { openClient, plainEvent, requestTo } from '../support/deliverer.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { openRunning, routes, trigger } from '../support/running-broker.ts'
import { afterRequest, eventually, openRawPeer, openSubscriber } from '../support/subscriber.ts'

const never = new AbortController().signal
const large = { ...plainEvent, body: Buffer.alloc(8 << 20, 'x') }
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'

type Talk = (socket: Socket) => void

async function attempt(talk: Talk, over: Partial<DeliveryRequest> = {}): Promise<Attempt> {
  await using peer = await openRawPeer(talk)
  await using client = openClient()
  return await client.deliver(requestTo(peer.origin, { timeoutMs: 30_000, ...over }), never)
}

function saying(text: string, then?: 'end' | 'destroy' | 'resetAndDestroy'): Talk {
  return afterRequest(socket => {
    socket.write(text, 'latin1', () => {
      if (then !== undefined) socket[then]()
    })
  })
}

/** What an attempt at each of these comes to: the cause where it is unreachable, the status where there is one. */
const rows: readonly (readonly [what: string, talk: Talk, result: string | number])[] = [
  ['it hangs up at once', socket => void socket.resetAndDestroy(), 'reset'],
  ['it sends its end and nothing else', socket => void socket.end(), 'reset'],
  ['it is reset in the headers', saying('HTTP/1.1 200 OK\r\ncontent-le', 'resetAndDestroy'), 'reset'],
  ['it is reset in the body', saying('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab', 'resetAndDestroy'), 'reset'],
  ['its body is shorter than it said', saying('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab', 'end'), 'reset'],
  ['its body is longer than it said', saying('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabcd'), 200],
  ['its body ends with the connection', saying('HTTP/1.1 200 OK\r\n\r\nok', 'end'), 200],
  ['it speaks HTTP/1.0', saying('HTTP/1.0 200 OK\r\n\r\nok', 'end'), 200],
  ['it has a body where there is none', saying('HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok'), 204],
  ['its chunks end nowhere', saying('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nab', 'end'), 'reset'],
  ['it changes the protocol', saying('HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello'), 'reset'],
  ['it says two lengths', saying('HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd'), 'protocol'],
  ['its length is negative', saying('HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\nabcd'), 'protocol'],
  ['its length is no number', saying(`HTTP/1.1 200 OK\r\ncontent-length: ${'9'.repeat(30)}\r\n\r\nx`), 'protocol'],
  [
    'it says a length and sends chunks',
    saying('HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'),
    'protocol',
  ],
  ['its chunk has no size', saying('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'), 'protocol'],
  [
    'its chunk is larger than numbers are',
    saying(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${'f'.repeat(17)}\r\nx`),
    'protocol',
  ],
  [
    'its trailers do not end',
    saying(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n${'a: b\r\n'.repeat(50_000)}`),
    'protocol',
  ],
  ['a header is large', saying(`HTTP/1.1 200 OK\r\na: ${'b'.repeat(20_000)}\r\n\r\n`), 'protocol'],
  ['headers are many', saying(`HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(20_000)}\r\n`), 'protocol'],
  ['a header holds a zero', saying('HTTP/1.1 200 OK\r\na: b\0c\r\ncontent-length: 0\r\n\r\n'), 'protocol'],
  ['its lines end as on Unix', saying('HTTP/1.1 200 OK\ncontent-length: 0\n\n'), 'protocol'],
  ['it speaks HTTP/2', saying('\0\0\x12\x04\0\0\0\0\0'), 'protocol'],
  ['it speaks garbage', saying('\x80\x81\xff\0'.repeat(100)), 'protocol'],
  ['early hints are many', saying('HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n'.repeat(17)), 'protocol'],
  ['one interim answer is large', saying(`HTTP/1.1 103 X\r\na: ${'b'.repeat(20_000)}\r\n\r\n${OK}`), 'protocol'],
  [
    'a failure is compressed',
    saying('HTTP/1.1 500 X\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b'),
    500,
  ],
  [
    'success is compressed',
    saying('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b'),
    200,
  ],
]

for (const [what, talk, expected] of rows) {
  test(`a subscriber is bad company, ${what}: the attempt is over, and says what it was`, async () => {
    const result = await attempt(talk)
    assert.equal(result.kind === 'unreachable' ? result.cause : 'status' in result && result.status, expected)
    if (result.kind === 'unreachable') assert.match(result.reason, /\w+ \w+/)
  })
}

test('an answer that comes before the event was read counts', async () => {
  const early = 'HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig'
  const talks: readonly (readonly [Talk, number])[] = [
    [socket => void socket.pause().write(early), 413],
    [socket => void socket.once('data', () => socket.end(early)), 413],
    [socket => void socket.on('data', () => {}).once('data', () => socket.write(early)), 413],
    [socket => void socket.pause().write(OK), 200],
  ]
  for (const [talk, status] of talks) {
    const result = await attempt(talk, { event: large })
    assert.equal('status' in result && result.status, status, JSON.stringify(result))
  }
})

test('what follows an event that was not read to its end is whole', async () => {
  const lengths: number[] = []
  await using peer = await openSubscriber((received, response) => {
    lengths.push(received.body.byteLength)
    response.writeHead(200, { 'content-length': 0 }).end()
  })
  let early = 0
  await using impatient = await openRawPeer(socket => {
    socket.once('data', () => {
      early++
      socket.end('HTTP/1.1 413 X\r\ncontent-length: 0\r\n\r\n')
    })
  })
  await using client = openClient()
  for (let i = 1; i <= 5; i++) {
    const cut = await client.deliver(requestTo(impatient.origin, { event: large }), never)
    assert.equal(cut.kind === 'answered' && cut.status, 413, JSON.stringify(cut))
    assert.equal(early, i)
    assert.equal((await client.deliver(requestTo(peer.origin, { event: large }), never)).kind, 'delivered')
  }
  assert.deepEqual(lengths, new Array(5).fill(large.body.byteLength))
})

test('what a subscriber sends beyond its answer answers no other event', async () => {
  let requests = 0
  await using peer = await openRawPeer(
    afterRequest(socket => {
      requests++
      socket.write(requests === 1 ? `${OK}${OK}${OK}` : 'HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n')
    }),
  )
  await using client = openClient()
  assert.equal((await client.deliver(requestTo(peer.origin), never)).kind, 'delivered')
  const results = await Promise.all([1, 2, 3].map(() => client.deliver(requestTo(peer.origin), never)))
  for (const result of results) assert.equal(result.kind === 'answered' && result.status, 500)
  assert.equal(requests, 4)
})

test('a connection that was closed while it rested costs no attempt', async () => {
  for (const how of ['end', 'destroy', 'resetAndDestroy'] as const) {
    const sockets: Socket[] = []
    await using peer = await openRawPeer(socket => {
      sockets.push(socket)
      afterRequest(one => void one.write(OK))(socket)
    })
    await using client = openClient()
    for (let i = 0; i < 5; i++) {
      assert.equal((await client.deliver(requestTo(peer.origin), never)).kind, 'delivered', `${how} ${i}`)
      const closed = sockets.map(
        socket => new Promise(resolve => (socket.closed ? resolve(0) : socket.once('close', resolve))),
      )
      for (const socket of sockets) socket[how]()
      await Promise.all(closed)
      // The news is in the kernel; one look at it by the event loop is all it takes.
      await settle()
    }
  }
})

test('a connection that dies when it is used again may have brought the event: that is an attempt, and not repeated', async () => {
  const seen = new Map<Socket, number>()
  await using peer = await openRawPeer(socket => {
    afterRequest(one => {
      const count = (seen.get(one) ?? 0) + 1
      seen.set(one, count)
      if (count === 1) one.write(OK)
      else one.resetAndDestroy()
    })(socket)
  })
  await using client = openClient()
  const kinds: string[] = []
  for (let i = 0; i < 4; i++) kinds.push((await client.deliver(requestTo(peer.origin), never)).kind)
  const requests = [...seen.values()].reduce((sum, count) => sum + count, 0)
  assert.equal(requests, 4)
  assert.ok(kinds.includes('unreachable'), `${kinds}`)
})

test('a subscriber that closes after each answer gets each event once', async () => {
  await using peer = await openSubscriber((_received, response) => {
    response.writeHead(200, { connection: 'close', 'content-length': 0 }).end()
  })
  await using client = openClient()
  const results = await Promise.all(Array.from({ length: 50 }, () => client.deliver(requestTo(peer.origin), never)))
  for (const result of results) assert.equal(result.kind, 'delivered', JSON.stringify(result))
  assert.equal(peer.received.length, 50)
})

test('however it drips, a subscriber is cut off at the deadline and not before', async () => {
  const dripping = (start: string, drop: string): Talk =>
    afterRequest(socket => {
      socket.write(start)
      const timer = setInterval(() => socket.write(drop), 5)
      socket.once('close', () => clearInterval(timer))
    })
  const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'
  const talks: readonly Talk[] = [
    () => {},
    dripping('HTTP/1.1 200 OK\r\nx-name: ', 'v'),
    dripping('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n', 'x'),
    dripping(chunked, '1\r\nx\r\n'),
    dripping(chunked, '1;e=v'),
    dripping('HTTP/1.1 500 X\r\ncontent-length: 100000\r\n\r\n', 'x'),
  ]
  for (const [i, talk] of talks.entries()) {
    const clock = new ManualClock()
    let gone = false
    let there = false
    await using peer = await openRawPeer(socket => {
      socket.once('data', () => {
        there = true
      })
      socket.once('close', () => {
        gone = true
      })
      talk(socket)
    })
    await using client = openClient({ clock })
    const results: Attempt[] = []
    void client.deliver(requestTo(peer.origin, { timeoutMs: 1000 }), never).then(one => results.push(one))
    await eventually(() => there, 'the request arrives')
    await clock.advance(999)
    assert.equal(results.length, 0, `talk ${i}`)
    await clock.advance(1)
    const [result] = results
    assert.ok(result?.kind === 'unreachable' && result.cause === 'timeout' && result.tookMs === 1000, `talk ${i}`)
    await eventually(() => gone, 'the connection ends')
  }
})

test('of an endless body no more is read than is wanted', async () => {
  for (const head of ['HTTP/1.1 200 OK', 'HTTP/1.1 200 OK\r\nce-specversion: 1.0', 'HTTP/1.1 404 Not Found']) {
    let written = 0
    let gone = false
    await using peer = await openRawPeer(
      afterRequest(socket => {
        const pour = () => {
          while (!gone && socket.write(Buffer.alloc(1 << 16, 'x')));
        }
        socket.on('close', () => {
          gone = true
          written = socket.bytesWritten
        })
        socket.on('drain', pour)
        socket.write(`${head}\r\ncontent-length: 9999999999999\r\n\r\n`)
        pour()
      }),
    )
    await using client = openClient()
    const result = await client.deliver(requestTo(peer.origin, { timeoutMs: 60_000 }), never)
    assert.ok(result.kind === 'broken-reply' || result.kind === 'answered', JSON.stringify(result))
    await eventually(() => gone, 'the connection ends')
    // What was wanted, and what the buffers of two sockets hold.
    assert.ok(written < 24 << 20, `${written} bytes`)
  }
})

test('a Trigger among subscribers of every bad kind is served, and memory stays what it was', async () => {
  await using good = await openSubscriber()
  await using silent = await openRawPeer(() => {})
  await using unread = await openRawPeer(socket => void socket.pause())
  await using endless = await openRawPeer(
    afterRequest(socket => {
      const pour = () => {
        while (!socket.destroyed && socket.write(Buffer.alloc(1 << 16, 'x')));
      }
      socket.on('drain', pour)
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9999999999999\r\n\r\n')
      pour()
    }),
  )
  await using garbage = await openRawPeer(saying('\x80\x81\xff\0'))
  await using running = await openRunning({ drainMs: 0 })
  const bad = [silent, unread, endless, garbage].map(({ origin }, i) =>
    trigger(`bad-${i}`, origin, { concurrency: 50 }),
  )
  await running.broker.apply(routes([...bad, trigger('good', good.origin)]))
  const before = process.memoryUsage()
  const body = JSON.stringify('x'.repeat(10_000))
  for (let i = 0; i < 300; i++) assert.equal(await running.post({ body }), 202)
  await good.reached(300)
  const after = process.memoryUsage()
  assert.ok(after.rss - before.rss < 300 << 20, `${(after.rss - before.rss) >> 20} MiB more`)
  assert.deepEqual(running.fatal, [])
})
