import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type {
  BrokerView,
  EventView,
  ScaleView,
  SinkView,
  SourceView,
  StateView,
  TriggerView,
} from '../../contract/api.ts'

const bin = fileURLToPath(new URL('../../bin/weir.js', import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Record<string, string>
  readonly input?: string
}

/** A running `weir` that finds no world of this machine by itself. */
export function startWeir(
  words: readonly string[],
  options: RunOptions = {},
): { child: ChildProcess; ended: Promise<Ended>; stdout: () => string } {
  const env = { ...process.env, XDG_RUNTIME_DIR: emptyDir(), ...options.env }
  const child = spawn(process.execPath, [bin, ...words], { cwd: options.cwd ?? emptyDir(), env, stdio: 'pipe' })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }))
  return { child, ended, stdout: () => stdout }
}

/** Runs `weir` to its end. */
export function weir(words: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return startWeir(words, options).ended
}

export function emptyDir(): string {
  return mkdtempSync(join(tmpdir(), 'weir-cli-'))
}

export interface Posted {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly atMs: number
}

type Handle = (request: IncomingMessage, response: ServerResponse) => void

/** A server with the addresses of Weir's API, serving what the test says. */
export interface FakeWeir extends AsyncDisposable {
  readonly origin: string
  readonly posted: Posted[]
  state: StateView
  events: EventView[]
  /** Answers posts; 202 by itself. */
  door: Handle
  /** Sends a server-sent event to every reader. */
  tell(event: string, value: unknown): void
  /** Ends the streams, as a Weir that ends does. */
  hangUp(): void
  /** Resolves when a stream is open. */
  reader(): Promise<void>
  /** Stops listening. */
  stop(): Promise<void>
}

export async function fakeWeir(): Promise<FakeWeir> {
  const readers = new Set<ServerResponse>()
  const posted: Posted[] = []
  let woken: (() => void)[] = []
  const server = createServer((request, response) => void serve(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const fake: FakeWeir = {
    origin,
    posted,
    state: { brokers: [], triggers: [], sources: [], sinks: [], scale: [] },
    events: [],
    door: (_, response) => response.writeHead(202).end(),
    tell: (event, value) => {
      for (const one of readers) one.write(`event: ${event}\ndata: ${JSON.stringify(value)}\n\n`)
    },
    hangUp: () => {
      for (const one of readers) one.end()
    },
    reader: () => (readers.size > 0 ? Promise.resolve() : new Promise(resolve => woken.push(resolve))),
    stop: () => stop(server),
    [Symbol.asyncDispose]: () => stop(server),
  }
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', origin)
    if (request.method === 'POST') {
      const chunks = await request.toArray()
      posted.push({
        path: url.pathname,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
        atMs: performance.now(),
      })
      return fake.door(request, response)
    }
    if (url.pathname === '/livez') return void response.end('ok')
    if (url.pathname === '/api/v1/stream') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 1000\n\n')
      readers.add(response)
      response.once('close', () => readers.delete(response))
      fake.tell('state', fake.state)
      if (fake.events.length > 0) fake.tell('events', fake.events)
      for (const wake of woken) wake()
      woken = []
      return
    }
    const answer = documentAt(url, fake)
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer ?? { title: 'Not found', detail: `nothing is at ${url.pathname}` }))
  }
  return fake
}

function documentAt(url: URL, fake: FakeWeir): unknown {
  const kind = url.pathname.replace('/api/v1/', '')
  if (kind === 'events') {
    const wanted = ['id', 'source', 'type'].filter(name => url.searchParams.has(name))
    return fake.events.filter(event => wanted.every(name => event.attributes[name] === url.searchParams.get(name)))
  }
  return Object.hasOwn(fake.state, kind) ? fake.state[kind as keyof StateView] : undefined
}

async function stop(server: Server): Promise<void> {
  if (!server.listening) return
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
}

export const broker: BrokerView = {
  namespace: 'shop',
  name: 'orders',
  url: 'http://127.0.0.1:8080/shop/orders',
  ready: true,
  reason: '',
  triggers: 2,
  accepted: 12,
  unmatched: 1,
}

export const trigger: TriggerView = {
  namespace: 'shop',
  name: 'worker',
  broker: 'orders',
  subscriber: 'http://worker.shop.svc.cluster.local',
  ready: true,
  reason: '',
  backlog: 40,
  inFlight: 10,
  retrying: 0,
  parked: 2,
  delivered: 1000,
  deadLettered: 0,
  failed: 3,
  rate: 12.34,
  replicas: { ready: 2, desired: 4, max: 8 },
  oldestAgeMs: 4200,
  lastError: 'status 503',
  notice: null,
  blocked: 0,
  stopped: null,
  stoppedForMs: null,
}

export const source: SourceView = {
  namespace: 'shop',
  name: 'queue',
  kind: 'AzureStorageQueueSource',
  sink: 'http://127.0.0.1:8080/shop/orders',
  address: null,
  ready: false,
  reason: 'QueueMissing',
  lag: null,
  held: 0,
  emitted: 0,
  rate: 0,
  replicas: { ready: 1, desired: 1, max: 1 },
}

export const sink: SinkView = {
  namespace: 'shop',
  name: 'out',
  kind: 'KafkaSink',
  url: 'http://127.0.0.1:8081/sinks/kafkasink/shop/out',
  ready: true,
  reason: '',
  sent: 7,
  trouble: 'the topic is gone',
}

export const scale: ScaleView = {
  namespace: 'shop',
  name: 'worker',
  kind: 'Deployment',
  by: 'ScaledObject/worker',
  replicas: { ready: 2, desired: 4, max: 8, min: 0 },
  explain: '40 waiting, 10 for each replica: 4',
  changedMs: 1000,
}

export const event: EventView = {
  seq: 7,
  namespace: 'shop',
  broker: 'orders',
  acceptedMs: Date.now() - 5000,
  attributes: { specversion: '1.0', id: 'e-1', source: '/shop', type: 'order.created' },
  bytes: 12,
  deliveries: [{ trigger: 'worker', state: 'delivered', attempts: 1, last: '200', tookMs: 12, nextDueMs: null }],
}
