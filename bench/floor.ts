/**
 * The floor that Weir is held against: `node:http` in, 202 at once, `undici.dispatch` out, nothing stored, no filter.
 * The same HTTP options and connections as Weir's. `node bench/floor.ts TARGET_URL…`; prints the port it listens on.
 */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'

const CONNECTIONS = 100
const targets = process.argv.slice(2).map(text => {
  const url = new URL(text)
  return { path: url.pathname, pool: new Pool(url.origin, { connections: CONNECTIONS, pipelining: 1 }) }
})

const ignore = {
  onRequestStart() {},
  onResponseStart() {},
  onResponseData() {},
  onResponseEnd() {},
  onResponseError() {},
}

const server = http.createServer(
  { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 75_000, noDelay: true },
  (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      const body = chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks)
      response.writeHead(202, { 'content-length': 0 })
      response.end()
      const headers: string[] = []
      const raw = request.rawHeaders
      for (let i = 0; i < raw.length; i += 2) {
        const name = raw[i] ?? ''
        if (name.startsWith('ce-') || name === 'content-type') headers.push(name, raw[i + 1] ?? '')
      }
      headers.push('prefer', 'reply', 'kn-namespace', 'default')
      for (const { pool, path } of targets) pool.dispatch({ method: 'POST', path, headers, body }, ignore)
    })
  },
)

server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
