import type { Admin, Producer } from 'kafkajs'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { KafkaAccess } from './access.ts'
import { call, endWithin, type KafkaClient, openKafka } from './client.ts'
import { makeTopic } from './make-topic.ts'
import { errorTypeOf, type Trouble } from './outcome.ts'

/** A record on its way out. */
export interface OutRecord {
  /** Records of one key keep to one partition. */
  readonly key: string | undefined
  /** Undefined: none, a tombstone. */
  readonly value: Uint8Array | undefined
  readonly headers: Readonly<Record<string, string>>
}

export type Produced =
  /** All replicas in sync have it (`acks=all`). */
  | { readonly kind: 'stored' }
  /** The topic never takes it: it is too large, or not as the topic wants its records. */
  | { readonly kind: 'unfit'; readonly reason: string }
  | Trouble

/** One topic that records go to. */
export interface KafkaOut extends AsyncDisposable {
  /** Any number at once: they go together. Never rejects but with the signal's reason, the outcome then unknown. */
  produce(record: OutRecord, signal: AbortSignal): Promise<Produced>
}

export interface OutOptions {
  readonly topic: string
  /** Of the topic, where it has to be made. */
  readonly partitions: number
  readonly replicas: number
}

interface Waiting {
  readonly record: OutRecord
  readonly bytes: number
  settle(produced: Produced): void
}

/** What goes in one request: a topic takes 1 MiB at once unless it is set to take more. */
const BATCH_RECORDS = 500
const BATCH_BYTES = 512 * 1024
/** A request is sent so often, these apart. */
const TRIES = 3
const TRY_AGAIN_MS = 200
/** A record costs more than its bytes. */
const RECORD_BYTES = 100

/** The way to one topic. Connects, and makes the topic where it is missing, when the first record comes. */
export function openKafkaOut(access: KafkaAccess, options: OutOptions, clock: Clock, log: Log): KafkaOut {
  return new Out(access, options, clock, log)
}

class Out implements KafkaOut {
  readonly #access: KafkaAccess
  readonly #options: OutOptions
  readonly #clock: Clock
  readonly #log: Log
  readonly #over = new AbortController()
  #waiting: Waiting[] = []
  #sending: Promise<void> | undefined
  #link: Promise<Link> | undefined

  constructor(access: KafkaAccess, options: OutOptions, clock: Clock, log: Log) {
    this.#access = access
    this.#options = options
    this.#clock = clock
    this.#log = log
  }

  async produce(record: OutRecord, signal: AbortSignal): Promise<Produced> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<Produced>()
    const waiting: Waiting = { record, bytes: sizeOf(record), settle: resolve }
    const stop = () => {
      this.#waiting = this.#waiting.filter(one => one !== waiting)
      reject(signal.reason)
    }
    signal.addEventListener('abort', stop, { once: true })
    this.#waiting.push(waiting)
    this.#sending ??= this.#sendAll()
    return promise.finally(() => signal.removeEventListener('abort', stop))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sending
    this.#over.abort(new Error('the sink is closed'))
    const link = await this.#link?.catch(() => undefined)
    this.#link = undefined
    if (link === undefined) return
    await endWithin(Promise.all([link.producer.disconnect(), link.admin.disconnect()]), this.#clock)
    link.cut()
  }

  /** One request after the other, each with all that came during the one before. Never rejects. */
  async #sendAll(): Promise<void> {
    // What is sent in the same turn goes together.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const batch = this.#next()
      await this.#send(batch)
    }
    this.#sending = undefined
  }

  #next(): readonly Waiting[] {
    let bytes = 0
    const end = this.#waiting.findIndex((one, i) => {
      bytes += one.bytes
      return i >= BATCH_RECORDS || (i > 0 && bytes > BATCH_BYTES)
    })
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end)
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    const produced = await this.#request(batch)
    if (produced.kind !== 'unfit' || batch.length === 1) {
      for (const { settle } of batch) settle(produced)
      return
    }
    // One of them is to blame, or all of them together: one by one it shows.
    for (const one of batch) one.settle(await this.#request([one]))
  }

  async #request(batch: readonly Waiting[]): Promise<Produced> {
    const link = await this.#linked()
    const { topic } = this.#options
    const messages = batch.map(({ record: { key, value, headers } }) => ({
      key: key ?? null,
      value: value === undefined ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength),
      headers,
    }))
    const send = async (): Promise<Produced> => {
      await link.ready()
      await link.producer.send({ topic, messages, acks: -1 })
      return { kind: 'stored' }
    }
    return call(link.where, () => this.#tryAgain(send, link), this.#clock, this.#over.signal)
  }

  /** A leader that moved and a connection that ended are over in a moment. All of it goes again, and some of it may come twice. */
  async #tryAgain(send: () => Promise<Produced>, link: Link): Promise<Produced> {
    for (let tries = 1; ; tries++) {
      try {
        return await send()
      } catch (error) {
        const type = errorTypeOf(error)
        if (UNFIT.includes(type)) return unfit(this.#options.topic, type)
        // Somebody may have removed the topic: it is looked for again.
        link.forget()
        if (tries === TRIES) throw error
        await sleep(this.#clock, TRY_AGAIN_MS * tries, this.#over.signal)
      }
    }
  }

  /** The client does not connect here, so that this does not fail. */
  #linked(): Promise<Link> {
    this.#link ??= openKafka(this.#access, { log: this.#log }).then(client =>
      openLink(client, this.#options, this.#clock, this.#over.signal),
    )
    return this.#link
  }
}

/** What another try does not mend (Kafka protocol: error codes 10, 18, 32, 87). */
const UNFIT = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_TIMESTAMP', 'INVALID_RECORD']

function unfit(topic: string, type: string): Produced {
  return { kind: 'unfit', reason: `the topic ${JSON.stringify(topic)} does not take it: ${type}` }
}

interface Link {
  readonly where: string
  readonly producer: Producer
  readonly admin: Admin
  /** Resolves when it is connected and the topic is there. @throws what the library throws. */
  ready(): Promise<void>
  /** Looks again the next time. */
  forget(): void
  /** See `KafkaClient.cut`. */
  cut(): void
}

async function openLink(
  { kafka, where, cut }: KafkaClient,
  options: OutOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<Link> {
  const {
    default: { Partitioners },
  } = await import('kafkajs')
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    // The library picks new partitions when it tries again, and leaves out brokers that answered before: what moved from one
    // of the others to those would be nowhere, and be told as sent (kafkajs, `sendMessages`).
    retry: { retries: 0 },
    // Keys go where those of every other Kafka client go.
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  const admin = kafka.admin()
  let prepared: Promise<void> | undefined
  const forget = () => {
    prepared = undefined
  }
  const prepare = async () => {
    await producer.connect()
    await admin.connect()
    await ensureTopic(admin, options, clock, signal)
  }
  const ready = () => {
    prepared ??= prepare().catch(error => {
      forget()
      throw error
    })
    return prepared
  }
  return { where, producer, admin, ready, forget, cut }
}

/** Looked for first: somebody who may write need not have the right to make topics. */
async function ensureTopic(admin: Admin, options: OutOptions, clock: Clock, signal: AbortSignal): Promise<void> {
  const { topic, partitions, replicas } = options
  if ((await admin.listTopics()).includes(topic)) return
  await makeTopic(admin, { topic, numPartitions: partitions, replicationFactor: replicas }, clock, signal)
}

function sizeOf({ key, value, headers }: OutRecord): number {
  let bytes = RECORD_BYTES + (key?.length ?? 0) + (value?.byteLength ?? 0)
  for (const [name, text] of Object.entries(headers)) bytes += name.length + text.length
  return bytes
}
