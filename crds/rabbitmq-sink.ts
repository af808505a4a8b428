import { readMetadata, topOf } from './metadata.ts'
import {
  CLUSTER_HINTS,
  clusterSecrets,
  type RabbitmqClusterReference,
  readRabbitmqCluster,
} from './rabbitmq-cluster.ts'
import { readName } from './rabbitmq-source.ts'
import { present, type Shape, short, type Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'
import type { SecretRefs } from './sources.ts'

/** RabbitmqSink, eventing.weir.dev/v1alpha1: events become messages of a RabbitMQ exchange. In the shape of Knative's KafkaSink. */
export interface RabbitmqSinkResource extends ResourceOf<'RabbitmqSink', 'eventing.weir.dev/v1alpha1'> {
  readonly spec: {
    readonly rabbitmqClusterReference: RabbitmqClusterReference
    /** Undefined: the one in the Secret's address, or `/`. */
    readonly vhost?: string
    /** Empty: the default exchange, whose keys are names of queues. */
    readonly exchange: string
    /** `{name}` stands for the attribute of that name, or for nothing where the event has none. */
    readonly routingKey: string
    readonly contentMode: 'binary' | 'structured'
  }
}

const FIELDS = ['rabbitmqClusterReference', 'vhost', 'exchange', 'routingKey', 'contentMode'] as const
const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    ...CLUSTER_HINTS,
    exchangeName: 'did you mean `exchange`?',
    queueName: 'leave `exchange` out and write the name of the queue as `routingKey`',
    auth: 'write `rabbitmqClusterReference: {connectionSecret: {name: …}}`',
  },
}

/** Reads a RabbitmqSink; what is wrong with it is told to the sheet of `value`. */
export function parseRabbitmqSink(value: Value): RabbitmqSinkResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'RabbitmqSink')
  const spec = top.requiredSection('spec', SPEC)
  const exchange = readName(spec.get('exchange')) ?? ''
  const key = spec.get('routingKey')
  if (exchange === '' && key === undefined) spec.miss('`spec` needs `exchange`, or the name of a queue as `routingKey`')
  return {
    apiVersion: 'eventing.weir.dev/v1alpha1',
    kind: 'RabbitmqSink',
    metadata,
    where: value.where,
    spec: {
      rabbitmqClusterReference: readRabbitmqCluster(spec, metadata.namespace),
      ...present({ vhost: readName(spec.get('vhost')) }),
      exchange,
      routingKey: (key && readKey(key)) ?? '',
      contentMode: spec.get('contentMode')?.oneOf(['binary', 'structured']) ?? 'binary',
    },
  }
}

/** The keys of Secrets that a sink needs. */
export function rabbitmqSinkSecrets({ spec }: RabbitmqSinkResource): SecretRefs {
  return clusterSecrets(spec.rabbitmqClusterReference)
}

function readKey(value: Value): string | undefined {
  const text = value.text()
  const wrong = text?.match(/\{(?![a-z0-9]+\})[^}]*\}?|(?<!\{[a-z0-9]*)\}/)?.[0]
  if (wrong === undefined) return text
  return value.mistake(`\`${value.path}\`: \`${short(wrong)}\` is no attribute, write one as in \`{type}\``)
}
