import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Admin, type ITopicConfig, Kafka, logLevel, Partitioners, type Producer } from 'kafkajs'
import { makeTopic } from '../../clients/kafka/make-topic.ts'
import { systemClock } from '../../runtime/clock.ts'

/** A real Apache Kafka of one node on loopback. */
export interface KafkaServer {
  /** In plain text: `127.0.0.1:19092`. */
  readonly broker: string
  /** With a login: user `alice`, password `secret`, PLAIN or SCRAM. */
  readonly saslBroker: string
  /** With TLS. */
  readonly tlsBroker: string
  /** PEM of the authority that signed its certificate. */
  ca(): Promise<string>
}

export interface OwnKafka extends KafkaServer, AsyncDisposable {
  /** Kills it as a crash would. */
  kill(): Promise<void>
  /** Starts it again with what it had kept. */
  start(): Promise<void>
  /** It keeps its connections and answers nothing, until `go`. */
  hang(): Promise<void>
  go(): Promise<void>
}

const SCRIPT = fileURLToPath(new URL('./kafka.sh', import.meta.url))
const CACHE = process.env.WEIR_SERVERS ?? join(homedir(), '.cache', 'weir-servers')
const SHARED_PORT = 19_092
/** Servers that a test starts for itself: a port and the nine after it. */
const OWN_PORTS = [19_192, 19_992] as const
const PORTS_EACH = 10
const START_MS = 200_000

const run = promisify(execFile)

/** Why there is no Kafka to test against, or false where there is one: for `skip`. With WEIR_REQUIRE_SERVERS=1 it is installed. */
export async function noKafka(): Promise<string | false> {
  const installed = await run('bash', [SCRIPT, 'installed']).then(
    () => true,
    () => false,
  )
  if (installed) return false
  if (process.env.WEIR_REQUIRE_SERVERS !== '1')
    return 'KAFKA IS NOT INSTALLED, so nothing of it is tested: apt-get install openjdk-17-jre-headless maven, then test/servers/kafka.sh install, or WEIR_REQUIRE_SERVERS=1'
  await run('bash', [SCRIPT, 'install'], { timeout: 600_000 })
  return false
}

/** The server that all tests share; it is started where it is not running and stays when they end. */
export async function sharedKafka(): Promise<KafkaServer> {
  await run('bash', [SCRIPT, 'up'], { timeout: START_MS, env: { ...process.env, KAFKA_PORT: String(SHARED_PORT) } })
  return kafkaAt(SHARED_PORT, join(CACHE, 'run', `kafka-${SHARED_PORT}`))
}

/** A server of the caller's own. @param extra lines for its `server.properties`. */
export async function openKafkaServer(extra = ''): Promise<OwnKafka> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-kafka-'))
  const port = await freePort()
  const env = { ...process.env, KAFKA_PORT: String(port), KAFKA_RUN: folder, KAFKA_EXTRA: extra }
  const call = (word: string) => run('bash', [SCRIPT, word], { timeout: START_MS, env })
  await call('up')
  return {
    ...kafkaAt(port, folder),
    async kill() {
      await call('kill')
    },
    async start() {
      await call('up')
    },
    async hang() {
      await call('hang')
    },
    async go() {
      await call('go')
    },
    async [Symbol.asyncDispose]() {
      await call('kill')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function kafkaAt(port: number, folder: string): KafkaServer {
  return {
    broker: `127.0.0.1:${port}`,
    saslBroker: `127.0.0.1:${port + 1}`,
    tlsBroker: `127.0.0.1:${port + 2}`,
    ca: () => readFile(join(folder, 'tls', 'ca.pem'), 'utf8'),
  }
}

/** One that nobody uses, with those that follow from it. */
async function freePort(): Promise<number> {
  const [first, last] = OWN_PORTS
  const places = (last - first) / PORTS_EACH
  const start = Math.floor(Math.random() * places)
  for (let i = 0; i < places; i++) {
    const port = first + ((start + i) % places) * PORTS_EACH
    const ports = [port, port + 1, port + 2, port + 9]
    if ((await Promise.all(ports.map(isFree))).every(free => free)) return port
  }
  throw new Error(`none of the ports ${first} to ${last} is free for Kafka`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

let names = 0

/** A name that no other test has, in this process or another. */
export function uniqueTopic(what = 'topic'): string {
  return `${what}-${process.pid}-${Date.now().toString(36)}-${++names}`
}

/** What a test puts in and looks at the server with. */
export interface KafkaHands extends AsyncDisposable {
  readonly admin: Admin
  readonly producer: Producer
}

export async function openHands(broker: string): Promise<KafkaHands> {
  const kafka = new Kafka({ clientId: 'test', brokers: [broker], logLevel: logLevel.NOTHING, retry: { retries: 8 } })
  const admin = kafka.admin()
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false })
  await admin.connect()
  await producer.connect()
  return {
    admin,
    producer,
    async [Symbol.asyncDispose]() {
      await producer.disconnect().catch(() => {})
      await admin.disconnect().catch(() => {})
    },
  }
}

/**
 * Makes a topic, and waits until its leaders lead. Before that a send may fail for one partition, and the library would send
 * those of the others twice.
 */
export async function openTopic({ admin }: KafkaHands, topic: ITopicConfig): Promise<void> {
  await makeTopic(admin, topic, systemClock, AbortSignal.timeout(30_000))
  for (let tries = 1; ; tries++) {
    try {
      await admin.fetchTopicOffsets(topic.topic)
      return
    } catch (error) {
      if (tries === 50) throw error
    }
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}
