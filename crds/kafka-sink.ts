import { readBootstrapServers, readTopic } from './kafka-net.ts'
import { readMetadata, topOf } from './metadata.ts'
import { type Fields, present, type Shape, type Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'
import type { SecretKeyRef } from './source-fields.ts'
import type { SecretRefs } from './sources.ts'

/** KafkaSink, eventing.knative.dev/v1alpha1: events become records of a Kafka topic. */
export interface KafkaSinkResource extends ResourceOf<'KafkaSink', 'eventing.knative.dev/v1alpha1'> {
  readonly spec: {
    readonly topic: string
    /** `host:port`, one at least. */
    readonly bootstrapServers: readonly string[]
    /** `binary` unless given. */
    readonly contentMode: 'binary' | 'structured'
    /** Of a topic that has to be made: 10 and 1 unless given. */
    readonly numPartitions: number
    readonly replicationFactor: number
    /** A Secret in the same namespace with keys `protocol`, `sasl.mechanism`, `user`, `password`, `ca.crt`, `user.crt`, `user.key`. */
    readonly authSecret?: string
  }
}

const FIELDS = ['topic', 'bootstrapServers', 'contentMode', 'numPartitions', 'replicationFactor', 'auth'] as const
const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    topics: 'write `topic: …`, one',
    net: 'write `auth: {secret: {ref: {name: …}}}`',
    delivery: 'a sink has none: it belongs to the Trigger that delivers here',
  },
}
/** Knative's defaults (KafkaSink API). The protocol counts replicas in 16 bits. */
const PARTITIONS = 10
const REPLICAS = 1
const REPLICAS_MAX = 32_767

/** Reads a KafkaSink; what is wrong with it is told to the sheet of `value`. */
export function parseKafkaSink(value: Value): KafkaSinkResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'KafkaSink')
  const spec = top.requiredSection('spec', SPEC)
  return {
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'KafkaSink',
    metadata,
    where: value.where,
    spec: {
      topic: readTopic(spec.required('topic')) ?? '',
      bootstrapServers: readBootstrapServers(spec),
      contentMode: spec.get('contentMode')?.oneOf(['binary', 'structured']) ?? 'binary',
      numPartitions: spec.get('numPartitions')?.integer(1) ?? PARTITIONS,
      replicationFactor: spec.get('replicationFactor')?.integer(1, REPLICAS_MAX) ?? REPLICAS,
      ...present({ authSecret: readAuth(spec) }),
    },
  }
}

function readAuth(spec: Fields<'auth'>): string | undefined {
  if (spec.get('auth') === undefined) return undefined
  const auth = spec.section('auth', { known: ['secret'] })
  const secret = auth.requiredSection('secret', { known: ['ref'], hints: { name: 'indent it under `ref`' } })
  const ref = secret.requiredSection('ref', { known: ['name'] })
  return ref.required('name')?.word()
}

/** The keys of Knative's Kafka Secrets, by the names that the client knows them by. Which are needed follows from `protocol`. */
const SECRET_KEYS: Readonly<Record<string, string>> = {
  protocol: 'protocol',
  mechanism: 'sasl.mechanism',
  user: 'user',
  password: 'password',
  ca: 'ca.crt',
  cert: 'user.crt',
  key: 'user.key',
}

/** The keys of Secrets that a sink needs. */
export function kafkaSinkSecrets({ spec: { authSecret } }: KafkaSinkResource): SecretRefs {
  if (authSecret === undefined) return {}
  const ref = (key: string): SecretKeyRef => ({ name: authSecret, key, ...(key !== 'protocol' && { optional: true }) })
  return Object.fromEntries(Object.entries(SECRET_KEYS).map(([name, key]) => [name, ref(key)]))
}
