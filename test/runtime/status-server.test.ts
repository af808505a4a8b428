import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Send } from '../../runtime/event-stream.ts'
import { silentLog } from '../../runtime/log.ts'
import { openMetrics } from '../../runtime/metrics.ts'
import { openStatusServer, refused, type StatusServerParts } from '../../runtime/status-server.ts'
import { ManualClock } from '../support/manual-clock.ts'

interface Got {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

function ask(url: string, headers: Record<string, string> = {}, method = 'GET', path?: string): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers, method, agent: false, ...(path === undefined ? {} : { path }) }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', part => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    asked.on('error', reject).end()
  })
}

async function open(t: TestContext, parts: Partial<StatusServerParts> = {}, assetsDir?: string) {
  const clock = new ManualClock()
  const server = await openStatusServer(
    { host: '127.0.0.1', port: 0, assetsDir },
    { clock, log: silentLog, metrics: openMetrics(), checks: () => [], documents: {}, streams: {}, ...parts },
  )
  t.after(() => server[Symbol.asyncDispose]())
  return { server, clock, origin: server.origin }
}

test('readiness names what is not ready, and liveness does not care', async t => {
  let ok = true
  const checks = () => [
    { name: 'store', ok: true, detail: '' },
    { name: 'sources', ok, detail: 'queue js-queue-items does not exist' },
  ]
  const { origin } = await open(t, { checks })
  assert.equal((await ask(`${origin}/readyz`)).text, 'ok\n')
  assert.equal((await ask(`${origin}/readyz?verbose`)).text, '[+]store ok\n[+]sources ok\nreadyz check passed\n')
  ok = false
  const not = await ask(`${origin}/readyz`)
  assert.equal(not.status, 503)
  assert.equal(not.text, '[+]store ok\n[-]sources queue js-queue-items does not exist\nreadyz check failed\n')
  for (const path of ['/healthz', '/livez']) assert.equal((await ask(origin + path)).status, 200)
})

test('metrics are in the text format with its content type', async t => {
  const metrics = openMetrics()
  metrics.add({ name: 'weir_x_total', help: 'X.', type: 'counter', read: () => [{ labels: { a: 'b"' }, value: 2 }] })
  const { origin } = await open(t, { metrics })
  const got = await ask(`${origin}/metrics`)
  assert.equal(got.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  assert.equal(got.text, '# HELP weir_x_total X.\n# TYPE weir_x_total counter\nweir_x_total{a="b\\""} 2\n')
})

test('a document gets the first value of each parameter, and may refuse', async t => {
  const { origin } = await open(t, {
    documents: {
      '/api/v1/echo': query => ({ kind: 'json', value: { ...query } }),
      '/api/v1/no': () => refused(400, 'bad-limit', 'limit must be a number'),
    },
  })
  assert.deepEqual(JSON.parse((await ask(`${origin}/api/v1/echo?a=1&a=2&__proto__=x`)).text).a, '1')
  const no = await ask(`${origin}/api/v1/no`)
  assert.equal(no.headers['content-type'], 'application/problem+json')
  assert.deepEqual(JSON.parse(no.text), {
    type: 'about:blank',
    title: 'Bad Request',
    status: 400,
    code: 'bad-limit',
    detail: 'limit must be a number',
  })
})

test('every other path, method and error is a problem document, and never a stack', async t => {
  const { origin } = await open(t, {
    documents: {
      '/api/v1/broken': () => {
        throw new Error('secret detail')
      },
    },
  })
  const cases: [string, string, number, string][] = [
    ['GET', '/api/v1/nothing', 404, 'not-found'],
    ['POST', '/metrics', 405, 'method-not-allowed'],
    ['DELETE', '/', 405, 'method-not-allowed'],
    ['GET', '/%ff', 400, 'bad-request'],
    ['GET', '/api/v1/broken', 500, 'internal'],
  ]
  for (const [method, path, status, code] of cases) {
    const got = await ask(origin, {}, method, path)
    assert.equal(got.status, status, `${method} ${path}: ${got.text}`)
    assert.equal(JSON.parse(got.text).code, code)
    assert.doesNotMatch(got.text, /secret|\.ts/)
  }
})

test('a page is served from its folder and from nowhere else, under a strict policy', async t => {
  const root = mkdtempSync(join(tmpdir(), 'weir-assets-'))
  t.after(() => rmSync(root, { recursive: true }))
  const { origin } = await open(t, {}, root)
  assert.equal(JSON.parse((await ask(origin)).text).code, 'page-not-built')
  writeFileSync(join(root, 'index.html'), '<p>hi')
  writeFileSync(join(root, '.secret.html'), 'no')
  writeFileSync(join(root, 'notes.txt'), 'no')
  const page = await ask(origin)
  assert.equal(page.text, '<p>hi')
  assert.match(
    String(page.headers['content-security-policy']),
    /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'/,
  )
  assert.equal(page.headers['x-content-type-options'], 'nosniff')
  for (const path of [
    '/../package.json',
    '/..%2fpackage.json',
    '/%2e%2e%2fpackage.json',
    '/.secret.html',
    '/notes.txt',
  ])
    assert.equal((await ask(origin, {}, 'GET', path)).status, 404, path)
})

test('a loopback server answers neither a foreign name (DNS rebinding) nor a foreign page', async t => {
  const { origin } = await open(t, { documents: { '/api/v1/x': () => ({ kind: 'json', value: 1 }) } })
  const status = async (headers: Record<string, string>) => (await ask(`${origin}/api/v1/x`, headers)).status
  for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:80', 'a b'])
    assert.ok([400, 421].includes(await status({ host })), host)
  for (const host of ['localhost:9080', '127.0.0.1', '[::1]:1']) assert.equal(await status({ host }), 200, host)
  assert.equal(await status({ origin: 'http://evil.example' }), 403)
  assert.equal(await status({ origin: 'null' }), 403)
  assert.equal(await status({ origin: 'http://localhost:3000' }), 200)
})

test('a stream sends what it is given, keeps itself alive, and stops its feed when the reader goes', async t => {
  const stopped = Promise.withResolvers<void>()
  const started = Promise.withResolvers<Send>()
  const stream = (send: Send) => {
    started.resolve(send)
    send('state', { text: 'two\nlines' })
    return () => stopped.resolve()
  }
  const { origin, clock } = await open(t, { streams: { '/api/v1/stream': stream } })
  const reader = new AbortController()
  const response = await fetch(`${origin}/api/v1/stream`, { signal: reader.signal })
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const chunks = response.body?.pipeThrough(new TextDecoderStream()).getReader() ?? assert.fail()
  let text = ''
  const until = async (end: string) => {
    while (!text.endsWith(end)) text += (await chunks.read()).value ?? assert.fail('the stream ended')
  }
  await until('event: state\ndata: {"text":"two\\nlines"}\n\n')
  const send = await started.promise
  send('events', [1])
  await until('event: events\ndata: [1]\n\n')
  await clock.advance(15_000)
  await until(': still here\n\n')
  reader.abort()
  await stopped.promise
})

test('closing ends open streams, and the number of readers has a limit', async t => {
  const { server, origin } = await open(t, { streams: { '/api/v1/stream': () => () => {} } })
  const readers = await Promise.all(Array.from({ length: 64 }, () => fetch(`${origin}/api/v1/stream`)))
  const refusedOne = await ask(`${origin}/api/v1/stream`)
  assert.equal(refusedOne.status, 503)
  assert.equal(JSON.parse(refusedOne.text).code, 'too-many-streams')
  await server[Symbol.asyncDispose]()
  for (const reader of readers) assert.equal(await reader.text(), 'retry: 1000\n\n')
})
