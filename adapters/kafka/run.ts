import { type KafkaAccess, kafkaAccessOf } from '../../clients/kafka/access.ts'
import { type GroupMember, joinGroup } from '../../clients/kafka/group.ts'
import type { Trouble } from '../../clients/kafka/outcome.ts'
import { type Lookout, openLookout } from '../../clients/kafka/positions.ts'
import { trouble } from '../../clients/trouble.ts'
import { consumerGroupOf, type KafkaSourceResource } from '../../crds/kafka-source.ts'
import { sleep } from '../../runtime/clock.ts'
import type { AdapterDeps, RunAdapter } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import { Partitions } from './partitions.ts'

/** A connection that failed is opened again in this rhythm. */
const TROUBLE: Backoff = { minMs: 500, maxMs: 15_000 }
/** How soon a topic that is missing is found once somebody has made it. */
const MISSING_LOOK_MS = 5_000

/**
 * The records of Kafka topics become events, at least once, every partition for itself. What is taken is committed, and
 * nothing else. The connection and the place in the group are made again as often as they are lost.
 * @throws {KafkaAccessError} where the credentials cannot be right.
 */
export const runKafka: RunAdapter<KafkaSourceResource> = async ({ source, credentials }, deps, signal) => {
  const { bootstrapServers, net, consumers } = source.spec
  const access = kafkaAccessOf(
    bootstrapServers,
    { tls: net.tls !== undefined, sasl: net.sasl !== undefined },
    credentials,
  )
  if (consumers === 0) return await pause(deps, signal)
  await new Runner(source, access, deps).run(signal)
}

/** `consumers: 0`: nothing is read, and others in the group have all of it. */
async function pause({ report }: AdapterDeps, signal: AbortSignal): Promise<void> {
  report({ ready: true, error: undefined, held: 0, emitted: 0 })
  if (signal.aborted) return
  await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
}

class Runner {
  readonly #source: KafkaSourceResource
  readonly #access: KafkaAccess
  readonly #deps: AdapterDeps
  readonly #group: string
  readonly #partitions: Partitions
  /** Topics that were not there when they were looked for: all that is in them came since, and is read from the beginning. */
  readonly #wereMissing = new Set<string>()
  #failures = 0

  constructor(source: KafkaSourceResource, access: KafkaAccess, deps: AdapterDeps) {
    const { namespace, name } = source.metadata
    const { keyType, extensions, ordering } = source.spec
    const from = { source: `/apis/v1/namespaces/${namespace}/kafkasources/${name}`, keyType, extensions }
    this.#source = source
    this.#access = access
    this.#deps = deps
    this.#group = consumerGroupOf(source)
    this.#partitions = new Partitions({ group: this.#group, ordering, from }, deps)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps
    const stop = AbortSignal.any([signal, this.#partitions.broken])
    const lookout = await openLookout(this.#access, { log }, clock)
    try {
      while (!stop.aborted) {
        const found = await this.#session(lookout, stop)
        if (found === undefined) continue
        const missing = found.what === 'missing'
        this.#partitions.tellConnection(found.reason, this.#partitions.isReady && !missing)
        log.warn({ group: this.#group, reason: found.reason }, 'a Kafka topic cannot be read')
        const delayMs = missing ? MISSING_LOOK_MS : backoffMs(this.#failures++, TROUBLE, random)
        await sleep(clock, delayMs, stop)
      }
    } catch (error) {
      if (!stop.aborted) throw error
    } finally {
      await lookout.close()
    }
    if (this.#partitions.broken.aborted) throw this.#partitions.broken.reason
  }

  /** From joining the group to the end of that. @returns why it ended, or undefined where it was ended here. */
  async #session(lookout: Lookout, stop: AbortSignal): Promise<Trouble | undefined> {
    const { clock, log } = this.#deps
    const { topics, initialOffset } = this.#source.spec
    const there = await lookout.topics(stop)
    if (there.kind === 'trouble') return there
    const [present, absent] = split(topics, topic => there.names.has(topic))
    for (const topic of absent) this.#wereMissing.add(topic)
    if (present.length === 0) return this.#missing(absent)
    const fromEnd = initialOffset === 'latest' ? present.filter(topic => !this.#wereMissing.has(topic)) : []
    const options = { group: this.#group, topics: present, fromEnd }
    const member = await joinGroup(this.#access, options, this.#partitions, { clock, log }, stop)
    if (member.kind === 'trouble') return member
    this.#failures = 0
    this.#partitions.use(member)
    this.#partitions.tellConnection(absent.length === 0 ? undefined : this.#missing(absent).reason, absent.length === 0)
    log.info({ group: this.#group, topics: present }, 'a Kafka consumer has joined its group')
    return await this.#until(member, this.#appeared(lookout, absent, member, stop), stop)
  }

  /** Waits for the end of `member`, for `stop`, or for `change`, and lets go of it. */
  async #until(member: GroupMember, change: Promise<void>, stop: AbortSignal): Promise<Trouble | undefined> {
    const { promise: stopped, resolve } = Promise.withResolvers<undefined>()
    const onStop = () => resolve(undefined)
    stop.addEventListener('abort', onStop, { once: true })
    if (stop.aborted) onStop()
    const found = await Promise.race([member.ended, stopped, change.then(() => undefined)])
    stop.removeEventListener('abort', onStop)
    if (stop.aborted) await this.#partitions.drain()
    else if (found === undefined) await this.#partitions.leaving()
    this.#partitions.use(undefined)
    await member.close()
    return found
  }

  /** Resolves when one of the topics that were missing is there, or never. */
  async #appeared(lookout: Lookout, absent: readonly string[], member: GroupMember, stop: AbortSignal): Promise<void> {
    const over = new AbortController()
    void member.ended.then(() => over.abort(new Error('the member has ended')))
    const signal = AbortSignal.any([stop, over.signal])
    try {
      while (absent.length > 0) {
        await sleep(this.#deps.clock, MISSING_LOOK_MS, signal)
        const there = await lookout.topics(signal)
        if (there.kind === 'topics' && absent.some(topic => there.names.has(topic))) return
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
    await new Promise<never>(() => {})
  }

  #missing(topics: readonly string[]): Trouble {
    const names = topics.map(topic => JSON.stringify(topic)).join(', ')
    const [is, it] = topics.length === 1 ? ['topic', 'it'] : ['topics', 'them']
    return trouble(
      'missing',
      `${this.#access.brokers.join(',')} has no ${is} ${names}, or the user may not see ${it}: make ${it}, and reading begins by itself`,
    )
  }
}

function split<T>(all: readonly T[], holds: (one: T) => boolean): [T[], T[]] {
  return [all.filter(holds), all.filter(one => !holds(one))]
}
