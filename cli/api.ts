import type { IncomingHttpHeaders } from 'node:http'
import { Agent, type Dispatcher, request } from 'undici'
import { Failure } from './failure.ts'
import { plain } from './style.ts'

/** A server that says nothing for this long hangs. */
const PATIENCE_MS = 10_000
/** The stream of a living Weir says something every 15 s, if only that it is there. */
const STREAM_PATIENCE_MS = 60_000
const LARGEST_ANSWER = 64 << 20
/** One server-sent event. */
const LARGEST_MESSAGE = 64 << 20

export interface ServerMessage {
  readonly event: string
  readonly data: unknown
}

/** What `/api/v1/…` of a console answers. @throws {Failure} when nothing answers there, or something that is not Weir. */
export async function getList<Row>(origin: string, path: string, signal: AbortSignal): Promise<readonly Row[]> {
  const url = `${origin}/api/v1/${path}`
  const { statusCode, headers, body } = await ask(origin, url, signal, PATIENCE_MS)
  const text = await bodyText(body)
  const read = statusCode === 200 ? json(text) : undefined
  // The shape is promised by contract/api.ts; that it is a list of objects tells Weir from other servers.
  if (Array.isArray(read) && read.every(row => typeof row === 'object' && row !== null)) return read as Row[]
  throw notWeir(url, statusCode, headers, text)
}

/** One document of the API. @throws {Failure} in the server's words where it refuses. */
export async function getOne<Shape>(origin: string, path: string, signal?: AbortSignal): Promise<Shape> {
  return await one<Shape>(origin, path, { method: 'GET' }, signal)
}

/** Does something through the API. @throws {Failure} in the server's words where it refuses. */
export async function postOne<Shape>(origin: string, path: string, body: object, signal?: AbortSignal): Promise<Shape> {
  const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } as const
  return await one<Shape>(origin, path, json, signal)
}

/** The lines of a long answer, as they come. @throws {Failure} */
export async function* getLines(origin: string, path: string, signal?: AbortSignal): AsyncGenerator<string> {
  const url = `${origin}/api/v1/${path}`
  const answer = await ask(origin, url, signal ?? NEVER, PATIENCE_MS)
  if (answer.statusCode !== 200) throw refusal(url, answer.statusCode, answer.headers, await bodyText(answer.body))
  answer.body.setEncoding('utf8')
  let rest = ''
  for await (const chunk of answer.body) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') throw new Failure('failed', 'the answer stopped in the middle of a line')
}

const NEVER = new AbortController().signal

async function one<Shape>(
  origin: string,
  path: string,
  options: { readonly method: 'GET' | 'POST'; readonly headers?: Record<string, string>; readonly body?: string },
  signal = NEVER,
): Promise<Shape> {
  const url = `${origin}/api/v1/${path}`
  const { statusCode, headers, body } = await ask(origin, url, signal, PATIENCE_MS, options)
  const text = await bodyText(body)
  const read = statusCode === 200 ? json(text) : undefined
  // The shape is promised by contract/api.ts.
  if (typeof read === 'object' && read !== null) return read as Shape
  throw refusal(url, statusCode, headers, text)
}

/** A refusal in the words of the API, or something that is not Weir. */
function refusal(url: string, status: number, headers: IncomingHttpHeaders, text: string): Failure {
  const isProblem = String(headers['content-type']).startsWith('application/problem+json')
  const reason = reasonOf(text)
  return isProblem && reason !== '' ? new Failure('failed', reason) : notWeir(url, status, headers, text)
}

/** Follows `/api/v1/stream` until it ends. @throws {Failure} when it cannot be opened, and plain errors when it breaks. */
export async function* openStream(origin: string, signal: AbortSignal): AsyncGenerator<ServerMessage> {
  const url = `${origin}/api/v1/stream`
  const { statusCode, headers, body } = await ask(origin, url, signal, STREAM_PATIENCE_MS)
  if (statusCode !== 200 || !String(headers['content-type']).startsWith('text/event-stream'))
    throw notWeir(url, statusCode, headers, await bodyText(body))
  body.setEncoding('utf8')
  yield* messages(body)
}

/** Server-sent events out of chunks of text (HTML standard §9.2.6). Data that is not JSON is skipped. */
export async function* messages(chunks: AsyncIterable<string>): AsyncGenerator<ServerMessage> {
  let rest = ''
  let event = 'message'
  let data: string[] = []
  for await (const chunk of chunks) {
    rest += chunk
    if (rest.length > LARGEST_MESSAGE) throw new Error('the stream sent a line that is too long')
    const lines = rest.split(/\r\n|\n|\r/)
    // The last piece is not a whole line yet; a CR at its end may have its LF in the next chunk.
    rest = rest.endsWith('\r') ? `${lines.at(-2) ?? ''}\r` : (lines.at(-1) ?? '')
    for (const line of lines.slice(0, rest.endsWith('\r') ? -2 : -1)) {
      if (line === '') {
        const value = data.length > 0 ? json(data.join('\n')) : undefined
        if (value !== undefined) yield { event, data: value }
        event = 'message'
        data = []
      } else if (line.startsWith('event:')) event = line.slice(6).trimStart()
      else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''))
    }
  }
}

export interface Posted {
  readonly status: number
  /** Seconds that the server asked to wait. */
  readonly retryAfter: number | undefined
  /** Why not, in the server's words. */
  readonly reason: string
}

/** Connections for many posts. */
export function openPoster(connections: number) {
  const agent = new Agent({ connections, pipelining: 1, connectTimeout: PATIENCE_MS })
  return {
    /** @throws {Failure} when nothing answers. */
    async post(url: string, headers: string[], body: Uint8Array, signal: AbortSignal): Promise<Posted> {
      try {
        const answer = await request(url, {
          method: 'POST',
          headers,
          body,
          signal,
          dispatcher: agent,
          headersTimeout: 30_000,
          bodyTimeout: PATIENCE_MS,
        })
        const text = await bodyText(answer.body)
        const wait = Number(answer.headers['retry-after'])
        return {
          status: answer.statusCode,
          retryAfter: Number.isFinite(wait) && wait >= 0 ? wait : undefined,
          reason: reasonOf(text),
        }
      } catch (error) {
        throw unreachable(new URL(url).origin, error, signal)
      }
    },
    [Symbol.asyncDispose]: () => agent.close(),
  }
}

async function ask(
  origin: string,
  url: string,
  signal: AbortSignal,
  bodyTimeout: number,
  options: { readonly method?: 'GET' | 'POST'; readonly headers?: Record<string, string>; readonly body?: string } = {},
): Promise<Dispatcher.ResponseData> {
  try {
    return await request(url, { ...options, signal, headersTimeout: PATIENCE_MS, bodyTimeout })
  } catch (error) {
    throw unreachable(origin, error, signal)
  }
}

function unreachable(origin: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted || !(error instanceof Error)) return error
  const code = 'code' in error ? String(error.code) : error.message
  const words: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ENOTFOUND: 'no such host',
    ECONNRESET: 'connection reset',
    UND_ERR_SOCKET: 'connection closed',
    UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
    UND_ERR_BODY_TIMEOUT: 'the answer stopped in the middle',
    UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  }
  return new Failure(
    'failed',
    `no Weir answers at ${origin} (${words[code] ?? code})`,
    'start one with: weir dev -f FILE',
  )
}

function notWeir(url: string, status: number, headers: IncomingHttpHeaders, text: string): Failure {
  const reason = reasonOf(text) || `a body of type ${plain(String(headers['content-type'] ?? 'unknown'))}`
  const advice =
    status === 200 || status === 404
      ? 'is that the address of a Weir console? It is the one that weir dev prints'
      : undefined
  return new Failure('failed', `${url} answered ${status}: ${reason}`, advice)
}

/** The words of a problem (RFC 9457), or the first line of anything else that is text. */
function reasonOf(text: string): string {
  const read = json(text)
  if (typeof read === 'object' && read !== null) {
    const { detail, title } = read as { detail?: unknown; title?: unknown }
    if (typeof detail === 'string') return plain(detail)
    if (typeof title === 'string') return plain(title)
  }
  return text.startsWith('<') ? '' : plain((text.split('\n')[0] ?? '').slice(0, 200))
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function bodyText(body: Dispatcher.ResponseData['body']): Promise<string> {
  body.setEncoding('utf8')
  let text = ''
  for await (const chunk of body) {
    text += chunk
    if (text.length > LARGEST_ANSWER) throw new Failure('failed', 'the answer is too large')
  }
  return text
}
