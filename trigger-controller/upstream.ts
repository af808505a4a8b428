import { containerAccessOf, EventHubsAccessError, hubAccessOf } from '../clients/azure-event-hubs/access.ts'
import { busAccessOf, ServiceBusAccessError } from '../clients/azure-service-bus/access.ts'
import { accessOf, StorageAccessError } from '../clients/azure-storage-queue/account.ts'
import type { BacklogQuery } from '../clients/backlog.ts'
import { KafkaAccessError, kafkaAccessOf } from '../clients/kafka/access.ts'
import { RabbitAccessError, rabbitAccessOf } from '../clients/rabbitmq/access.ts'
import { readScaleAnnotations } from '../crds/annotations.ts'
import type { AzureEventHubsSourceResource } from '../crds/azure-event-hubs-source.ts'
import { consumerGroupOf, type KafkaSourceResource } from '../crds/kafka-source.ts'
import type { RabbitmqSourceResource } from '../crds/rabbitmq-source.ts'
import { type SourceResource, secretRefs } from '../crds/sources.ts'
import { readCredentials } from './credentials.ts'

/** A source with its credentials, and what is known of where its messages come from. */
export type Upstream =
  | {
      readonly kind: 'known'
      /** By the names in the source's Secrets. Never logged, never reported. */
      readonly credentials: Readonly<Record<string, string>>
      /** How much waits there; undefined where nothing can wait: such a source is not scaled. */
      readonly backlog: BacklogQuery | undefined
      /** Messages that one adapter works on at once. */
      readonly concurrency: number
    }
  /** In words; names Secrets and keys, never their values. */
  | { readonly kind: 'missing'; readonly reason: string }

type SecretValue = (name: string, key: string) => string | undefined
type Known = Pick<Extract<Upstream, { kind: 'known' }>, 'backlog' | 'concurrency'>

/** How the upstream of a source is reached, its credentials out of the Secrets that it names. Pure. */
export function upstreamOfSource(source: SourceResource, secretValue: SecretValue): Upstream {
  const found = readCredentials(secretRefs(source), source.metadata.namespace, secretValue)
  if (found.kind === 'missing') return found
  const { credentials } = found
  const known = knownOf(source, credentials)
  return 'reason' in known ? { kind: 'missing', reason: known.reason } : { kind: 'known', credentials, ...known }
}

function knownOf(
  source: SourceResource,
  credentials: Readonly<Record<string, string>>,
): Known | { readonly reason: string } {
  switch (source.kind) {
    case 'AzureEventHubsSource':
      return orReason(EventHubsAccessError, () => eventHubsOf(source.spec, credentials))
    case 'AzureServiceBusSource':
      return orReason(ServiceBusAccessError, () => ({
        backlog: { system: 'azure-service-bus', access: busAccessOf(source.spec, credentials) },
        concurrency: source.spec.sessions.enabled ? source.spec.sessions.maxConcurrent : source.spec.parallelism,
      }))
    case 'AzureStorageQueueSource':
      return orReason(StorageAccessError, () => ({
        backlog: { system: 'azure-queue', access: accessOf(source.spec, credentials), strategy: 'all' },
        concurrency: source.spec.parallelism,
      }))
    case 'KafkaSource':
      return orReason(KafkaAccessError, () => kafkaOf(source, credentials))
    case 'RabbitmqSource':
      return orReason(RabbitAccessError, () => rabbitOf(source.spec.rabbitmqResourcesConfig, credentials))
    case 'PingSource':
    case 'WebhookSource':
      return { backlog: undefined, concurrency: 1 }
    default:
      return source satisfies never
  }
}

/** Events that one replica is meant to have waiting, as KEDA's `unprocessedEventThreshold` has it. */
const EVENTS_PER_REPLICA = 64

function eventHubsOf(spec: AzureEventHubsSourceResource['spec'], credentials: Readonly<Record<string, string>>): Known {
  const hub = hubAccessOf(spec, credentials)
  const container = containerAccessOf(spec.checkpoint, hub, credentials)
  return {
    backlog: { system: 'azure-event-hubs', hub, group: spec.consumerGroup, container },
    concurrency: EVENTS_PER_REPLICA,
  }
}

/** Records that one replica is meant to have waiting (Knative, `config-kafka-autoscaler`). */
const RECORDS_PER_REPLICA = 100

function kafkaOf(source: KafkaSourceResource, credentials: Readonly<Record<string, string>>): Known {
  const { bootstrapServers, net, topics, initialOffset } = source.spec
  const enabled = { tls: net.tls !== undefined, sasl: net.sasl !== undefined }
  const access = kafkaAccessOf(bootstrapServers, enabled, credentials)
  const unread = initialOffset === 'latest' ? 'pinned' : 'all'
  const declared = readScaleAnnotations(source.metadata)
  const perReplica = (declared.kind === 'declared' ? declared.lag : undefined) ?? RECORDS_PER_REPLICA
  const cap = { perReplica, replicas: 'partitions' } as const
  return {
    backlog: { system: 'kafka', access, group: consumerGroupOf(source), topics, unread, cap },
    concurrency: RECORDS_PER_REPLICA,
  }
}

function rabbitOf(
  { vhost, queueName, parallelism }: RabbitmqSourceResource['spec']['rabbitmqResourcesConfig'],
  credentials: Readonly<Record<string, string>>,
): Known {
  const access = rabbitAccessOf(credentials, vhost)
  return {
    backlog: { system: 'rabbitmq', access, queue: queueName, protocol: 'both', what: 'all' },
    concurrency: parallelism,
  }
}

/** What a client says of credentials that cannot be right is a reason, no crash. */
function orReason(expected: new (...args: never[]) => Error, read: () => Known): Known | { readonly reason: string } {
  try {
    return read()
  } catch (error) {
    if (error instanceof expected) return { reason: error.message }
    throw error
  }
}
