import { type AzureEventHubsSinkResource, azureEventHubsSinkSecrets } from './azure-event-hubs-sink.ts'
import { type AzureServiceBusSinkResource, azureServiceBusSinkSecrets } from './azure-service-bus-sink.ts'
import { type AzureStorageQueueSinkResource, azureStorageQueueSinkSecrets } from './azure-storage-queue-sink.ts'
import { type KafkaSinkResource, kafkaSinkSecrets } from './kafka-sink.ts'
import { type RabbitmqSinkResource, rabbitmqSinkSecrets } from './rabbitmq-sink.ts'
import type { SecretRefs } from './sources.ts'

/** Every kind of sink: an event that comes to it goes out to another system. */
export type SinkResource =
  | AzureEventHubsSinkResource
  | AzureServiceBusSinkResource
  | AzureStorageQueueSinkResource
  | KafkaSinkResource
  | RabbitmqSinkResource

interface SinkKind<R extends SinkResource> {
  readonly apiVersion: R['apiVersion']
  /** Which keys of Secrets it needs. */
  readonly secrets: (sink: R) => SecretRefs
}

const KINDS: { readonly [K in SinkResource['kind']]: SinkKind<Extract<SinkResource, { kind: K }>> } = {
  AzureEventHubsSink: { apiVersion: 'eventing.weir.dev/v1alpha1', secrets: azureEventHubsSinkSecrets },
  AzureServiceBusSink: { apiVersion: 'eventing.weir.dev/v1alpha1', secrets: azureServiceBusSinkSecrets },
  AzureStorageQueueSink: { apiVersion: 'eventing.weir.dev/v1alpha1', secrets: azureStorageQueueSinkSecrets },
  KafkaSink: { apiVersion: 'eventing.knative.dev/v1alpha1', secrets: kafkaSinkSecrets },
  RabbitmqSink: { apiVersion: 'eventing.weir.dev/v1alpha1', secrets: rabbitmqSinkSecrets },
}

/** In the order in which they are listed. */
export const SINK_KINDS = Object.keys(KINDS) as readonly SinkResource['kind'][]

export function isSinkKind(kind: string): kind is SinkResource['kind'] {
  return Object.hasOwn(KINDS, kind)
}

/** Whether `ref` is to a sink. Of its apiVersion the group counts. */
export function isSinkReference(ref: { readonly apiVersion: string; readonly kind: string }): boolean {
  return isSinkKind(ref.kind) && groupOf(KINDS[ref.kind].apiVersion) === groupOf(ref.apiVersion)
}

/** The keys of Secrets that `sink` needs. */
export function sinkSecretRefs<S extends SinkResource>(sink: S): SecretRefs {
  // The kind is the tag of the union, so the reader of this kind takes this sink.
  return (KINDS[sink.kind].secrets as (sink: S) => SecretRefs)(sink)
}

function groupOf(apiVersion: string): string {
  return apiVersion.slice(0, Math.max(0, apiVersion.indexOf('/')))
}
