import { type AzureEventHubsSinkResource, parseAzureEventHubsSink } from './azure-event-hubs-sink.ts'
import { type AzureEventHubsSourceResource, parseAzureEventHubsSource } from './azure-event-hubs-source.ts'
import { type AzureServiceBusSinkResource, parseAzureServiceBusSink } from './azure-service-bus-sink.ts'
import { type AzureServiceBusSourceResource, parseAzureServiceBusSource } from './azure-service-bus-source.ts'
import { type AzureStorageQueueSinkResource, parseAzureStorageQueueSink } from './azure-storage-queue-sink.ts'
import { type AzureStorageQueueSourceResource, parseAzureStorageQueueSource } from './azure-storage-queue-source.ts'
import type { BindingResource } from './bindings.ts'
import { type BrokerResource, parseBroker } from './broker.ts'
import { parseContainerSource } from './container-source.ts'
import { openDocuments } from './documents.ts'
import { type EventPolicyResource, parseEventPolicy } from './event-policy.ts'
import { type KafkaSinkResource, parseKafkaSink } from './kafka-sink.ts'
import { type KafkaSourceResource, parseKafkaSource } from './kafka-source.ts'
import { type NamespaceResource, parseNamespace } from './namespace.ts'
import { type PingSourceResource, parsePingSource } from './ping-source.ts'
import { parseRabbitmqSink, type RabbitmqSinkResource } from './rabbitmq-sink.ts'
import { parseRabbitmqSource, type RabbitmqSourceResource } from './rabbitmq-source.ts'
import { short, Value } from './reader.ts'
import { type Mistake, resourceKey, type Where } from './resource.ts'
import {
  parseScaledObject,
  parseTriggerAuthentication,
  type ScaledObjectResource,
  type TriggerAuthenticationResource,
} from './scaled-object.ts'
import { Sheet } from './sheet.ts'
import { parseSinkBinding } from './sink-binding.ts'
import { suggest } from './suggest.ts'
import { parseTrigger, type TriggerResource } from './trigger.ts'
import { parseWebhookSource, type WebhookSourceResource } from './webhook-source.ts'
import {
  type ConfigMapResource,
  type DeploymentResource,
  parseConfigMap,
  parseDeployment,
  parseSecret,
  parseService,
  type SecretResource,
  type ServiceResource,
} from './workloads.ts'

export type Resource =
  | WebhookSourceResource
  | BrokerResource
  | TriggerResource
  | EventPolicyResource
  | AzureEventHubsSourceResource
  | AzureServiceBusSourceResource
  | AzureServiceBusSinkResource
  | AzureStorageQueueSourceResource
  | KafkaSourceResource
  | KafkaSinkResource
  | PingSourceResource
  | BindingResource
  | RabbitmqSourceResource
  | AzureEventHubsSinkResource
  | AzureStorageQueueSinkResource
  | RabbitmqSinkResource
  | ScaledObjectResource
  | TriggerAuthenticationResource
  | DeploymentResource
  | ServiceResource
  | NamespaceResource
  | SecretResource
  | ConfigMapResource

export interface Manifest {
  /** Empty where there is a mistake: a text counts as a whole. */
  readonly resources: readonly Resource[]
  /** Every mistake of the text at once, in order. */
  readonly mistakes: readonly Mistake[]
  /** Accepted but not acted on: unknown kinds, fields that do nothing here. */
  readonly notices: readonly Notice[]
}

export interface Notice extends Where {
  readonly message: string
}

/** Every kind there is, its apiVersion, and who reads it. */
const KINDS: { readonly [K in Resource['kind']]: Kind<Extract<Resource, { kind: K }>> } = {
  Broker: { apiVersion: 'eventing.knative.dev/v1', parse: parseBroker },
  Trigger: { apiVersion: 'eventing.knative.dev/v1', parse: parseTrigger },
  EventPolicy: { apiVersion: 'eventing.knative.dev/v1alpha1', parse: parseEventPolicy },
  AzureEventHubsSource: { apiVersion: 'sources.weir.dev/v1alpha1', parse: parseAzureEventHubsSource },
  AzureServiceBusSource: { apiVersion: 'sources.weir.dev/v1alpha1', parse: parseAzureServiceBusSource },
  AzureServiceBusSink: { apiVersion: 'eventing.weir.dev/v1alpha1', parse: parseAzureServiceBusSink },
  AzureStorageQueueSource: { apiVersion: 'sources.weir.dev/v1alpha1', parse: parseAzureStorageQueueSource },
  KafkaSource: {
    apiVersion: 'sources.knative.dev/v1',
    also: ['sources.knative.dev/v1beta1'],
    parse: parseKafkaSource,
  },
  KafkaSink: { apiVersion: 'eventing.knative.dev/v1alpha1', parse: parseKafkaSink },
  PingSource: { apiVersion: 'sources.knative.dev/v1', parse: parsePingSource },
  RabbitmqSource: { apiVersion: 'sources.knative.dev/v1alpha1', parse: parseRabbitmqSource },
  AzureEventHubsSink: { apiVersion: 'eventing.weir.dev/v1alpha1', parse: parseAzureEventHubsSink },
  AzureStorageQueueSink: { apiVersion: 'eventing.weir.dev/v1alpha1', parse: parseAzureStorageQueueSink },
  RabbitmqSink: { apiVersion: 'eventing.weir.dev/v1alpha1', parse: parseRabbitmqSink },
  WebhookSource: { apiVersion: 'sources.weir.dev/v1alpha1', parse: parseWebhookSource },
  SinkBinding: { apiVersion: 'sources.knative.dev/v1', parse: parseSinkBinding },
  ContainerSource: { apiVersion: 'sources.knative.dev/v1', parse: parseContainerSource },
  ScaledObject: { apiVersion: 'keda.sh/v1alpha1', parse: parseScaledObject },
  TriggerAuthentication: { apiVersion: 'keda.sh/v1alpha1', parse: parseTriggerAuthentication },
  Deployment: { apiVersion: 'apps/v1', parse: parseDeployment },
  Service: { apiVersion: 'v1', parse: parseService },
  Namespace: { apiVersion: 'v1', parse: parseNamespace },
  Secret: { apiVersion: 'v1', parse: parseSecret },
  ConfigMap: { apiVersion: 'v1', parse: parseConfigMap },
}

interface Kind<R extends Resource> {
  readonly apiVersion: R['apiVersion']
  /** Other versions of the same shape, which read as this one. */
  readonly also?: readonly string[]
  readonly parse: (value: Value) => R
}

/** Reads every document of one YAML text (also JSON). Never throws for what the text holds. */
export function parseManifest(text: string, file: string): Manifest {
  const sheet = new Sheet(file)
  const resources = openDocuments(text, sheet).flatMap(root => readObject(new Value(sheet, root, '')))
  const mistakes = [...sheet.mistakes, ...findDuplicates(resources)].sort(
    (a, b) => a.line - b.line || a.column - b.column,
  )
  return { resources: mistakes.length === 0 ? resources : [], mistakes, notices: sheet.notices }
}

/** One mistake for every resource whose kind, namespace and name another one before it has, in this file or another. */
export function findDuplicates(resources: readonly Resource[]): Mistake[] {
  const seen = new Map<string, Where>()
  const mistakes: Mistake[] = []
  for (const resource of resources) {
    // A resource without a name has been reported as just that.
    if (resource.metadata.name === '') continue
    const key = resourceKey(resource)
    const first = seen.get(key)
    if (first === undefined) seen.set(key, resource.where)
    else mistakes.push({ ...resource.where, message: `${key} is given twice, first in ${first.file}:${first.line}` })
  }
  return mistakes
}

function readObject(value: Value): Resource[] {
  if (!value.isMap()) {
    value.mistake('this is no Kubernetes object: it needs `apiVersion`, `kind` and `metadata`')
    return []
  }
  const head = new Map(value.entries().map(entry => [entry.name, entry.value]))
  const kindValue = head.get('kind')
  const versionValue = head.get('apiVersion')
  if (kindValue === undefined) value.mistake('missing field `kind`')
  if (versionValue === undefined) value.mistake('missing field `apiVersion`')
  const kind = kindValue?.word()
  const apiVersion = versionValue?.word()
  if (kindValue === undefined || versionValue === undefined || kind === undefined || apiVersion === undefined) return []
  const items = head.get('items')
  if (kind.endsWith('List') && items !== undefined) return items.list().flatMap(readObject)
  return readKind(value, kindValue, kind, versionValue, apiVersion)
}

function readKind(value: Value, kindValue: Value, kind: string, versionValue: Value, apiVersion: string): Resource[] {
  const known = isKind(kind) ? KINDS[kind] : undefined
  if (known !== undefined && (known.apiVersion === apiVersion || known.also?.includes(apiVersion)))
    return [known.parse(value)]
  if (known !== undefined && isOwnGroup(apiVersion)) {
    versionValue.mistake(`the apiVersion of ${kind} is \`${known.apiVersion}\`, not \`${short(apiVersion)}\``)
    return []
  }
  const near = nearKind(kind, apiVersion)
  if (near !== undefined) kindValue.mistake(`unknown kind \`${short(kind)}\`, did you mean \`${near}\`?`)
  else kindValue.notice(`${short(kind)} (${short(apiVersion)}) is not a kind that Weir knows: left alone`)
  return []
}

function isKind(kind: string): kind is Resource['kind'] {
  return Object.hasOwn(KINDS, kind)
}

/** Of a group of which we know every kind that is near in name to one of ours. */
function isOwnGroup(apiVersion: string): boolean {
  return Object.values(KINDS).some(
    known => groupOf(known.apiVersion) === groupOf(apiVersion) || suggest(apiVersion, [known.apiVersion]) !== undefined,
  )
}

function nearKind(kind: string, apiVersion: string): string | undefined {
  const names = Object.entries(KINDS).filter(([, known]) => groupOf(known.apiVersion) === groupOf(apiVersion))
  return suggest(
    kind,
    names.map(([name]) => name),
  )
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
}
