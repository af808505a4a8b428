import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { curlLine } from '../../console/teach.ts'

test('the curl line, pasted into a shell, sends one whole event', async t => {
  const requests: { url: string; headers: IncomingHttpHeaders; body: string }[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    requests.push({ url: request.url ?? '', headers: request.headers, body })
    response.writeHead(202).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/shop/events`

  const shell = spawn('sh', ['-c', curlLine(url)], { stdio: ['ignore', 'pipe', 'ignore'] })
  const [code] = await once(shell, 'exit')
  if (code === 127) return t.skip('there is no curl here')
  assert.equal(code, 0)
  const [request] = requests
  assert.equal(requests.length, 1)
  assert.equal(request?.url, '/shop/events')
  assert.equal(request?.headers['ce-specversion'], '1.0')
  assert.equal(request?.headers['ce-id'], '1')
  assert.equal(request?.headers['ce-type'], 'hello')
  assert.equal(request?.headers['ce-source'], '/me')
  assert.deepEqual(JSON.parse(request?.body ?? ''), { text: 'hello' })
})

test('an address cannot leave its quotes', async () => {
  const line = curlLine("http://x/'; echo stolen; '")
  const shell = spawn('sh', ['-c', line.replace(/^curl -i/, "printf '%s\\n'")], { stdio: ['ignore', 'pipe', 'ignore'] })
  let out = ''
  for await (const chunk of shell.stdout) out += chunk
  assert.equal(out.split('\n')[0], "http://x/'; echo stolen; '")
})
