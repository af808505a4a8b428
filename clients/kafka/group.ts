import type { Cluster, Consumer, EachBatchPayload, IHeaders } from 'kafkajs'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { trouble } from '../trouble.ts'
import type { KafkaAccess } from './access.ts'
import { call, endWithin, type KafkaClient, openKafka } from './client.ts'
import { type Trouble, troubleOf } from './outcome.ts'
import { pinEnds } from './pin.ts'

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface KafkaRecord {
  readonly offset: bigint
  /** What to commit once this one and all before it are done: beyond what is no record (markers of transactions). */
  readonly next: bigint
  /** Undefined where it has none. */
  readonly timestampMs: number | undefined
  readonly key: Buffer | undefined
  /** Undefined: a tombstone. */
  readonly value: Buffer | undefined
  /** Of a name that comes several times the last one counts. */
  readonly headers: ReadonlyMap<string, Buffer>
}

/** What a member is told. None of it may throw. */
export interface GroupListener {
  /**
   * The group is about to be shared out anew, and others may get what is ours. What is in flight is finished and committed
   * before this resolves, which should not take long: everybody in the group waits for it.
   */
  leaving(): Promise<void>
  /** These are ours, from now until `leaving`; reading goes on after what is committed. */
  assigned(partitions: readonly TopicPartition[]): void
  /** The next records of a partition, one at least, in order. Taken over at once: nothing else is read until this returns. */
  records(at: TopicPartition, records: readonly KafkaRecord[]): void
  /** The position is not in the topic any more: what was between it and the earliest record is gone. */
  outOfRange(at: TopicPartition): void
}

export interface MemberOptions {
  readonly group: string
  /** Topics that exist. A group that has read nothing begins at their earliest record, */
  readonly topics: readonly string[]
  /** but in these at their end, which is committed before anything is read. */
  readonly fromEnd: readonly string[]
}

export interface GroupMember {
  readonly kind: 'member'
  /** Resolves once, when nothing comes any more: open another one. */
  readonly ended: Promise<Trouble>
  /** Nothing of this partition comes until `resume`. One that is not assigned is left alone. */
  pause(at: TopicPartition): void
  resume(at: TopicPartition): void
  /** `offset` is the next one to be read. Only for partitions that are assigned. */
  commit(
    offsets: readonly (TopicPartition & { readonly offset: bigint })[],
  ): Promise<{ readonly kind: 'committed' } | Trouble>
  /** Leaves the group, so that others have its partitions at once. Never rejects. */
  close(): Promise<void>
}

export interface MemberDeps {
  readonly clock: Clock
  readonly log: Log
}

/** As Knative's consumers have it. */
const SESSION_MS = 10_000
const HEARTBEAT_MS = 2_000
/** How long the group waits for members that finish what they hold. */
const REBALANCE_MS = 30_000
/** How soon a partition that was paused is read again where nothing else comes. */
const FETCH_WAIT_MS = 100
/** Memory: what one fetch may bring of one partition, and in all from one broker. */
const PARTITION_BYTES = 256 * 1024
const FETCH_BYTES = 4 * 1024 * 1024
/** Joining waits for others: a whole rebalance, and a member that died before. */
const JOIN_TIMEOUT_MS = 2 * REBALANCE_MS
/** A member that has asked for nothing for this long hangs: it, or the broker. */
const SILENCE_MAX_MS = 20_000
const LOOK_EVERY_MS = 5_000
/** Repetitions inside, before the member ends. */
const RETRY = { retries: 6, initialRetryTime: 200, maxRetryTime: 2_000, restartOnFailure: async () => false }

/**
 * Joins a consumer group and reads: every partition on its own, so that one whose records are not taken is paused and the
 * others go on. Nothing is committed but by `commit`.
 * @throws the signal's reason.
 */
export async function joinGroup(
  access: KafkaAccess,
  options: MemberOptions,
  listener: GroupListener,
  deps: MemberDeps,
  signal: AbortSignal,
): Promise<GroupMember | Trouble> {
  const onOutOfRange = (topic: string, partition: number) => listener.outOfRange({ topic, partition })
  const client = await openKafka(access, { log: deps.log, onOutOfRange })
  const {
    default: { PartitionAssigners },
  } = await import('kafkajs')
  const consumer = client.kafka.consumer({
    groupId: options.group,
    sessionTimeout: SESSION_MS,
    heartbeatInterval: HEARTBEAT_MS,
    rebalanceTimeout: REBALANCE_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytesPerPartition: PARTITION_BYTES,
    maxBytes: FETCH_BYTES,
    metadataMaxAge: 60_000,
    allowAutoTopicCreation: false,
    retry: RETRY,
    partitionAssigners: [
      config => {
        beforeJoining(config.cluster, options, first => member.beforeJoining(first))
        return PartitionAssigners.roundRobin(config)
      },
    ],
  })
  const member = new Member(consumer, client, listener, deps)
  const joining = call(client.where, () => member.join(options.topics), deps.clock, signal, JOIN_TIMEOUT_MS)
  const joined = await joining.catch(async error => {
    await member.close()
    throw error
  })
  if (joined.kind === 'member') return joined
  await member.close()
  return joined
}

/**
 * The library says nothing before it joins again, but it always asks for the group's coordinator then, and for the first time
 * before it reads: that question waits until what is ours is finished, or until the ends are pinned.
 */
function beforeJoining(
  cluster: Cluster,
  { group, fromEnd }: MemberOptions,
  told: (first: boolean) => Promise<void>,
): void {
  const find = cluster.findGroupCoordinator.bind(cluster)
  let pinned = fromEnd.length === 0
  let first = true
  cluster.findGroupCoordinator = async asked => {
    await told(first)
    const coordinator = await find(asked)
    if (!pinned) await pinEnds(cluster, coordinator, group, fromEnd)
    pinned = true
    first = false
    return coordinator
  }
}

class Member implements GroupMember {
  readonly kind = 'member'
  readonly ended: Promise<Trouble>
  readonly #consumer: Consumer
  readonly #where: string
  readonly #cut: () => void
  readonly #listener: GroupListener
  readonly #deps: MemberDeps
  readonly #over = new AbortController()
  #end: (found: Trouble) => void
  #assigned = new Set<string>()
  #heardMs: number
  #joining = true
  #started: Promise<void> | undefined

  constructor(consumer: Consumer, { where, cut }: KafkaClient, listener: GroupListener, deps: MemberDeps) {
    const { promise, resolve } = Promise.withResolvers<Trouble>()
    this.#consumer = consumer
    this.#where = where
    this.#cut = cut
    this.#listener = listener
    this.#deps = deps
    this.ended = promise
    this.#end = resolve
    this.#heardMs = deps.clock.monotonicMs()
    const { CRASH, FETCH, GROUP_JOIN } = consumer.events
    consumer.on(CRASH, ({ payload }) => this.#end(troubleOf(payload.error, where)))
    consumer.on(FETCH, () => this.#heard())
    consumer.on(GROUP_JOIN, ({ payload }) => this.#joined(payload.memberAssignment))
  }

  /** Resolves when the group has been joined. */
  async join(topics: readonly string[]): Promise<GroupMember | Trouble> {
    await this.#consumer.connect()
    await this.#consumer.subscribe({ topics: [...topics], fromBeginning: true })
    const run = this.#consumer.run({
      autoCommit: false,
      eachBatch: async payload => this.#batch(payload),
    })
    // It resolves as well where it has crashed.
    this.#started = run
    const joined = await Promise.race([run.then(() => undefined), this.ended])
    if (joined !== undefined) return joined
    this.#watch()
    return this
  }

  pause({ topic, partition }: TopicPartition): void {
    if (this.#isOurs(topic, partition)) this.#consumer.pause([{ topic, partitions: [partition] }])
  }

  resume({ topic, partition }: TopicPartition): void {
    if (this.#isOurs(topic, partition)) this.#consumer.resume([{ topic, partitions: [partition] }])
  }

  async commit(offsets: readonly (TopicPartition & { readonly offset: bigint })[]) {
    const ours = offsets.filter(({ topic, partition }) => this.#isOurs(topic, partition))
    const list = ours.map(({ topic, partition, offset }) => ({ topic, partition, offset: String(offset) }))
    const { signal } = new AbortController()
    const commit = async () => {
      await this.#consumer.commitOffsets(list)
      return { kind: 'committed' } as const
    }
    return call(this.#where, commit, this.#deps.clock, signal)
  }

  async close(): Promise<void> {
    this.#over.abort(new Error('the member is closed'))
    this.#assigned.clear()
    this.#end(trouble('unreachable', `${this.#where}: the connection is closed`))
    const closing = this.#consumer.disconnect()
    // One that is still joining does not hear that, and would be a member that nobody listens to, with partitions of its own.
    const joined = this.#joining ? this.#started?.then(() => this.#consumer.disconnect()).catch(() => {}) : undefined
    await endWithin(closing, this.#deps.clock)
    void Promise.resolve(joined).then(this.#cut)
  }

  #isOurs(topic: string, partition: number): boolean {
    return !this.#over.signal.aborted && this.#assigned.has(`${topic}/${partition}`)
  }

  /** @throws where it is closed: the library would go on joining. */
  async beforeJoining(first: boolean): Promise<void> {
    this.#over.signal.throwIfAborted()
    this.#joining = true
    this.#heard()
    if (!first) await this.#listener.leaving()
  }

  #heard(): void {
    this.#heardMs = this.#deps.clock.monotonicMs()
  }

  #joined(assignment: Readonly<Record<string, readonly number[]>>): void {
    if (this.#over.signal.aborted) return
    const partitions = Object.entries(assignment).flatMap(([topic, numbers]) =>
      numbers.map(partition => ({ topic, partition })),
    )
    this.#joining = false
    this.#heard()
    this.#assigned = new Set(partitions.map(({ topic, partition }) => `${topic}/${partition}`))
    this.#listener.assigned(partitions)
  }

  #batch({ batch }: EachBatchPayload): void {
    const { topic, partition, messages } = batch
    if (!this.#isOurs(topic, partition) || messages.length === 0) return
    const end = BigInt(batch.lastOffset()) + 1n
    const records = messages.map(({ offset, timestamp, key, value, headers }, i) => ({
      offset: BigInt(offset),
      next: i === messages.length - 1 ? end : BigInt(offset) + 1n,
      timestampMs: timestampOf(timestamp),
      key: key ?? undefined,
      value: value ?? undefined,
      headers: headersOf(headers),
    }))
    this.#listener.records({ topic, partition }, records)
  }

  /** The library's own loop has been seen to stop without a word. */
  #watch(): void {
    if (this.#over.signal.aborted) return
    const silentMs = this.#deps.clock.monotonicMs() - this.#heardMs
    const mostMs = this.#joining ? JOIN_TIMEOUT_MS : SILENCE_MAX_MS
    if (silentMs > mostMs) {
      this.#end(trouble('unreachable', `${this.#where} has not answered for ${mostMs / 1000} s`))
      return
    }
    const cancel = this.#deps.clock.after(LOOK_EVERY_MS, () => {
      this.#over.signal.removeEventListener('abort', cancel)
      this.#watch()
    })
    this.#over.signal.addEventListener('abort', cancel, { once: true })
  }
}

/** The latest time that a date can be. */
const MOST_MS = 253_402_300_799_999

function timestampOf(text: string): number | undefined {
  const ms = Number(text)
  return ms >= 0 && ms <= MOST_MS ? ms : undefined
}

const NO_HEADERS: ReadonlyMap<string, Buffer> = new Map()

function headersOf(headers: IHeaders = {}): ReadonlyMap<string, Buffer> {
  const all = Object.entries(headers)
  // Most records have none, and a Map is half of what such a record takes.
  if (all.length === 0) return NO_HEADERS
  const found = new Map<string, Buffer>()
  for (const [name, given] of all) {
    const value = Array.isArray(given) ? given.at(-1) : given
    if (value !== undefined && value !== null) found.set(name, typeof value === 'string' ? Buffer.from(value) : value)
  }
  return found
}
