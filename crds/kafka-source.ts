import type { DeliverySpec } from './delivery.ts'
import { type KafkaNet, readBootstrapServers, readKafkaNet, readTopic } from './kafka-net.ts'
import { readMetadata, topOf } from './metadata.ts'
import { type Fields, present, type Shape, short, type Value } from './reader.ts'
import type { Metadata, ResourceOf } from './resource.ts'
import { readSourceFields, SOURCE_FIELDS, SOURCE_HINTS, type SourceFields } from './source-fields.ts'

/** KafkaSource, sources.knative.dev/v1: records of Kafka topics become events. `v1beta1` has the same shape and reads as this. */
export interface KafkaSourceResource extends ResourceOf<'KafkaSource', 'sources.knative.dev/v1'> {
  readonly spec: SourceFields & {
    /** `host:port`, one at least. */
    readonly bootstrapServers: readonly string[]
    readonly topics: readonly string[]
    /** Undefined: `consumerGroupOf` makes one up. */
    readonly consumerGroup?: string
    /** 1 unless given; 0 is paused. */
    readonly consumers: number
    /** Where a group begins that has read nothing yet. `latest` unless given. */
    readonly initialOffset: 'earliest' | 'latest'
    /** `ordered` unless given: the events of a partition one after the other. */
    readonly ordering: 'ordered' | 'unordered'
    readonly net: KafkaNet
    /** What the key of a record is; out of a label. */
    readonly keyType: KafkaKeyType
  }
}

export type KafkaKeyType = (typeof KEY_TYPES)[number]

const KEY_TYPES = ['string', 'int', 'float', 'byte-array'] as const
/** A label by Knative's definition; an annotation of this name is taken as well. */
export const KAFKA_KEY_TYPE = 'kafkasources.sources.knative.dev/key-type'

const FIELDS = [
  'bootstrapServers',
  'topics',
  'consumerGroup',
  'consumers',
  'initialOffset',
  'ordering',
  'net',
  ...SOURCE_FIELDS,
] as const

const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    topic: 'write `topics: […]`',
    tls: 'indent it under `net`',
    sasl: 'indent it under `net`',
    keyType: `it is a label: \`${KAFKA_KEY_TYPE}\``,
    ...SOURCE_HINTS,
  },
}

/** What Knative does where something is said of delivery, and this is not. */
const DELIVERY: DeliverySpec = { retry: 10, backoffPolicy: 'exponential', backoffDelayMs: 300 }

/** Reads a KafkaSource; what is wrong with it is told to the sheet of `value`. */
export function parseKafkaSource(value: Value): KafkaSourceResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'KafkaSource')
  const spec = top.requiredSection('spec', SPEC)
  const { delivery, ...fields } = readSourceFields(spec, metadata.namespace)
  return {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'KafkaSource',
    metadata,
    where: value.where,
    spec: {
      bootstrapServers: readBootstrapServers(spec),
      topics: readTopics(spec),
      ...present({ consumerGroup: readGroup(spec.get('consumerGroup')) }),
      consumers: spec.get('consumers')?.integer(0) ?? 1,
      initialOffset: spec.get('initialOffset')?.oneOf(['earliest', 'latest']) ?? 'latest',
      ordering: spec.get('ordering')?.oneOf(['ordered', 'unordered']) ?? 'ordered',
      net: readKafkaNet(spec),
      keyType: readKeyType(top, metadata),
      ...fields,
      ...(delivery && { delivery: { ...DELIVERY, ...delivery } }),
    },
  }
}

/** The group that a source reads as: the same one after every restart, on a laptop too, where nothing has a uid. */
export function consumerGroupOf({ metadata, spec }: KafkaSourceResource): string {
  const { uid, namespace, name } = metadata
  return spec.consumerGroup ?? `knative-kafka-source-${uid ?? `${namespace}-${name}`}`
}

function readTopics(spec: Fields<'topics'>): readonly string[] {
  const list = spec.required('topics')
  if (list === undefined) return []
  const items = list.list()
  if (list.isList() && items.length === 0) list.mistake('`spec.topics` must name one topic at least')
  return [...new Set(items.flatMap(item => readTopic(item) ?? []))]
}

function readGroup(value: Value | undefined): string | undefined {
  const group = value?.text()
  // Knative's own defaulting treats an empty group as none.
  return group === '' ? undefined : group
}

function readKeyType(top: Fields<'metadata'>, { labels, annotations }: Metadata): KafkaKeyType {
  const given = labels[KAFKA_KEY_TYPE] ?? annotations[KAFKA_KEY_TYPE]
  if (given === undefined) return 'string'
  const known = KEY_TYPES.find(type => type === given)
  if (known !== undefined) return known
  const legal = KEY_TYPES.map(type => `\`${type}\``).join(', ')
  top.get('metadata')?.mistake(`the label \`${KAFKA_KEY_TYPE}\` must be one of ${legal}, not \`${short(given)}\``)
  return 'string'
}
