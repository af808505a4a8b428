import type { AzureIdentity } from './azure-auth.ts'
import type { AzureEventHubsSourceResource } from './azure-event-hubs-source.ts'
import type { AzureServiceBusSourceResource } from './azure-service-bus-source.ts'
import type { AzureStorageQueueSourceResource } from './azure-storage-queue-source.ts'
import { kafkaNetSecrets } from './kafka-net.ts'
import type { KafkaSourceResource } from './kafka-source.ts'
import type { PingSourceResource } from './ping-source.ts'
import { clusterSecrets } from './rabbitmq-cluster.ts'
import type { RabbitmqSourceResource } from './rabbitmq-source.ts'
import type { SecretKeyRef } from './source-fields.ts'
import type { WebhookSourceResource } from './webhook-source.ts'

/** Every kind of source that an adapter runs for. */
export type SourceResource =
  | AzureEventHubsSourceResource
  | AzureServiceBusSourceResource
  | AzureStorageQueueSourceResource
  | KafkaSourceResource
  | PingSourceResource
  | RabbitmqSourceResource
  | WebhookSourceResource

/** Keys of Secrets in the source's namespace, by the names that the adapter and the clients know them by. */
export type SecretRefs = Readonly<Record<string, SecretKeyRef>>

/** What is asked of every kind: which keys of Secrets a source needs. */
const SECRETS: {
  readonly [K in SourceResource['kind']]: (source: Extract<SourceResource, { kind: K }>) => SecretRefs
} = {
  AzureEventHubsSource: ({ spec: { auth, checkpoint } }) => ({
    ...inAuth(auth),
    ...inAuth(checkpoint.auth, 'checkpoint'),
  }),
  AzureServiceBusSource: ({ spec: { auth } }) => inAuth(auth),
  AzureStorageQueueSource: ({ spec: { auth } }) => inAuth(auth),
  KafkaSource: ({ spec: { net } }) => kafkaNetSecrets(net),
  PingSource: () => ({}),
  WebhookSource: ({ spec: { signature, token } }) => ({
    ...(signature && { signature: signature.secret.secretKeyRef }),
    ...(token && { token: token.secret.secretKeyRef }),
  }),
  RabbitmqSource: ({ spec }) => clusterSecrets(spec.rabbitmqClusterReference),
}

/** In the order in which they are listed. */
export const SOURCE_KINDS = Object.keys(SECRETS) as readonly SourceResource['kind'][]

export function isSourceKind(kind: string): kind is SourceResource['kind'] {
  return Object.hasOwn(SECRETS, kind)
}

/** Whether messages wait somewhere for a source of `kind`. What is pushed to us, or made here, waits nowhere. */
export function hasUpstream(kind: SourceResource['kind']): boolean {
  return kind !== 'PingSource' && kind !== 'WebhookSource'
}

/** The keys of Secrets that `source` needs. */
export function secretRefs<S extends SourceResource>(source: S): SecretRefs {
  // The kind is the tag of the union, so the reader of this kind takes this source.
  return (SECRETS[source.kind] as (source: S) => SecretRefs)(source)
}

/** `auth: {connectionString: {secretKeyRef: …}}` and the like; `of` goes before each name. An identity has no Secret. */
export function inAuth(
  auth: Readonly<Record<string, { readonly secretKeyRef: SecretKeyRef } | AzureIdentity>>,
  of = '',
): SecretRefs {
  return Object.fromEntries(
    Object.entries(auth).flatMap(([name, given]) => {
      const full = of === '' ? name : of + name.charAt(0).toUpperCase() + name.slice(1)
      return 'secretKeyRef' in given ? [[full, given.secretKeyRef]] : []
    }),
  )
}
