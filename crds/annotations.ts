import { parseDuration } from '../runtime/duration.ts'
import type { Metadata } from './resource.ts'
import { SOURCE_KINDS } from './sources.ts'
import { didYouMean } from './suggest.ts'

/** What Weir's own annotations say, and every mistake in them; a value that cannot be read counts as not given. */
export interface Knobs {
  /** Requests open at once: per replica of a workload, in all for an address. */
  readonly concurrency: number | undefined
  readonly reply: 'lenient' | 'strict'
  readonly store: 'durable' | 'memory'
  readonly backoffMaxMs: number | undefined
  /** The attribute whose equal values go in order; undefined: no order. */
  readonly order: string | undefined
  readonly batch: BatchKnobs | undefined
  readonly concurrencyTotal: number | undefined
  readonly ratePerSecond: number | undefined
  readonly adaptive: boolean
  readonly circuitFailures: number | undefined
  readonly circuitWaitMs: number | undefined
  readonly paused: boolean
  readonly dedupMs: number | undefined
  readonly deliverAfter: 'ignore' | 'honour'
  readonly expiry: 'ignore' | 'discard' | 'dead-letter'
  readonly start: 'now' | 'earliest' | number
  /** A condition on JSON data, in CEL. */
  readonly filterData: string | undefined
  readonly mistakes: readonly string[]
}

/** Unset is undefined; at least one is set. */
export interface BatchKnobs {
  readonly maxEvents: number | undefined
  readonly maxWaitMs: number | undefined
  readonly maxBytes: number | undefined
}

/** What a Namespace's annotations allow its Brokers. */
export interface QuotaKnobs {
  readonly eventsPerSecond: number | undefined
  readonly bytesPerSecond: number | undefined
  readonly backlog: number | undefined
  readonly mistakes: readonly string[]
}

/** What the autoscaling annotations say. Periods in ms. */
export type ScaleAnnotations =
  /** None is there: nobody asked for scaling. */
  | { readonly kind: 'absent' }
  /** `class: disabled`. */
  | { readonly kind: 'disabled' }
  | {
      readonly kind: 'declared'
      readonly min: number | undefined
      readonly max: number | undefined
      readonly lag: number | undefined
      readonly activation: number | undefined
      readonly pollMs: number | undefined
      readonly cooldownMs: number | undefined
      readonly mistakes: readonly string[]
    }

type Annotations = Readonly<Record<string, string>>
/** A value, or what it has to be: the words follow "must be". */
type Parse<T> = (text: string) => { readonly value: T } | { readonly wanted: string }

const CONCURRENCY = 'weir.dev/concurrency'
const REPLY = 'weir.dev/reply'
const STORE = 'weir.dev/store'
const BACKOFF_MAX = 'weir.dev/backoff-max'
const LOCAL_COMMAND = 'weir.dev/local-command'
const ORDER = 'weir.dev/order'
const ORDER_KEY = 'weir.dev/order-key'
const KAFKA_ORDER = 'kafka.eventing.knative.dev/delivery.order'
const BATCH_MAX_EVENTS = 'weir.dev/batch-max-events'
const BATCH_MAX_WAIT = 'weir.dev/batch-max-wait'
const BATCH_MAX_BYTES = 'weir.dev/batch-max-bytes'
const CONCURRENCY_TOTAL = 'weir.dev/concurrency-total'
const RATE = 'weir.dev/rate-per-second'
const ADAPTIVE = 'weir.dev/adaptive'
const CIRCUIT_FAILURES = 'weir.dev/circuit-failures'
const CIRCUIT_WAIT = 'weir.dev/circuit-wait'
const PAUSED = 'weir.dev/paused'
const DEDUP = 'weir.dev/dedup-window'
const DELIVER_AFTER = 'weir.dev/deliver-after'
const EXPIRY = 'weir.dev/expiry'
const START = 'weir.dev/start'
const FILTER_DATA = 'weir.dev/filter-data'
/** On a source: where events go that its sink refuses. */
export const DEAD_LETTER_SINK = 'weir.dev/dead-letter-sink'
const QUOTA_EVENTS = 'weir.dev/quota-events-per-second'
const QUOTA_BYTES = 'weir.dev/quota-bytes-per-second'
const QUOTA_BACKLOG = 'weir.dev/quota-backlog'

/** The attribute that orders by key where none is named (CloudEvents partitioning extension). */
const PARTITION_KEY = 'partitionkey'

/** Our own annotations, and the kinds on which each means something. */
const OURS: Readonly<Record<string, { readonly kinds: readonly string[]; readonly parse: Parse<unknown> }>> = {
  [CONCURRENCY]: { kinds: ['Trigger'], parse: whole(1, 100_000) },
  [REPLY]: { kinds: ['Trigger'], parse: oneOf('lenient', 'strict') },
  [STORE]: { kinds: ['Broker'], parse: oneOf('durable', 'memory') },
  [BACKOFF_MAX]: { kinds: ['Broker', 'Trigger'], parse: duration },
  [LOCAL_COMMAND]: { kinds: ['Deployment', 'ContainerSource'], parse: command },
  [ORDER]: { kinds: ['Trigger'], parse: oneOf('none', 'key') },
  [ORDER_KEY]: { kinds: ['Trigger'], parse: attributeName },
  [BATCH_MAX_EVENTS]: { kinds: ['Trigger'], parse: whole(1, 10_000) },
  [BATCH_MAX_WAIT]: { kinds: ['Trigger'], parse: duration },
  [BATCH_MAX_BYTES]: { kinds: ['Trigger'], parse: whole(1, 64 << 20) },
  [CONCURRENCY_TOTAL]: { kinds: ['Trigger'], parse: whole(1, 100_000) },
  [RATE]: { kinds: ['Trigger'], parse: decimal(0.001, 1_000_000) },
  [ADAPTIVE]: { kinds: ['Trigger'], parse: oneOf('true', 'false') },
  [CIRCUIT_FAILURES]: { kinds: ['Trigger'], parse: whole(1, 100_000) },
  [CIRCUIT_WAIT]: { kinds: ['Trigger'], parse: duration },
  [PAUSED]: { kinds: ['Trigger'], parse: oneOf('true', 'false') },
  [DEDUP]: { kinds: ['Broker', 'Trigger'], parse: duration },
  [DELIVER_AFTER]: { kinds: ['Trigger'], parse: oneOf('ignore', 'honour') },
  [EXPIRY]: { kinds: ['Trigger'], parse: oneOf('ignore', 'discard', 'dead-letter') },
  [START]: { kinds: ['Trigger'], parse: start },
  [FILTER_DATA]: { kinds: ['Trigger'], parse: text },
  [DEAD_LETTER_SINK]: { kinds: ['RabbitmqSource'], parse: destination },
  [QUOTA_EVENTS]: { kinds: ['Namespace'], parse: whole(1, 100_000_000) },
  [QUOTA_BYTES]: { kinds: ['Namespace'], parse: whole(1, 1_000_000_000) },
  [QUOTA_BACKLOG]: { kinds: ['Namespace'], parse: whole(1, 1_000_000_000) },
}

const KNATIVE = 'autoscaling.eventing.knative.dev'
const OLDER = 'autoscaling.knative.dev'
const KEDA = 'keda.autoscaling.knative.dev'

/** Where each setting is looked for; the first one that is there wins. */
const SCALING = {
  class: [`${KNATIVE}/class`, `${OLDER}/class`],
  min: [`${KNATIVE}/min-scale`, `${OLDER}/minScale`],
  max: [`${KNATIVE}/max-scale`, `${OLDER}/maxScale`],
  lag: [
    `${KNATIVE}/lag-threshold`,
    `${KEDA}/kafkaLagThreshold`,
    `${KEDA}/rabbitMQQueueLength`,
    `${KEDA}/redisStreamPendingEntriesCount`,
  ],
  activation: [`${KNATIVE}/activation-lag-threshold`, `${KEDA}/kafkaActivationLagThreshold`],
  poll: [`${KNATIVE}/polling-interval`, `${KEDA}/pollingInterval`],
  cooldown: [`${KNATIVE}/cooldown-period`, `${KEDA}/cooldownPeriod`],
} as const
const SCALING_NAMES: readonly string[] = Object.values(SCALING).flat()

/** Reads `weir.dev/…` of a Broker or a Trigger. */
export function readKnobs(metadata: Pick<Metadata, 'annotations'>): Knobs {
  const reading = new Reading(metadata.annotations)
  return {
    concurrency: reading.read([CONCURRENCY], whole(1, 100_000)),
    reply: reading.read([REPLY], oneOf('lenient', 'strict')) ?? 'lenient',
    store: reading.read([STORE], oneOf('durable', 'memory')) ?? 'durable',
    backoffMaxMs: reading.read([BACKOFF_MAX], duration),
    order: readOrder(reading),
    batch: readBatch(reading),
    concurrencyTotal: reading.read([CONCURRENCY_TOTAL], whole(1, 100_000)),
    ratePerSecond: reading.read([RATE], decimal(0.001, 1_000_000)),
    adaptive: reading.read([ADAPTIVE], oneOf('true', 'false')) === 'true',
    circuitFailures: reading.read([CIRCUIT_FAILURES], whole(1, 100_000)),
    circuitWaitMs: reading.read([CIRCUIT_WAIT], duration),
    paused: reading.read([PAUSED], oneOf('true', 'false')) === 'true',
    dedupMs: reading.read([DEDUP], duration),
    deliverAfter: reading.read([DELIVER_AFTER], oneOf('ignore', 'honour')) ?? 'ignore',
    expiry: reading.read([EXPIRY], oneOf('ignore', 'discard', 'dead-letter')) ?? 'ignore',
    start: reading.read([START], start) ?? 'now',
    filterData: reading.read([FILTER_DATA], text),
    mistakes: reading.mistakes.map(mistake => mistake.message),
  }
}

/** Reads what a Namespace allows its Brokers. */
export function readQuota(metadata: Pick<Metadata, 'annotations'>): QuotaKnobs {
  const reading = new Reading(metadata.annotations)
  return {
    eventsPerSecond: reading.read([QUOTA_EVENTS], whole(1, 100_000_000)),
    bytesPerSecond: reading.read([QUOTA_BYTES], whole(1, 1_000_000_000)),
    backlog: reading.read([QUOTA_BACKLOG], whole(1, 1_000_000_000)),
    mistakes: reading.mistakes.map(mistake => mistake.message),
  }
}

/** Ours wins over the annotation of Knative's Kafka broker, whose keys are partition keys too. */
function readOrder(reading: Reading): string | undefined {
  const ours = reading.read([ORDER], oneOf('none', 'key'))
  const kafka = reading.read([KAFKA_ORDER], oneOf('ordered', 'unordered'))
  const key = reading.read([ORDER_KEY], attributeName)
  const ordered = ours === undefined ? kafka === 'ordered' : ours === 'key'
  return ordered ? (key ?? PARTITION_KEY) : undefined
}

function readBatch(reading: Reading): BatchKnobs | undefined {
  const maxEvents = reading.read([BATCH_MAX_EVENTS], whole(1, 10_000))
  const maxWaitMs = reading.read([BATCH_MAX_WAIT], duration)
  const maxBytes = reading.read([BATCH_MAX_BYTES], whole(1, 64 << 20))
  const asked = maxEvents !== undefined || maxWaitMs !== undefined || maxBytes !== undefined
  return asked ? { maxEvents, maxWaitMs, maxBytes } : undefined
}

/** The command of `weir.dev/local-command`: a JSON list of words, or a line for `sh`. */
export function readLocalCommand(metadata: Pick<Metadata, 'annotations'>): readonly string[] | undefined {
  return new Reading(metadata.annotations).read([LOCAL_COMMAND], command)
}

/** The three families of annotations that Knative's integrations with KEDA know; the first one wins, name by name. */
export function readScaleAnnotations(metadata: Pick<Metadata, 'annotations'>): ScaleAnnotations {
  return scaling(new Reading(metadata.annotations))
}

export interface AnnotationMistake {
  readonly name: string
  readonly message: string
  readonly severity: 'mistake' | 'notice'
}

/** Everything that is wrong with the annotations that Weir acts on, in an object of `kind`. */
export function annotationMistakes(kind: string, annotations: Annotations): readonly AnnotationMistake[] {
  const reading = new Reading(annotations)
  if (SCALED_KINDS.includes(kind)) scaling(reading)
  const found: AnnotationMistake[] = [...reading.mistakes]
  for (const name of Object.keys(annotations)) {
    if (name.startsWith('weir.dev/')) found.push(...ourMistakes(kind, name, annotations))
    else if (name.startsWith(`${KNATIVE}/`) && !SCALING_NAMES.includes(name)) found.push(unknown(name, SCALING_NAMES))
  }
  return found
}

const SCALED_KINDS: readonly string[] = ['Trigger', ...SOURCE_KINDS]

function ourMistakes(kind: string, name: string, annotations: Annotations): AnnotationMistake[] {
  const own = Object.hasOwn(OURS, name) ? OURS[name] : undefined
  if (own === undefined) return [unknown(name, annotationsOf(kind))]
  if (!own.kinds.includes(kind)) {
    const message = `\`${name}\` does nothing on a ${kind}: it belongs on a ${own.kinds.join(' or a ')}`
    return [{ name, message, severity: 'notice' }]
  }
  const reading = new Reading(annotations)
  reading.read([name], own.parse)
  return reading.mistakes
}

function annotationsOf(kind: string): string[] {
  return Object.keys(OURS).filter(name => OURS[name]?.kinds.includes(kind))
}

function unknown(name: string, known: readonly string[]): AnnotationMistake {
  const ending = didYouMean(name, known) || `; known are ${known.filter(one => sameDomain(one, name)).join(', ')}`
  return { name, message: `unknown annotation \`${name}\`${ending}`, severity: 'mistake' }
}

function sameDomain(a: string, b: string): boolean {
  return a.split('/')[0] === b.split('/')[0]
}

function scaling(reading: Reading): ScaleAnnotations {
  if (!reading.hasAny(SCALING_NAMES)) return { kind: 'absent' }
  if (SCALING.class.some(name => reading.text(name) === 'disabled')) return { kind: 'disabled' }
  const seconds = (names: readonly string[], least: number) => {
    const value = reading.read(names, whole(least, 10_000_000))
    return value === undefined ? undefined : value * 1000
  }
  const min = reading.read(SCALING.min, whole(0, 100_000))
  const max = reading.read(SCALING.max, whole(1, 100_000))
  if (min !== undefined && max !== undefined && min > max)
    reading.wrong(SCALING.min, `the least number of replicas, ${min}, is above the most, ${max}`)
  return {
    kind: 'declared',
    min,
    max,
    lag: reading.read(SCALING.lag, whole(1, 1_000_000_000)),
    activation: reading.read(SCALING.activation, whole(0, 1_000_000_000)),
    pollMs: seconds(SCALING.poll, 1),
    cooldownMs: seconds(SCALING.cooldown, 0),
    mistakes: reading.mistakes.map(mistake => mistake.message),
  }
}

/** Annotations while they are read. */
class Reading {
  readonly mistakes: AnnotationMistake[] = []
  readonly #annotations: Annotations

  constructor(annotations: Annotations) {
    this.#annotations = annotations
  }

  hasAny(names: readonly string[]): boolean {
    return names.some(name => this.text(name) !== undefined)
  }

  text(name: string): string | undefined {
    return Object.hasOwn(this.#annotations, name) ? this.#annotations[name] : undefined
  }

  /** Of the first of `names` that is there. */
  read<T>(names: readonly string[], parse: Parse<T>): T | undefined {
    const name = names.find(one => this.text(one) !== undefined)
    if (name === undefined) return undefined
    const parsed = parse(this.text(name) ?? '')
    if ('value' in parsed) return parsed.value
    this.wrong([name], `annotation \`${name}\` must be ${parsed.wanted}, not ${JSON.stringify(this.text(name))}`)
    return undefined
  }

  wrong(names: readonly string[], message: string): void {
    const name = names.find(one => this.text(one) !== undefined) ?? ''
    this.mistakes.push({ name, message, severity: 'mistake' })
  }
}

function whole(least: number, most: number): Parse<number> {
  return text => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    return value >= least && value <= most ? { value } : { wanted: `a whole number from ${least} to ${most}` }
  }
}

function oneOf<const Word extends string>(...words: readonly Word[]): Parse<Word> {
  return text => {
    const value = words.find(word => word === text)
    return value === undefined ? { wanted: words.map(word => `\`${word}\``).join(' or ') } : { value }
  }
}

function duration(text: string): { value: number } | { wanted: string } {
  const read = parseDuration(text)
  if (read.kind === 'wrong') return { wanted: `an ISO 8601 duration (${read.hint})` }
  return read.ms > 0 ? { value: read.ms } : { wanted: 'longer than nothing' }
}

function command(text: string): { value: readonly string[] } | { wanted: string } {
  if (!text.trimStart().startsWith('[')) {
    return text.trim() === '' ? { wanted: 'a command' } : { value: ['sh', '-c', text] }
  }
  try {
    const words: unknown = JSON.parse(text)
    if (Array.isArray(words) && words.length > 0 && words.every(word => typeof word === 'string'))
      return { value: words }
  } catch {
    // What is wrong with the JSON does not matter: the wish is said below.
  }
  return { wanted: 'a JSON list of texts, or a line for sh' }
}

function decimal(least: number, most: number): Parse<number> {
  return text => {
    const value = /^\d{1,10}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN
    return value >= least && value <= most ? { value } : { wanted: `a number from ${least} to ${most}` }
  }
}

function attributeName(text: string): { value: string } | { wanted: string } {
  return /^[a-z0-9]{1,64}$/.test(text) ? { value: text } : { wanted: 'the name of an attribute: a-z and 0-9' }
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/

function start(text: string): { value: 'now' | 'earliest' | number } | { wanted: string } {
  if (text === 'now' || text === 'earliest') return { value: text }
  const ms = INSTANT.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? { wanted: '`now`, `earliest`, or a time as in 2026-01-31T08:00:00Z' } : { value: ms }
}

function text(text: string): { value: string } | { wanted: string } {
  return text.trim() === '' ? { wanted: 'not empty' } : { value: text }
}

/** What `weir.dev/dead-letter-sink` may name as `kind/name`, and the apiVersion of each. */
export const DEAD_LETTER_KINDS: Readonly<Record<string, string>> = {
  Broker: 'eventing.knative.dev/v1',
  Service: 'v1',
  KafkaSink: 'eventing.knative.dev/v1alpha1',
  RabbitmqSink: 'eventing.weir.dev/v1alpha1',
  AzureEventHubsSink: 'eventing.weir.dev/v1alpha1',
  AzureServiceBusSink: 'eventing.weir.dev/v1alpha1',
  AzureStorageQueueSink: 'eventing.weir.dev/v1alpha1',
}

function destination(text: string): { value: string } | { wanted: string } {
  const isAddress = /^https?:\/\/[^/\s]+\S*$/i.test(text) && URL.canParse(text)
  const kind = /^(?<kind>\w+)\/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.exec(text)?.groups?.kind ?? ''
  if (isAddress || Object.hasOwn(DEAD_LETTER_KINDS, kind)) return { value: text }
  return { wanted: `an address \`http(s)://…\`, or \`kind/name\` of a ${Object.keys(DEAD_LETTER_KINDS).join(', ')}` }
}
