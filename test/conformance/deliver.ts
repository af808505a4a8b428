import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Attempt, DeliveryRequest } from '../../broker/attempt.ts'
import { type Client, plainEvent as event, requestTo as request } from '../support/deliverer.ts'
import { afterRequest, answering, eventually, openRawPeer, openSubscriber } from '../support/subscriber.ts'

const never = new AbortController().signal

function raw(text: string) {
  return openRawPeer(afterRequest(socket => void socket.write(text)))
}

/** The promises of one attempt, whatever makes it. `openClient` opens one of its own for every test. */
export function deliverConformance(name: string, openClient: () => Client): void {
  /** One attempt at `url` with a client of its own. */
  async function attempt(url: string, over: Partial<DeliveryRequest> = {}): Promise<Attempt> {
    await using client = openClient()
    return await client.deliver(request(url, over), never)
  }

  suite(name, () => {
    test('a handler says in a header what shall become of the event, and a word that is not known says nothing', async () => {
      for (const word of ['complete', 'defer', 'abandon', 'dead-letter'] as const) {
        await using subscriber = await openSubscriber(answering(500, { 'weir-settle': word, 'retry-after': '7' }))
        const result = await attempt(subscriber.origin)
        assert(result.kind === 'answered')
        assert.deepEqual([result.verdict, result.retryAfterMs], [word, 7000])
      }
      await using subscriber = await openSubscriber(answering(200, { 'weir-settle': 'maybe' }))
      const result = await attempt(subscriber.origin)
      assert(result.kind === 'delivered')
      assert.equal(result.verdict, undefined)
    })

    test('what travels with an event reaches its subscriber', async () => {
      await using subscriber = await openSubscriber()
      await attempt(subscriber.origin, { event: { ...event, passed: { 'x-request-id': 'r1', 'knative-x': 'k' } } })
      const headers = subscriber.received[0]?.headers ?? {}
      assert.deepEqual([headers['x-request-id'], headers['knative-x']], ['r1', 'k'])
    })

    test('a batch is posted as a JSON array of its events', async () => {
      await using subscriber = await openSubscriber()
      await using client = openClient()
      await client.deliver(request(subscriber.origin, { batch: [event, event] }), never)
      const [received] = subscriber.received
      assert.equal(received?.headers['content-type'], 'application/cloudevents-batch+json; charset=utf-8')
      assert.equal(JSON.parse(received?.body.toString() ?? '').length, 2)
    })

    test('an event is posted with its attributes, its bytes and the two headers of Knative', async () => {
      await using peer = await openSubscriber()
      const result = await attempt(`${peer.origin}/path?x=1`)
      assert.equal(result.kind, 'delivered')
      const [got] = peer.received
      assert.equal(got?.path, '/path?x=1')
      assert.equal(got?.body.toString(), 'hello')
      assert.equal(got?.headers['ce-id'], '1')
      assert.equal(got?.headers['content-type'], 'text/plain')
      assert.equal(got?.headers.prefer, 'reply')
      assert.equal(got?.headers['kn-namespace'], 'shop')
    })

    test('a dead-letter sink is not asked for a reply, and what it answers is no reply', async () => {
      const headers = { 'ce-specversion': '1.0', 'ce-id': '2', 'ce-source': '/r', 'ce-type': 'r' }
      await using peer = await openSubscriber(answering(200, headers, 'x'))
      const result = await attempt(peer.origin, { wantsReply: false })
      assert.ok(result.kind === 'delivered' && result.reply === undefined && !result.plainBody)
      assert.equal(peer.received[0]?.headers.prefer, undefined)
    })

    test('an event without a body is posted with a length of zero', async () => {
      await using peer = await openSubscriber()
      await attempt(peer.origin, { event: { ...event, body: Buffer.alloc(0) } })
      assert.equal(peer.received[0]?.headers['content-length'], '0')
    })

    test('any 2xx is a delivery, 202 and 299 too', async () => {
      for (const status of [200, 202, 204, 299]) {
        await using peer = await openSubscriber(answering(status))
        const result = await attempt(peer.origin)
        assert.ok(
          result.kind === 'delivered' && result.status === status && result.reply === undefined && !result.plainBody,
        )
      }
    })

    test('a CloudEvent in any 2xx is the reply, binary or structured', async () => {
      const headers = {
        'ce-specversion': '1.0',
        'ce-id': '2',
        'ce-source': '/r',
        'ce-type': 'r',
        'content-type': 'text/x',
      }
      await using binary = await openSubscriber(answering(202, headers, 'data'))
      const one = await attempt(binary.origin)
      assert.ok(one.kind === 'delivered' && one.reply?.attributes.id === '2')
      assert.equal(Buffer.from(one.reply.body).toString(), 'data')

      const envelope = '{"specversion":"1.0","id":"3","source":"/r","type":"r"}'
      const type = { 'content-type': 'application/CloudEvents+json; charset=utf-8' }
      await using structured = await openSubscriber(answering(200, type, envelope))
      const two = await attempt(structured.origin)
      assert.ok(two.kind === 'delivered' && two.reply?.attributes.id === '3' && two.reply.mode === 'structured')
    })

    test('a 2xx with another body is a delivery with a plain body', async () => {
      await using peer = await openSubscriber(answering(200, {}, 'ok'))
      const result = await attempt(peer.origin)
      assert.ok(result.kind === 'delivered' && result.plainBody && result.reply === undefined)
    })

    test('a 2xx that claims to be a CloudEvent and is broken is a broken reply', async () => {
      const broken: Record<string, string>[] = [
        { 'ce-specversion': '1.0', 'ce-id': '2' },
        { 'ce-specversion': '7.0', 'ce-id': '2', 'ce-source': '/r', 'ce-type': 'r' },
        { 'content-type': 'application/cloudevents+json' },
        { 'content-type': 'application/cloudevents-batch+json' },
        { 'ce-specversion': '1.0', 'ce-id': '2', 'ce-source': '/r', 'ce-type': 'r', 'content-encoding': 'gzip' },
      ]
      for (const headers of broken) {
        await using peer = await openSubscriber(answering(200, headers, 'x'))
        const result = await attempt(peer.origin)
        assert.equal(result.kind, 'broken-reply', JSON.stringify(headers))
      }
      const doubled =
        'HTTP/1.1 200 OK\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-id: 2\r\nce-source: a\r\nce-type: b\r\ncontent-length: 0\r\n\r\n'
      await using peer = await raw(doubled)
      assert.equal((await attempt(peer.origin)).kind, 'broken-reply')
    })

    test('a failure brings its status, the start of its body, and Retry-After', async () => {
      await using peer = await openSubscriber(answering(503, { 'retry-after': '7' }, `${'é'.repeat(1000)}`))
      const result = await attempt(peer.origin)
      assert.ok(result.kind === 'answered')
      assert.equal(result.status, 503)
      assert.equal(result.retryAfterMs, 7000)
      assert.equal(result.excerpt, 'é'.repeat(512))
    })

    test('a redirect is an answer, and is not followed', async () => {
      await using elsewhere = await openSubscriber()
      for (const status of [301, 302, 303, 307, 308]) {
        await using peer = await openSubscriber(answering(status, { location: elsewhere.origin }))
        const result = await attempt(peer.origin)
        assert.ok(result.kind === 'answered' && result.status === status)
      }
      assert.equal(elsewhere.received.length, 0)
    })

    test('what cannot be posted to is unreachable by its address', async () => {
      for (const url of ['bad://uri', 'not a url', '', 'ftp://host/', 'http://', 'mailto:a@b']) {
        const result = await attempt(url)
        assert.ok(result.kind === 'unreachable' && result.cause === 'address', url)
      }
    })

    test('nobody there is refused', async () => {
      await using peer = await openRawPeer(() => {})
      const { origin } = peer
      await peer[Symbol.asyncDispose]()
      const result = await attempt(origin)
      assert.ok(result.kind === 'unreachable' && result.cause === 'refused', JSON.stringify(result))
    })

    test('a name that does not resolve is dns', async () => {
      const result = await attempt('http://no-such-host.invalid/')
      assert.ok(result.kind === 'unreachable' && result.cause === 'dns', JSON.stringify(result))
    })

    test('a connection that ends before, in or after the headers is a reset', async () => {
      const endings = ['', 'HTTP/1.1 200 OK\r\ncontent-le', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345']
      for (const text of endings) {
        for (const how of ['end', 'resetAndDestroy'] as const) {
          await using peer = await openRawPeer(afterRequest(socket => void socket.write(text, () => socket[how]())))
          const result = await attempt(peer.origin)
          assert.ok(result.kind === 'unreachable' && ['reset', 'protocol'].includes(result.cause), `${how} ${text}`)
        }
      }
    })

    test('what is not HTTP is a broken protocol, endless headers too', async () => {
      for (const text of [
        'SSH-2.0-OpenSSH_9.2\r\n',
        'HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n',
        'HTTP/1.1 abc\r\n\r\n',
      ]) {
        await using peer = await raw(text)
        const result = await attempt(peer.origin, { timeoutMs: 500 })
        assert.equal(result.kind, 'unreachable', text)
      }
      await using peer = await openRawPeer(
        afterRequest(socket => void socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)),
      )
      const result = await attempt(peer.origin)
      assert.ok(result.kind === 'unreachable' && result.cause === 'protocol', JSON.stringify(result))
    })

    test('statuses of no class are answers', async () => {
      await using peer = await raw('HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n')
      const result = await attempt(peer.origin)
      assert.ok(result.kind === 'answered' && result.status === 600)
    })

    test('a peer that never answers, never reads, or drips runs into the deadline', async () => {
      const silent = openRawPeer(() => {})
      const unread = openRawPeer(socket => void socket.pause())
      const dripping = openRawPeer(
        afterRequest(socket => {
          socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n')
          const timer = setInterval(() => socket.write('x'), 20)
          socket.on('close', () => clearInterval(timer))
        }),
      )
      for (const opening of [silent, unread, dripping]) {
        await using peer = await opening
        const result = await attempt(peer.origin, { timeoutMs: 150 })
        assert.ok(result.kind === 'unreachable' && result.cause === 'timeout', JSON.stringify(result))
        assert.ok(result.tookMs >= 150 && result.tookMs < 3000)
      }
    })

    test('a flood of interim answers ends the attempt, and one is ignored', async () => {
      await using flood = await openRawPeer(
        afterRequest(socket => {
          const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(10)), 1)
          socket.on('close', () => clearInterval(timer))
        }),
      )
      const result = await attempt(flood.origin)
      assert.ok(result.kind === 'unreachable' && result.cause === 'protocol')
      await using polite = await raw(
        'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
      )
      assert.equal((await attempt(polite.origin)).kind, 'delivered')
    })

    test('an endless body ends the attempt and its connection, whatever the status', async () => {
      for (const [status, kind] of [
        [200, 'broken-reply'],
        [500, 'answered'],
      ] as const) {
        let closed = false
        await using peer = await openRawPeer(
          afterRequest(socket => {
            socket.write(`HTTP/1.1 ${status} X\r\ntransfer-encoding: chunked\r\n\r\n`)
            const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`
            const pour = () => {
              while (!closed && socket.write(chunk));
            }
            socket.on('drain', pour)
            socket.on('close', () => {
              closed = true
            })
            pour()
          }),
        )
        const result = await attempt(peer.origin)
        assert.equal(result.kind, kind)
        await eventually(() => closed, 'the connection ends')
      }
    })

    test('the signal abandons what is open, and what comes after it is not begun', async () => {
      await using peer = await openSubscriber(() => {})
      await using client = openClient()
      const stop = new AbortController()
      const results = [1, 2, 3].map(() => client.deliver(request(peer.origin), stop.signal))
      await peer.reached(3)
      stop.abort()
      for (const result of await Promise.all(results)) assert.equal(result.kind, 'abandoned')
      await eventually(() => peer.open === 0, 'the requests end')
      assert.equal((await client.deliver(request(peer.origin), stop.signal)).kind, 'abandoned')
      assert.equal(peer.received.length, 3)
    })

    test('connections are kept and used again: one, and one more while the first rests', async () => {
      let connections = 0
      await using peer = await openRawPeer(socket => {
        connections++
        afterRequest(one => void one.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'))(socket)
      })
      await using client = openClient()
      for (let i = 0; i < 20; i++) assert.equal((await client.deliver(request(peer.origin), never)).kind, 'delivered')
      assert.ok(connections <= 2, `${connections} connections`)
    })

    test('a subscriber that hangs does not hold up another Trigger at the same address', async () => {
      await using peer = await openSubscriber((received, response) => {
        if (received.path === '/fast') response.end()
      })
      await using client = openClient()
      const stop = new AbortController()
      const hanging = Array.from({ length: 100 }, () => client.deliver(request(`${peer.origin}/slow`), stop.signal))
      await peer.reached(100)
      const result = await client.deliver(request(`${peer.origin}/fast`), never)
      assert.equal(result.kind, 'delivered')
      stop.abort()
      await Promise.all(hanging)
    })
  })
}
