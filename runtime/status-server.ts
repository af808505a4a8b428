import { readFile } from 'node:fs/promises'
import { STATUS_CODES } from 'node:http'
import { isIP } from 'node:net'
import { extname, join } from 'node:path'
import { Readable } from 'node:stream'
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify'
import type { Clock } from './clock.ts'
import { openEventStreams, type Stream } from './event-stream.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

export interface StatusServerConfig {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Folder of a page's files, served under `/`; undefined where there is no page. */
  readonly assetsDir: string | undefined
}

/** What the server shows, all of it read at the time of a request, and what can be done through it. */
export interface StatusServerParts {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Whether this process can do its work, part by part; `/readyz` answers 503 unless all are ok. */
  readonly checks: () => readonly Check[]
  /** JSON documents by path. */
  readonly documents: Readonly<Record<string, (query: Query) => Answer>>
  /** Server-sent events by path. */
  readonly streams: Readonly<Record<string, Stream>>
  /** Answers that take a while, and actions. */
  readonly routes?: readonly Route[]
}

export interface Route {
  readonly method: 'GET' | 'POST'
  /** `:name` is a segment of its own, and in `params`. */
  readonly path: string
  /** Never rejects for what a request holds. */
  readonly handle: (request: RouteRequest) => Promise<Answer>
}

export interface RouteRequest {
  readonly params: Query
  readonly query: Query
  /** Of a POST: its JSON. */
  readonly body: unknown
}

/** Of a POST. */
const BODY_MAX = 1 << 20

export interface Check {
  readonly name: string
  readonly ok: boolean
  /** Why not, in words. */
  readonly detail: string
}

/** The first value of each parameter. */
export type Query = Readonly<Record<string, string | undefined>>

export type Answer =
  | { readonly kind: 'json'; readonly value: unknown }
  /** Lines of JSON, as they come. */
  | { readonly kind: 'lines'; readonly lines: AsyncIterable<string> }
  | Refusal

/** Becomes `application/problem+json` (RFC 9457). `code` is stable. */
export interface Refusal {
  readonly kind: 'refused'
  readonly status: number
  readonly code: string
  readonly detail: string
}

export interface StatusServer extends AsyncDisposable {
  /** `http://127.0.0.1:9080`, without a path. */
  readonly origin: string
}

/** Content of events is written by strangers; nothing of it may run, and no other page may frame or read this one. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-cache',
} as const

const ASSET_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json',
}

/** A file of the page: one name, no folder, no leading dot. */
const ASSET_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/

const MAX_CONNECTIONS = 512

/** Health, metrics, JSON documents, streams and a page over HTTP. @throws the error of `listen`, e.g. EADDRINUSE. */
export async function openStatusServer(config: StatusServerConfig, parts: StatusServerParts): Promise<StatusServer> {
  const streams = openEventStreams(parts.clock, HEADERS)
  const app = fastify({
    bodyLimit: 1024,
    requestTimeout: 30_000,
    keepAliveTimeout: 75_000,
    forceCloseConnections: true,
    frameworkErrors: (_, __, reply) => {
      refuse(reply.headers(HEADERS), refused(400, 'bad-request', 'The request could not be read.'))
    },
    routerOptions: { maxParamLength: 256 },
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000, maxHeaderSize: 16_384 },
  })
  app.server.maxConnections = MAX_CONNECTIONS
  guard(app, config, parts.log)
  health(app, parts)
  for (const [path, read] of Object.entries(parts.documents)) {
    app.get(path, (request, reply) => answer(reply, read(firstValues(request.query))))
  }
  // A page elsewhere may post texts and forms without asking; JSON it may not (Fetch standard, CORS-safelisted types).
  app.removeContentTypeParser('text/plain')
  for (const { method, path, handle } of parts.routes ?? []) {
    app.route({
      method,
      url: path,
      bodyLimit: BODY_MAX,
      exposeHeadRoute: false,
      handler: async (request, reply) => {
        const { params, query, body } = request
        return answer(reply, await handle({ params: firstValues(params), query: firstValues(query), body }))
      },
    })
  }
  for (const [path, stream] of Object.entries(parts.streams)) {
    app.get(path, { exposeHeadRoute: false }, (_, reply) => {
      if (!streams.admits()) {
        refuse(reply, refused(503, 'too-many-streams', 'Too many open streams; close some.'))
        return
      }
      reply.hijack()
      streams.open(reply.raw, stream)
    })
  }
  app.get('/', (_, reply) => sendAsset(reply, config.assetsDir, 'index.html'))
  app.get<{ Params: { asset: string } }>('/:asset', (request, reply) =>
    sendAsset(reply, config.assetsDir, request.params.asset),
  )
  const origin = await app.listen({ host: config.host, port: config.port })
  return {
    origin,
    async [Symbol.asyncDispose]() {
      streams.close()
      await app.close()
    },
  }
}

/** What every answer has in common, and who is answered at all. */
function guard(app: FastifyInstance, config: StatusServerConfig, log: Log): void {
  const local = isLoopback(config.host)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(HEADERS)
    if (!local) return undefined
    // A page elsewhere can point a name of its own at 127.0.0.1 and read us through it; its Host gives it away.
    const { host, origin } = request.headers
    if (host !== undefined && !isLoopback(hostnameOf(`http://${host}`)))
      return refuse(
        reply,
        refused(421, 'host-not-local', `This server is local: ask for it as ${config.host} or localhost.`),
      )
    if (origin !== undefined && !isLoopback(hostnameOf(origin)))
      return refuse(reply, refused(403, 'origin-not-local', 'This server answers no other page.'))
    return undefined
  })
  app.setNotFoundHandler((request, reply) => {
    const read = request.method === 'GET' || request.method === 'HEAD'
    if (!read) reply.header('allow', 'GET, HEAD')
    return refuse(
      reply,
      read
        ? refused(404, 'not-found', 'There is nothing at this path.')
        : refused(405, 'method-not-allowed', 'This path is only read: use GET.'),
    )
  })
  app.setErrorHandler((error: { statusCode?: number; code?: string; message: string }, _, reply) => {
    const status = error.statusCode ?? 500
    if (status === 415)
      return refuse(reply, refused(415, 'not-json', 'Send JSON, with content-type: application/json.'))
    if (status < 500) return refuse(reply, refused(status, 'bad-request', 'The request could not be read.'))
    log.error({ err: error }, 'status request failed')
    return refuse(reply, refused(500, 'internal', 'Weir could not answer this; its log says why.'))
  })
}

function health(app: FastifyInstance, parts: StatusServerParts): void {
  const text = (reply: FastifyReply) => reply.type('text/plain; charset=utf-8')
  for (const path of ['/healthz', '/livez']) app.get(path, (_, reply) => text(reply).send('ok\n'))
  app.get('/readyz', (request, reply) => {
    const checks = parts.checks()
    const ready = checks.every(check => check.ok)
    const verbose = firstValues(request.query).verbose !== undefined || !ready
    const lines = verbose
      ? checks.map(check => `[${check.ok ? '+' : '-'}]${check.name} ${check.ok ? 'ok' : check.detail}\n`)
      : []
    return text(reply)
      .code(ready ? 200 : 503)
      .send(verbose ? `${lines.join('')}readyz check ${ready ? 'passed' : 'failed'}\n` : 'ok\n')
  })
  app.get('/metrics', (_, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(parts.metrics.text()))
}

function answer(reply: FastifyReply, given: Answer): FastifyReply {
  if (given.kind === 'refused') return refuse(reply, given)
  if (given.kind === 'lines') return reply.type('application/x-ndjson').send(Readable.from(given.lines))
  return reply.type('application/json').send(Buffer.from(JSON.stringify(given.value)))
}

export function refused(status: number, code: string, detail: string): Refusal {
  return { kind: 'refused', status, code, detail }
}

function refuse(reply: FastifyReply, { status, code, detail }: Refusal): FastifyReply {
  if (status === 503) reply.header('retry-after', '5')
  const problem = { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, code, detail }
  return reply
    .code(status)
    .type('application/problem+json')
    .send(Buffer.from(JSON.stringify(problem)))
}

async function sendAsset(reply: FastifyReply, dir: string | undefined, name: string): Promise<FastifyReply> {
  const type = ASSET_TYPES[extname(name)]
  if (dir !== undefined && type !== undefined && ASSET_NAME.test(name)) {
    const bytes = await readFile(join(dir, name)).catch(() => undefined)
    if (bytes !== undefined) return reply.type(type).send(bytes)
    if (name === 'index.html') {
      const detail = 'The page is not built; `npm start` or `npm test` build it. The JSON under /api/v1/ is there.'
      return refuse(reply, refused(503, 'page-not-built', detail))
    }
  }
  return refuse(reply, refused(404, 'not-found', 'There is nothing at this path.'))
}

function firstValues(query: unknown): Query {
  const values: Record<string, string | undefined> = Object.create(null)
  if (typeof query !== 'object' || query === null) return values
  for (const [name, value] of Object.entries(query))
    values[name] = Array.isArray(value) ? String(value[0]) : String(value)
  return values
}

function hostnameOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : ''
}

/** Whether `host` names this machine alone. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'))
}
