import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { type Problem, problem, rawProblem, sendProblem } from './problem.ts'
import { rawHeader } from './read-body.ts'
import { readKeyPair, type TlsFiles, tlsSettings } from './tls-key-pair.ts'
import { followKeyPair } from './tls-reload.ts'

export interface ListenOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Speak TLS with this key pair, and with the next one once the files change. Undefined: plain HTTP. */
  readonly tls: TlsFiles | undefined
  /** A body that is announced to be larger is not asked for. */
  readonly bodyMaxBytes: number
  readonly serve: RequestListener
  readonly clock: Clock
  readonly log: Log
}

export interface Listener extends AsyncDisposable {
  readonly origin: string
  /** From here on nobody is let in, and connections that ask nothing are closed. Idempotent. */
  stop(): void
}

const HEADERS_MAX_BYTES = 16 << 10
const CONNECTIONS_MAX = 10_000
const HANDSHAKE_MS = 20_000
/** How long what is being answered may take when the door is closed for good. */
const LAST_ANSWERS_MS = 5000

/** Every limit has a number. The two timeouts are looked at every `connectionsCheckingInterval` only. */
const LIMITS = {
  requestTimeout: 30_000,
  headersTimeout: 10_000,
  connectionsCheckingInterval: 1000,
  keepAliveTimeout: 75_000,
  maxHeaderSize: HEADERS_MAX_BYTES,
  // Looked at by the ingress, so that the answer is the same kind of document as every other.
  requireHostHeader: false,
  noDelay: true,
}

/**
 * Listens for HTTP/1.1, with or without TLS, within the same limits, and answers what is no HTTP.
 * @throws {KeyPairError} the key pair cannot be used; or what Node throws where the address cannot be listened on.
 */
export async function openListener(options: ListenOptions): Promise<Listener> {
  const { tls, host, port, clock, log } = options
  await using opening = new AsyncDisposableStack()
  const server = tls === undefined ? createServer(LIMITS, options.serve) : await openTlsServer(tls, opening, options)
  configure(server, options)
  // Those that have not yet shown that they speak HTTP: Node's server does not know them.
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  server.on('error', error => log.error({ error: error.message }, 'listening goes on after an error'))
  const bound = server.address() as AddressInfo
  const closed = once(server, 'close')
  const open = opening.move()
  let stopping = false
  const stop = () => {
    if (stopping) return
    stopping = true
    server.close()
    server.closeIdleConnections()
  }
  return {
    origin: `${tls === undefined ? 'http' : 'https'}://${hostOf(bound)}:${bound.port}`,
    stop,
    async [Symbol.asyncDispose]() {
      stop()
      const cancel = clock.after(LAST_ANSWERS_MS, () => {
        for (const socket of sockets) socket.destroy()
      })
      await closed
      cancel()
      await open.disposeAsync()
    },
  }
}

function hostOf({ address, family }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]` : address
}

async function openTlsServer(files: TlsFiles, opening: AsyncDisposableStack, options: ListenOptions): Promise<Server> {
  const pair = await readKeyPair(files)
  const server = createTlsServer(
    { ...LIMITS, ...tlsSettings(pair), handshakeTimeout: HANDSHAKE_MS, ALPNProtocols: ['http/1.1'] },
    options.serve,
  )
  // Connections that are open keep what they began with.
  const follow = (next: typeof pair) => server.setSecureContext(tlsSettings(next))
  opening.use(followKeyPair({ files, pair, clock: options.clock, log: options.log, onChange: follow }))
  return server
}

function configure(server: Server, { bodyMaxBytes, serve }: ListenOptions): void {
  server.maxConnections = CONNECTIONS_MAX
  server.on('clientError', answerClientError)
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // A body that will be refused is not asked for.
    if (Number(rawHeader(request, 'content-length') ?? 0) <= bodyMaxBytes) response.writeContinue()
    serve(request, response)
  })
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    sendProblem(response, problem('expectation-failed', 'Send the request without this Expect header.'))
  })
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => socket.destroy())
    socket.end(rawProblem(problem('method-not-allowed', 'Send the event with POST.'), 'Method Not Allowed'))
  })
}

/** What Node's parser could not read, or what took too long. There is no request to answer, only a connection. */
function answerClientError(error: Error & { readonly code?: string }, socket: Duplex): void {
  // Any other error is one of the connection, or of a TLS handshake: nothing can be said there.
  const isSpoken = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' || error.code?.startsWith('HPE_') === true
  if (!socket.writable || !isSpoken) return void socket.destroy()
  socket.end(rawProblem(...parserProblem(error.code)))
}

function parserProblem(code: string | undefined): [Problem, string] {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return [problem('request-timeout', 'Send the request again, faster.'), 'Request Timeout']
    case 'HPE_HEADER_OVERFLOW':
      return [
        problem('headers-too-large', `At most ${HEADERS_MAX_BYTES} bytes of header fields are taken.`),
        'Request Header Fields Too Large',
      ]
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return [problem('too-large', 'The chunk extensions are too large. Leave them out.'), 'Payload Too Large']
    default:
      return [problem('bad-request', 'The request line, a header or a chunk is malformed.'), 'Bad Request']
  }
}
