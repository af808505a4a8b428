import type { Kafka, LogEntry, SASLOptions } from 'kafkajs'
import type { Clock } from '../../runtime/clock.ts'
import { endInTime, inTime } from '../../runtime/in-time.ts'
import type { Log } from '../../runtime/log.ts'
import { noAnswer } from '../trouble.ts'
import { type KafkaAccess, type KafkaTls, shownBrokers } from './access.ts'
import { registerCodecs } from './codecs.ts'
import { type Trouble, troubleOf } from './outcome.ts'
import { trackSockets } from './sockets.ts'

/** One request, its repetitions included. */
export const CALL_TIMEOUT_MS = 30_000
const CONNECT_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 15_000
/** A polite end may take this long. */
const CLOSE_TIMEOUT_MS = 5_000
/** The library's own repetitions, which only bridge a moment: 0.2, 0.4 and 0.8 s. */
const RETRY = { retries: 3, initialRetryTime: 200, maxRetryTime: 2_000 }

export interface KafkaClient {
  readonly kafka: Kafka
  /** `kafka://…`, without credentials. */
  readonly where: string
  /** Cuts what is left of its connections, once they were ended. */
  cut(): void
}

export interface ClientDeps {
  readonly log: Log
  /** Told when a position is not in the topic any more and the library goes on at the earliest one. */
  readonly onOutOfRange?: (topic: string, partition: number) => void
}

/** A client of these brokers, not connected. The library is loaded with the first one. */
export async function openKafka(access: KafkaAccess, { log, onOutOfRange }: ClientDeps): Promise<KafkaClient> {
  const {
    default: { Kafka, logLevel },
  } = await import('kafkajs')
  await registerCodecs()
  keepQuiet()
  const { factory, cut } = trackSockets()
  const kafka = new Kafka({
    clientId: 'weir',
    brokers: [...access.brokers],
    connectionTimeout: CONNECT_TIMEOUT_MS,
    authenticationTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: RETRY,
    socketFactory: factory,
    ...(access.tls && { ssl: tlsOptions(access.tls) }),
    // The mechanism's type is the tag of a union that has the same fields for all of ours.
    ...(access.sasl && { sasl: { ...access.sasl } as SASLOptions }),
    logLevel: logLevel.WARN,
    logCreator: () => entry => {
      const { topic, partition } = entry.log as { readonly topic?: unknown; readonly partition?: unknown }
      if (isOutOfRange(entry) && typeof topic === 'string') onOutOfRange?.(topic, Number(partition))
      write(log, entry)
    },
  })
  return { kafka, where: shownBrokers(access), cut }
}

/** Runs requests within `timeoutMs`. What goes wrong is a trouble. @throws the signal's reason. */
export async function call<T>(
  where: string,
  requests: () => Promise<T>,
  clock: Clock,
  signal: AbortSignal,
  timeoutMs = CALL_TIMEOUT_MS,
): Promise<T | Trouble> {
  try {
    return await inTime(clock, timeoutMs, signal, requests, noAnswer(where, timeoutMs))
  } catch (error) {
    signal.throwIfAborted()
    return troubleOf(error, where)
  }
}

/** Ends a connection politely, or stops waiting for it. Never rejects. */
export function endWithin(ending: Promise<unknown>, clock: Clock): Promise<void> {
  return endInTime(clock, CLOSE_TIMEOUT_MS, () => ending)
}

function tlsOptions({ ca, cert, key, passphrase, insecure }: KafkaTls) {
  return {
    ...(ca && { ca: [ca] }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(passphrase && { passphrase }),
    ...(insecure && { rejectUnauthorized: false }),
  }
}

/** The library says it nowhere else (kafkajs, `ConsumerGroup.recoverFromOffsetOutOfRange`). */
function isOutOfRange({ log: { message } }: LogEntry): boolean {
  return message.startsWith('Offset out of range, resetting')
}

const FACTS = ['groupId', 'memberId', 'topic', 'partition', 'broker', 'retryCount', 'error']

/** What the library logs is never more than a warning: what a person must mend is told as the adapter's state. */
function write(log: Log, { namespace, log: entry }: LogEntry): void {
  const facts = FACTS.flatMap(name => (typeof entry[name] === 'string' ? [[name, entry[name].slice(0, 300)]] : []))
  log.warn(
    { ...Object.fromEntries(facts), part: namespace, says: entry.message.slice(0, 300) },
    'the Kafka client warns',
  )
}

let quiet = false

/**
 * The library asks for a timer of less than nothing at every connection (kafkajs#1751). It is harmless, and Node would
 * print a warning about it that nobody can act on; those of other code are printed.
 */
function keepQuiet(): void {
  if (quiet) return
  quiet = true
  const emit = process.emitWarning
  const filtered = (...args: Parameters<typeof emit>) => {
    const kind: unknown = args[1]
    if (kind === 'TimeoutNegativeWarning' && /[\\/]kafkajs[\\/]/.test(new Error().stack ?? '')) return
    emit.apply(process, args)
  }
  process.emitWarning = filtered as typeof emit
}
