import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { Pool } from 'undici'
import type { CloudEvent } from '../../event/event.ts'
import { type HttpRead, readHttpEvent, writeHttpEvent } from '../../event/http.ts'
import { binaryEvents, encoded, jsonEnvelopes } from '../support/arbitraries.ts'

/** A server that reads each request as a CloudEvent and sends it back as it read it. */
async function openEcho() {
  const reads: HttpRead[] = []
  const server = http.createServer({ maxHeaderSize: 1 << 20 }, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      const read = readHttpEvent(request.rawHeaders, Buffer.concat(chunks))
      reads.push(read)
      const echo = read.kind === 'event' ? writeHttpEvent(read.event, undefined) : { headers: [], body: undefined }
      response.writeHead(read.kind === 'event' ? 200 : 400, echo.headers).end(echo.body)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    reads,
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

function exchange(pool: Pool, event: CloudEvent): Promise<HttpRead> {
  const { headers, body } = writeHttpEvent(event, undefined)
  return new Promise((resolve, reject) => {
    let raw: string[] = []
    const chunks: Buffer[] = []
    pool.dispatch(
      { method: 'POST', path: '/', headers, body },
      {
        onRequestStart() {},
        onResponseStart(controller) {
          raw = (controller.rawHeaders as Buffer[]).map(bytes => bytes.toString('latin1'))
        },
        onResponseData: (_, chunk) => void chunks.push(chunk),
        onResponseEnd: () => resolve(readHttpEvent(raw, Buffer.concat(chunks))),
        onResponseError: (_, error) => reject(error),
      },
    )
  })
}

test('an event survives a request and a reply of real HTTP, bit for bit', async () => {
  await using echo = await openEcho()
  const pool = new Pool(`http://127.0.0.1:${echo.port}`, { connections: 4, maxHeaderSize: 1 << 20 })
  const check = async (event: CloudEvent) => {
    const reply = await exchange(pool, event)
    assert(reply.kind === 'event', JSON.stringify(reply))
    assert.deepEqual({ ...reply.event, body: '' }, { ...event, body: '' })
    assert.ok(Buffer.from(reply.event.body).equals(event.body))
  }
  try {
    await fc.assert(fc.asyncProperty(binaryEvents, check), { numRuns: 200 })
    const structured = jsonEnvelopes.map(({ text }) => {
      const read = readHttpEvent(['content-type', 'application/cloudevents+json'], encoded(text))
      assert(read.kind === 'event')
      return read.event
    })
    await fc.assert(fc.asyncProperty(structured, check), { numRuns: 200 })
  } finally {
    await pool.close()
  }
})

test('raw UTF-8 and repeated headers from a careless sender are read from the bytes', async () => {
  await using echo = await openEcho()
  const post = async (headers: string) => {
    const socket = net.connect(echo.port, '127.0.0.1')
    const head = `POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n`
    socket.end(`${head}${headers}\r\n`)
    socket.resume()
    await once(socket, 'close')
    return echo.reads.at(-1)
  }
  const raw = await post('ce-subject:   Grüße 😀 %E2%82%AC  \r\nce-empty:\r\n')
  assert(raw?.kind === 'event')
  assert.equal(raw.event.attributes.subject, 'Grüße 😀 €')
  assert.equal(raw.event.attributes.empty, '')
  const twice = await post('ce-type: other\r\n')
  assert(twice?.kind === 'invalid' && twice.code === 'duplicate-header')
})
