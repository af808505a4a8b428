import { DEAD_LETTER_KINDS, DEAD_LETTER_SINK } from './annotations.ts'
import type { DeliverySpec } from './delivery.ts'
import { readMetadata, topOf } from './metadata.ts'
import { CLUSTER_HINTS, type RabbitmqClusterReference, readRabbitmqCluster } from './rabbitmq-cluster.ts'
import { type Fields, present, type Shape, short, type Value } from './reader.ts'
import type { Destination, Metadata, ResourceOf } from './resource.ts'
import { readSourceFields, SOURCE_FIELDS, SOURCE_HINTS, type SourceFields } from './source-fields.ts'

/**
 * RabbitmqSource, sources.knative.dev/v1alpha1: messages of one RabbitMQ queue become events. Beside Knative's fields it has
 * `ceOverrides`, `delivery.deadLetterSink`, and the annotation `weir.dev/dead-letter-sink`, which is put into `delivery`.
 */
export interface RabbitmqSourceResource extends ResourceOf<'RabbitmqSource', 'sources.knative.dev/v1alpha1'> {
  readonly spec: SourceFields & {
    readonly rabbitmqClusterReference: RabbitmqClusterReference
    readonly rabbitmqResourcesConfig: {
      /** Undefined: the one in the Secret's address, or `/`. */
      readonly vhost?: string
      readonly queueName: string
      /** Undefined only where the queue is `predeclared`. */
      readonly exchangeName?: string
      /** Nothing is made in RabbitMQ. */
      readonly predeclared: boolean
      /** Messages held at once by one replica, 1 to 1000. */
      readonly parallelism: number
    }
    readonly serviceAccountName?: string
  }
}

type Resources = RabbitmqSourceResource['spec']['rabbitmqResourcesConfig']

const FIELDS = ['rabbitmqClusterReference', 'rabbitmqResourcesConfig', 'serviceAccountName', ...SOURCE_FIELDS] as const
const RESOURCES: Shape<'vhost' | 'queueName' | 'exchangeName' | 'predeclared' | 'parallelism'> = {
  known: ['vhost', 'queueName', 'exchangeName', 'predeclared', 'parallelism'],
  hints: { name: 'did you mean `queueName`?' },
}
const IN_RESOURCES = Object.fromEntries(
  RESOURCES.known.map(name => [name, 'indent it under `rabbitmqResourcesConfig`']),
)
const OLDER = 'it is of an older version: use `rabbitmqResourcesConfig`'

const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  silent: ['adapterContainerName'],
  hints: {
    ...IN_RESOURCES,
    ...CLUSTER_HINTS,
    exchangeConfig: OLDER,
    queueConfig: OLDER,
    broker: 'it is of an older version: use `rabbitmqClusterReference`',
    ...SOURCE_HINTS,
  },
}

/** Where something is said of delivery and this is not: before an event is given up its sink gets a few minutes. */
const DELIVERY: DeliverySpec = { retry: 10, backoffPolicy: 'exponential', backoffDelayMs: 200 }
/** Of names, in AMQP 0-9-1. */
const SHORT_STRING_BYTES = 255

/** Reads a RabbitmqSource; what is wrong with it is told to the sheet of `value`. */
export function parseRabbitmqSource(value: Value): RabbitmqSourceResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'RabbitmqSource')
  const spec = top.requiredSection('spec', SPEC)
  const { delivery, ...fields } = readSourceFields(spec, metadata.namespace)
  const serviceAccountName = spec.get('serviceAccountName')
  return {
    apiVersion: 'sources.knative.dev/v1alpha1',
    kind: 'RabbitmqSource',
    metadata,
    where: value.where,
    spec: {
      rabbitmqClusterReference: readRabbitmqCluster(spec, metadata.namespace),
      rabbitmqResourcesConfig: readResources(spec),
      ...present({ serviceAccountName: serviceAccountName?.word(), delivery: deliveryOf(delivery, metadata) }),
      ...fields,
    },
  }
}

function readResources(spec: Fields<'rabbitmqResourcesConfig'>): Resources {
  const fields = spec.requiredSection('rabbitmqResourcesConfig', RESOURCES)
  const predeclared = fields.get('predeclared')?.boolean() ?? false
  const exchange = predeclared ? fields.get('exchangeName') : fields.required('exchangeName')
  return {
    queueName: readName(fields.required('queueName')) ?? '',
    predeclared,
    parallelism: fields.get('parallelism')?.integer(1, 1000) ?? 1,
    ...present({ vhost: readName(fields.get('vhost')), exchangeName: readName(exchange) }),
  }
}

/** A name as AMQP 0-9-1 writes one (§4.2.5.3, short strings). */
export function readName(value: Value | undefined): string | undefined {
  const name = value?.word()
  if (value === undefined || name === undefined) return undefined
  if (Buffer.byteLength(name) <= SHORT_STRING_BYTES) return name
  return value.mistake(`\`${value.path}\` must be at most ${SHORT_STRING_BYTES} bytes, not \`${short(name)}\``)
}

/** The spec's own dead-letter sink wins over the annotation. */
function deliveryOf(given: DeliverySpec | undefined, metadata: Metadata): DeliverySpec | undefined {
  const annotated = deadLetterSinkOf(metadata)
  if (given === undefined && annotated === undefined) return undefined
  return { ...DELIVERY, ...(annotated && { deadLetterSink: annotated }), ...given }
}

/** `weir.dev/dead-letter-sink: Broker/default`, or a URL. One that cannot be read has been reported with the metadata. */
function deadLetterSinkOf({ annotations, namespace }: Metadata): Destination | undefined {
  const text = Object.hasOwn(annotations, DEAD_LETTER_SINK) ? annotations[DEAD_LETTER_SINK] : undefined
  if (text === undefined) return undefined
  if (/^https?:/i.test(text)) return { uri: text }
  const [kind = '', name = ''] = text.split('/')
  const apiVersion = Object.hasOwn(DEAD_LETTER_KINDS, kind) ? DEAD_LETTER_KINDS[kind] : undefined
  return apiVersion === undefined ? undefined : { ref: { apiVersion, kind, name, namespace } }
}
