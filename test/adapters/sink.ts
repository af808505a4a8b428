import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { readBatch } from '../../event/batch.ts'
import { contentModeOf } from '../../event/media-type.ts'

/** What a sink saw of one request. */
export interface Seen {
  readonly id: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Answers one request, now or later. */
export type Answer = (response: ServerResponse, seen: Seen, attempt: number) => void

/** A real HTTP server that events are sent to. */
export interface Sink extends AsyncDisposable {
  readonly url: string
  /** Every request that came, in order. */
  readonly seen: Seen[]
  /** How often each event was answered with 2xx, by id. */
  readonly stored: Map<string, number>
  /** The connections that were opened. */
  readonly connections: () => number
  answer: Answer
  /** Resolves when `condition` holds; it is looked at after every answer. */
  until(condition: () => boolean): Promise<void>
}

export const accept: Answer = response => response.writeHead(202).end()

export function status(code: number, headers: Record<string, string> = {}, body = ''): Answer {
  return response => response.writeHead(code, headers).end(body)
}

export async function openSink(answer: Answer = accept): Promise<Sink> {
  const attempts = new Map<string, number>()
  const waiting = new Set<() => void>()
  let connections = 0
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('error', () => {})
    request.on('end', () => {
      const id = String(request.headers['ce-id'] ?? structuredId(Buffer.concat(pieces)))
      const seen = { id, headers: request.headers, body: Buffer.concat(pieces) }
      sink.seen.push(seen)
      attempts.set(id, (attempts.get(id) ?? 0) + 1)
      response.on('finish', () => {
        if (response.statusCode < 300) sink.stored.set(id, (sink.stored.get(id) ?? 0) + 1)
      })
      response.on('close', () => {
        for (const look of waiting) look()
      })
      sink.answer(response, seen, attempts.get(id) ?? 0)
      for (const look of waiting) look()
    })
  })
  server.on('connection', () => connections++)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const sink: Sink = {
    url: `http://127.0.0.1:${address.port}/default/default`,
    seen: [],
    stored: new Map(),
    connections: () => connections,
    answer,
    until: condition =>
      new Promise<void>(resolve => {
        const look = () => {
          if (!condition()) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return sink
}

/** The ids of the events in a request, one or many. */
export function idsIn({ id, headers, body }: Seen): string[] {
  const mode = contentModeOf(headers['content-type'] ?? '')
  if (mode !== 'batch' && mode !== 'frames') return [id]
  const read = readBatch(body, mode === 'frames' ? 'frames' : 'json')
  assert.ok(read.kind === 'events')
  return read.events.map(event => event.attributes.id ?? '')
}

function structuredId(body: Buffer): string {
  try {
    return String(JSON.parse(body.toString()).id)
  } catch {
    return ''
  }
}
