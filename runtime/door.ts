import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { isLoopback } from './status-server.ts'

export interface DoorConfig {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Of one request; more is answered 413. */
  readonly bodyMaxBytes: number
  readonly clock: Clock
  readonly log: Log
}

/** One HTTP server for whatever others send to us: each path has its own handler, put there and taken away at run time. */
export interface Door extends AsyncDisposable {
  /** `http://127.0.0.1:8081`, without a path. */
  readonly origin: string
  /**
   * From now on `handle` answers every request for `path`, whatever its method. Of several the newest answers: a successor
   * takes over while its forerunner finishes what it has. Disposing takes it away and lets its requests finish; for 2 s the path then
   * answers 503, as it may come back.
   */
  serve(path: string, handle: DoorHandler): Disposable
}

/** May reject: the answer is then 500, and the log says why. */
export type DoorHandler = (request: DoorRequest) => Promise<DoorAnswer>

export interface DoorRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** Without the `?`; empty where there is none. */
  readonly query: string
  /** Name, value, name, value … as they came. */
  readonly rawHeaders: readonly string[]
  /** As it came, still compressed where Content-Encoding says so. */
  readonly body: Uint8Array
  /** Aborts when nobody waits for the answer any more, or when the door closes and its patience is over. */
  readonly signal: AbortSignal
}

export interface DoorAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** Requests under way at once, and their bodies together; more of either is answered 503. */
const MOST_REQUESTS = 512
const BODIES_MAX_BYTES = 128 << 20
/** How long a closing door waits for answers before it aborts them, and then before it cuts the connections. */
const DRAIN_MS = 5_000
const ABORTED_MS = 1_000
/** A path that was taken away answers 503 for so long: many a sender takes 404 for the last word, and an edit of YAML is none. */
const GONE_MS = 2_000
const HEADERS_MAX_BYTES = 32_768

/** An answer that says no, as `application/problem+json` (RFC 9457). `code` is stable; `detail` says what to do. */
export function doorProblem(status: number, code: string, detail: string, retryAfterS?: number): DoorAnswer {
  const problem = { type: `urn:weir:problem:${code}`, title: STATUS_CODES[status] ?? 'Error', status, code, detail }
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      ...(retryAfterS !== undefined && { 'retry-after': `${retryAfterS}` }),
    },
    body: JSON.stringify(problem),
  }
}

/** What Fastify refuses, by status. */
const REFUSALS: Readonly<Record<number, (bodyMaxBytes: number) => DoorAnswer>> = {
  400: () => doorProblem(400, 'bad-request', 'The request could not be read.'),
  413: most =>
    doorProblem(413, 'too-large', `At most ${most} bytes are taken. Keep large data elsewhere, send a link.`),
  415: () => doorProblem(415, 'bad-media-type', 'The Content-Type is not written as RFC 9110 §8.3 wants it.'),
}

/** Opens the door; closing it waits for the requests under way. @throws the error of `listen`, e.g. EADDRINUSE. */
export async function openDoor(config: DoorConfig): Promise<Door> {
  const { host, port, bodyMaxBytes, clock, log } = config
  const handlers = new Handlers(clock)
  const underWay = new Set<AbortController>()
  const bodies = new Bodies(bodyMaxBytes)
  const app = openServer(config, underWay)
  app.all('*', async (request, reply) => {
    const { path, query } = targetOf(request.raw.url ?? '/')
    const handle = handlers.of(path)
    if (handle === undefined)
      return send(reply, doorProblem(404, 'not-found', 'Nothing is served at this path: check namespace and name.'))
    const asking = new AbortController()
    underWay.add(asking)
    reply.raw.once('close', () => {
      underWay.delete(asking)
      if (!reply.raw.writableFinished) asking.abort(new Error('the sender has gone'))
    })
    const body = await bodies.read(request.raw, reply.raw)
    if (body === undefined) return reply
    if ('status' in body) return send(reply, body)
    const { method, rawHeaders } = request.raw
    const asked = { method: method ?? 'GET', path, query, rawHeaders, body, signal: asking.signal }
    return send(reply, await handle(asked))
  })
  app.setErrorHandler((error: { statusCode?: number }, _, reply) => {
    const refusal = REFUSALS[error.statusCode ?? 500]
    if (refusal !== undefined) return send(reply, refusal(bodyMaxBytes))
    log.error({ err: error }, 'a handler of the door failed')
    return send(reply, doorProblem(500, 'internal', 'Weir could not answer this; its log says why.'))
  })
  const origin = await app.listen({ host, port })
  let closing: Promise<void> | undefined
  return {
    origin,
    serve: (path, handle) => handlers.add(path, handle),
    [Symbol.asyncDispose]() {
      closing ??= close(app, underWay, clock)
      return closing
    },
  }
}

async function close(app: FastifyInstance, underWay: ReadonlySet<AbortController>, clock: Clock): Promise<void> {
  const abort = clock.after(DRAIN_MS, () => {
    for (const asking of underWay) asking.abort(new Error('the door closes'))
  })
  const cut = clock.after(DRAIN_MS + ABORTED_MS, () => app.server.closeAllConnections())
  await app.close()
  abort()
  cut()
}

function openServer({ host, bodyMaxBytes }: DoorConfig, underWay: ReadonlySet<unknown>): FastifyInstance {
  const app = fastify({
    bodyLimit: bodyMaxBytes,
    requestTimeout: 30_000,
    keepAliveTimeout: 75_000,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    frameworkErrors: (_, __, reply) => {
      void send(reply, doorProblem(400, 'bad-request', 'The request could not be read.'))
    },
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000, maxHeaderSize: HEADERS_MAX_BYTES },
  })
  app.server.maxConnections = MOST_REQUESTS * 2
  const local = isLoopback(host)
  app.addHook('onRequest', async (request, reply) => {
    // Only pages send an Origin. Any page may post a text to this machine without asking; an event it must not become.
    const { origin } = request.headers
    if (local && origin !== undefined && !(URL.canParse(origin) && isLoopback(new URL(origin).hostname)))
      return send(reply, doorProblem(403, 'origin-not-local', 'Pages of other sites cannot send here.'))
    if (underWay.size >= MOST_REQUESTS) return send(reply, overloaded())
    return undefined
  })
  // Bodies of any type are left as they are: `Bodies` reads them.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_, __, done) => done(null))
  return app
}

/** What all requests under way hold together. */
class Bodies {
  readonly #bodyMaxBytes: number
  #held = 0

  constructor(bodyMaxBytes: number) {
    this.#bodyMaxBytes = bodyMaxBytes
  }

  /**
   * Its bytes count until its answer is written, as a handler may hold them until then. Undefined: the sender went before the
   * end, and what came of it is nothing. Never rejects.
   */
  read(request: IncomingMessage, response: ServerResponse): Promise<Uint8Array | DoorAnswer | undefined> {
    return new Promise(resolve => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.once('close', () => {
        this.#held -= bytes
        bytes = 0
        resolve(undefined)
      })
      const refuse = (answer: DoorAnswer) => {
        request.off('data', take).resume()
        resolve(answer)
      }
      const take = (chunk: Buffer) => {
        bytes += chunk.byteLength
        this.#held += chunk.byteLength
        chunks.push(chunk)
        if (bytes > this.#bodyMaxBytes) refuse(tooLarge(this.#bodyMaxBytes))
        else if (this.#held > BODIES_MAX_BYTES) refuse(overloaded())
      }
      request.on('data', take)
      request.once('end', () => resolve(Buffer.concat(chunks)))
      request.once('error', () => {}) // The response closes with it.
    })
  }
}

class Handlers {
  readonly #clock: Clock
  readonly #byPath = new Map<string, DoorHandler[]>()
  /** Until when a path that nobody serves is one that may come back. */
  readonly #goneUntilMs = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(path: string, handle: DoorHandler): Disposable {
    // A function of its own, so that a handler that is there twice is taken away once.
    const entry: DoorHandler = request => handle(request)
    this.#byPath.set(path, [...(this.#byPath.get(path) ?? []), entry])
    return {
      [Symbol.dispose]: () => {
        const all = this.#byPath.get(path) ?? []
        const left = all.filter(one => one !== entry)
        if (left.length > 0) this.#byPath.set(path, left)
        else if (all.length > 0) this.#gone(path)
      },
    }
  }

  /** One slash more at the end is nothing. Undefined: there is none, and none is about to be. */
  of(path: string): DoorHandler | undefined {
    const name = this.#byPath.has(path) ? path : path.replace(/\/$/, '')
    const handler = this.#byPath.get(name)?.at(-1)
    if (handler !== undefined) return handler
    return this.#clock.monotonicMs() < (this.#goneUntilMs.get(name) ?? 0) ? comesBack : undefined
  }

  #gone(path: string): void {
    const nowMs = this.#clock.monotonicMs()
    this.#byPath.delete(path)
    for (const [name, untilMs] of this.#goneUntilMs) if (untilMs <= nowMs) this.#goneUntilMs.delete(name)
    this.#goneUntilMs.set(path, nowMs + GONE_MS)
  }
}

async function comesBack(): Promise<DoorAnswer> {
  return doorProblem(503, 'changing', 'What takes this is being changed. Send it again in a moment.', 1)
}

/** A request target may be a whole URL (RFC 9112 §3.2.2). */
function targetOf(url: string): { readonly path: string; readonly query: string } {
  const target = url.replace(/^https?:\/\/[^/?]*/i, '')
  const mark = target.indexOf('?')
  return mark < 0 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark + 1) }
}

function tooLarge(bodyMaxBytes: number): DoorAnswer {
  return doorProblem(
    413,
    'too-large',
    `At most ${bodyMaxBytes} bytes are taken. Keep large data elsewhere, send a link.`,
  )
}

function overloaded(): DoorAnswer {
  return doorProblem(503, 'overloaded', 'Too much is being taken in at this moment. Send it again later.', 1)
}

/** As bytes: to a text, Fastify would add a charset, which JSON has none of. */
function send(reply: FastifyReply, { status, headers = {}, body }: DoorAnswer): FastifyReply {
  void reply.code(status).headers(headers)
  if (typeof body === 'string' && !reply.hasHeader('content-type')) void reply.type('text/plain; charset=utf-8')
  return reply.send(body === undefined ? undefined : Buffer.from(body))
}
