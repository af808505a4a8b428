import assert from 'node:assert/strict'
import { type IncomingHttpHeaders, request } from 'node:http'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Door, type DoorRequest, openDoor } from '../../runtime/door.ts'
import { silentLog } from '../../runtime/log.ts'
import { ManualClock } from '../support/manual-clock.ts'

interface Got {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

interface Asked {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array
}

function ask(url: string, { method = 'POST', headers = {}, body }: Asked = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers, method, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', part => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    asked.on('error', reject).end(body)
  })
}

async function open(t: TestContext, bodyMaxBytes = 1 << 20): Promise<{ door: Door; clock: ManualClock }> {
  const clock = new ManualClock()
  const door = await openDoor({ host: '127.0.0.1', port: 0, bodyMaxBytes, clock, log: silentLog })
  t.after(() => door[Symbol.asyncDispose]())
  return { door, clock }
}

test('a handler gets the request as it came and its answer is sent as it is', async t => {
  const { door } = await open(t)
  const seen: DoorRequest[] = []
  door.serve('/webhooks/shop/orders', async asked => {
    seen.push(asked)
    return { status: 202, headers: { 'x-one': '1' }, body: 'thanks' }
  })
  const body = Uint8Array.of(0, 1, 255, 123)
  const headers = { 'X-Some': 'Thing', 'content-type': 'application/json' }
  const got = await ask(`${door.origin}/webhooks/shop/orders?a=b%20c`, { headers, body })
  assert.deepEqual([got.status, got.headers['x-one'], got.text], [202, '1', 'thanks'])
  const [asked] = seen
  assert.deepEqual([asked?.method, asked?.path, asked?.query], ['POST', '/webhooks/shop/orders', 'a=b%20c'])
  assert.deepEqual(new Uint8Array(asked?.body ?? []), body)
  assert.equal(asked?.rawHeaders[(asked.rawHeaders.indexOf('X-Some') ?? 0) + 1], 'Thing')
})

test('bodies of any type, of none and of no JSON reach the handler', async t => {
  const { door } = await open(t)
  door.serve('/x', async ({ method, body }) => ({ status: 200, body: `${method} ${Buffer.from(body)}` }))
  assert.equal((await ask(`${door.origin}/x`, { body: 'plain' })).text, 'POST plain')
  const json = { 'content-type': 'application/json' }
  assert.equal((await ask(`${door.origin}/x`, { headers: json, body: '{no json' })).text, 'POST {no json')
  assert.equal((await ask(`${door.origin}/x`, { headers: { 'content-type': 'x/y' }, body: 'z' })).text, 'POST z')
  assert.equal((await ask(`${door.origin}/x`, { headers: json })).text, 'POST ')
  assert.equal((await ask(`${door.origin}/x`, { method: 'OPTIONS' })).text, 'OPTIONS ')
  assert.equal((await ask(`${door.origin}/x/`, { method: 'GET' })).text, 'GET ')
})

test('a path that nobody serves is 404 as a problem, and so is one that was taken away', async t => {
  const { door, clock } = await open(t)
  const there = door.serve('/x', async () => ({ status: 204 }))
  assert.equal((await ask(`${door.origin}/x`)).status, 204)
  there[Symbol.dispose]()
  await clock.advance(2_000)
  for (const path of ['/x', '/', '/x/y', '/__proto__']) {
    const got = await ask(door.origin + path)
    assert.deepEqual([got.status, got.headers['content-type']], [404, 'application/problem+json'])
    assert.equal(JSON.parse(got.text).code, 'not-found')
  }
})

test('the newest handler of a path answers, and taking it away brings back the one before', async t => {
  const { door } = await open(t)
  door.serve('/x', async () => ({ status: 201 }))
  const second = door.serve('/x', async () => ({ status: 202 }))
  assert.equal((await ask(`${door.origin}/x`)).status, 202)
  second[Symbol.dispose]()
  second[Symbol.dispose]()
  assert.equal((await ask(`${door.origin}/x`)).status, 201)
})

test('a path that was just taken away may come back, and is 503 for a moment', async t => {
  const { door, clock } = await open(t)
  door.serve('/x', async () => ({ status: 201 }))[Symbol.dispose]()
  await clock.advance(1_999)
  const got = await ask(`${door.origin}/x/`)
  assert.deepEqual([got.status, got.headers['retry-after']], [503, '1'])
  door.serve('/x', async () => ({ status: 202 }))
  assert.equal((await ask(`${door.origin}/x`)).status, 202)
})

test('more requests than are allowed at once are 503, and so are bodies that are too much together', async t => {
  const { door } = await open(t, 64 << 20)
  const go = Promise.withResolvers<void>()
  let here = 0
  door.serve('/x', async () => {
    here++
    await go.promise
    return { status: 200 }
  })
  const large = Array.from({ length: 2 }, () => ask(`${door.origin}/x`, { body: Buffer.alloc(60 << 20) }))
  await eventually(() => here === 2)
  const tooMuch = await ask(`${door.origin}/x`, { body: Buffer.alloc(20 << 20) })
  assert.deepEqual([tooMuch.status, tooMuch.headers['retry-after']], [503, '1'])
  assert.equal(here, 2)
  const small = Array.from({ length: 510 }, () => ask(`${door.origin}/x`))
  await eventually(() => here === 512)
  assert.equal((await ask(`${door.origin}/x`)).status, 503)
  go.resolve()
  for (const got of await Promise.all([...large, ...small])) assert.equal(got.status, 200)
  assert.equal((await ask(`${door.origin}/x`, { body: Buffer.alloc(60 << 20) })).status, 200)
})

async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(resolve => setTimeout(resolve, 5))
}

test('a body that is too large is 413, with and without Content-Length, and the next request is served', async t => {
  const { door } = await open(t, 10)
  let handled = 0
  door.serve('/x', async ({ body }) => {
    handled++
    return { status: 200, body: `${body.byteLength}` }
  })
  const chunked = { 'transfer-encoding': 'chunked' }
  for (const headers of [{}, chunked] as Record<string, string>[]) {
    const got = await ask(`${door.origin}/x`, { headers, body: 'x'.repeat(11) })
    assert.deepEqual([got.status, JSON.parse(got.text).code], [413, 'too-large'])
    assert.equal((await ask(`${door.origin}/x`, { headers, body: 'x'.repeat(10) })).text, '10')
  }
  assert.equal(handled, 2, 'nothing is done with the rest of what was refused')
})

test('a handler that fails, or answers nonsense, is a 500 that tells nothing', async t => {
  const { door } = await open(t)
  door.serve('/throws', async () => {
    throw new Error('secret words')
  })
  door.serve('/header', async () => ({ status: 200, headers: { 'x-bad': 'a\nb' } }))
  for (const path of ['/throws', '/header']) {
    const got = await ask(door.origin + path)
    assert.deepEqual([got.status, got.text.includes('secret')], [500, false], path)
  }
})

test('what is not HTTP, or has escapes that name nothing, costs the door nothing', async t => {
  const { door } = await open(t)
  door.serve('/x', async () => ({ status: 200 }))
  const { port } = new URL(door.origin)
  for (const text of ['\0\0\0\r\n\r\n', 'POST /%ff%zz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n']) {
    const answer = await new Promise<string>(resolve => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.end(text))
      let all = ''
      socket.on('data', part => {
        all += part
      })
      socket.on('close', () => resolve(all))
    })
    assert.match(answer, /^HTTP\/1\.1 40[04] /)
  }
  assert.equal((await ask(`${door.origin}/x`)).status, 200)
})

test('a page of another site cannot send; one of this machine and whoever is no page can', async t => {
  const { door } = await open(t)
  door.serve('/x', async () => ({ status: 200 }))
  assert.equal((await ask(`${door.origin}/x`, { headers: { origin: 'https://evil.example' } })).status, 403)
  assert.equal((await ask(`${door.origin}/x`, { headers: { origin: 'null' } })).status, 403)
  assert.equal((await ask(`${door.origin}/x`, { headers: { origin: 'http://localhost:3000' } })).status, 200)
  assert.equal((await ask(`${door.origin}/x`, { headers: { host: 'tunnel.example' } })).status, 200)
})

test('a sender that goes in the middle of a body leaves nothing behind', async t => {
  const { door } = await open(t)
  const bodies: number[] = []
  door.serve('/x', async ({ body }) => {
    bodies.push(body.byteLength)
    return { status: 200 }
  })
  for (const head of ['content-length: 10\r\n\r\nhalf', 'transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n']) {
    const socket = connect(Number(new URL(door.origin).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`POST /x HTTP/1.1\r\nhost: a\r\n${head}`)
    await new Promise(resolve => setTimeout(resolve, 50))
    socket.resetAndDestroy()
  }
  assert.equal((await ask(`${door.origin}/x`, { body: 'whole' })).status, 200)
  assert.deepEqual(bodies, [5])
})

test('the signal aborts when the sender goes away', async t => {
  const { door } = await open(t)
  const gone = Promise.withResolvers<unknown>()
  const here = Promise.withResolvers<void>()
  door.serve('/x', async ({ signal }) => {
    signal.addEventListener('abort', () => gone.resolve(signal.reason))
    here.resolve()
    await gone.promise
    return { status: 200 }
  })
  const asked = request(`${door.origin}/x`, { method: 'POST', agent: false })
  asked.on('error', () => {}).end('x')
  await here.promise
  asked.destroy()
  assert.match(String(await gone.promise), /gone/)
})

test('a closing door waits for the answers under way, and aborts them when its patience is over', async t => {
  const { door, clock } = await open(t)
  const aborted = Promise.withResolvers<void>()
  const here = Promise.withResolvers<void>()
  door.serve('/x', async ({ signal }) => {
    here.resolve()
    await new Promise(resolve => signal.addEventListener('abort', resolve))
    aborted.resolve()
    return { status: 503 }
  })
  const got = ask(`${door.origin}/x`)
  await here.promise
  const closed = door[Symbol.asyncDispose]()
  clock.advance(5_000)
  await aborted.promise
  assert.equal((await got).status, 503)
  await closed
  await door[Symbol.asyncDispose]()
  await assert.rejects(ask(`${door.origin}/x`))
})
