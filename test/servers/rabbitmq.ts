import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connect } from 'amqplib'

/** A real RabbitMQ on loopback, user guest/guest, with its management API 10,000 ports above. */
export interface Rabbitmq {
  readonly port: number
  /** `amqp://guest:guest@127.0.0.1:5673` */
  readonly url: string
  /** The keys of a connection Secret. */
  readonly credentials: {
    readonly uri: string
    readonly username: string
    readonly password: string
    readonly port: string
  }
}

export interface OwnRabbitmq extends Rabbitmq, AsyncDisposable {
  /** Kills it as a crash would. */
  kill(): Promise<void>
  /** Starts it again with what it had kept. */
  start(): Promise<void>
}

const SCRIPT = fileURLToPath(new URL('./rabbitmq.sh', import.meta.url))
const SHARED_PORT = 5673
/** Servers that a test starts for itself: their own ports, and those that follow from them, are free of anything else. */
const OWN_PORTS = [5680, 5719] as const
const START_MS = 180_000

const run = promisify(execFile)

/** Why there is no RabbitMQ to test against, or false where there is one: for `skip`. With WEIR_REQUIRE_SERVERS=1 it is installed. */
export async function noRabbitmq(): Promise<string | false> {
  const installed = await run(SCRIPT, ['installed']).then(
    () => true,
    () => false,
  )
  if (installed) return false
  if (process.env.WEIR_REQUIRE_SERVERS !== '1')
    return 'RabbitMQ IS NOT INSTALLED, so nothing of it is tested: apt-get install rabbitmq-server, or WEIR_REQUIRE_SERVERS=1'
  await run(SCRIPT, ['install'], { timeout: 600_000 })
  return false
}

/** The server that all tests share; it is started where it is not running and stays when they end. */
export async function sharedRabbitmq(): Promise<Rabbitmq> {
  await run(SCRIPT, ['up'], { timeout: START_MS, env: { ...process.env, RMQ_PORT: String(SHARED_PORT) } })
  return rabbitmqAt(SHARED_PORT)
}

/** A server of the caller's own, which never outlives this process. @param settings of `rabbit`, as Erlang terms: `{consumer_timeout,2000}`. */
export async function openRabbitmq(settings = ''): Promise<OwnRabbitmq> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-rabbitmq-'))
  const port = await freePort()
  const env = {
    ...process.env,
    RMQ_PORT: String(port),
    RMQ_RUN: folder,
    RMQ_RABBIT: settings,
    RMQ_OWNER: String(process.pid),
  }
  const call = (word: string) => run(SCRIPT, [word], { timeout: START_MS, env })
  await call('up')
  return {
    ...rabbitmqAt(port),
    async kill() {
      await call('kill')
    },
    async start() {
      await call('up')
    },
    async [Symbol.asyncDispose]() {
      await call('kill')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function rabbitmqAt(port: number): Rabbitmq {
  const credentials = { uri: '127.0.0.1', username: 'guest', password: 'guest', port: String(port) }
  return { port, url: `amqp://guest:guest@127.0.0.1:${port}`, credentials }
}

/** One whose own port, management port and distribution port nobody uses. */
async function freePort(): Promise<number> {
  const [first, last] = OWN_PORTS
  const start = first + Math.floor(Math.random() * (last - first + 1))
  for (let i = 0; i <= last - first; i++) {
    const port = first + ((start - first + i) % (last - first + 1))
    const ports = [port, port + 10_000, port + 20_000, port + 8_696]
    if ((await Promise.all(ports.map(isFree))).every(free => free)) return port
  }
  throw new Error(`none of the ports ${first} to ${last} is free for RabbitMQ`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

let queues = 0

/** A name that no other test has, in this process or another. */
export function uniqueName(what = 'queue'): string {
  return `${what}-${process.pid}-${Date.now().toString(36)}-${++queues}`
}

/** A connection of a test, which ends with it. */
export async function testChannel(server: Rabbitmq) {
  const connection = await connect(server.url, { noDelay: true })
  connection.on('error', () => {})
  const channel = await connection.createConfirmChannel()
  channel.on('error', () => {})
  return {
    connection,
    channel,
    [Symbol.asyncDispose]: () => connection.close().catch(() => {}),
  }
}
