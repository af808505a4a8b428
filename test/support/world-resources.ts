import type { AzureStorageQueueSourceResource } from '../../crds/azure-storage-queue-source.ts'
import type { BrokerResource } from '../../crds/broker.ts'
import type { EventPolicyResource } from '../../crds/event-policy.ts'
import type { Destination, Metadata } from '../../crds/resource.ts'
import type { ScaledObjectResource, ScaleTrigger, TriggerAuthenticationResource } from '../../crds/scaled-object.ts'
import type { TriggerResource } from '../../crds/trigger.ts'
import type { DeploymentResource, EnvVar, SecretResource, ServiceResource } from '../../crds/workloads.ts'

/** Resources as the manifest parser gives them, in namespace `shop`, with only what a test wants to say. */
const where = { file: 'test.yaml', line: 1, column: 1 }

function metadata(name: string, more: Partial<Metadata> = {}): Metadata {
  return { name, namespace: 'shop', labels: {}, annotations: {}, ...more }
}

export function broker(name: string, spec: BrokerResource['spec'] = {}, more: Partial<Metadata> = {}): BrokerResource {
  return { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', metadata: metadata(name, more), where, spec }
}

export function trigger(
  name: string,
  spec: Partial<TriggerResource['spec']> = {},
  annotations: Metadata['annotations'] = {},
): TriggerResource {
  return {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: metadata(name, { annotations }),
    where,
    spec: { broker: 'default', filters: [], subscriber: serviceRef('worker'), ...spec },
  }
}

export function eventPolicy(
  name: string,
  from: EventPolicyResource['spec']['from'],
  spec: Partial<EventPolicyResource['spec']> = {},
): EventPolicyResource {
  return {
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'EventPolicy',
    metadata: metadata(name),
    where,
    spec: { to: [], from, filters: [], ...spec },
  }
}

export function serviceRef(name: string, namespace = 'shop'): Destination {
  return { ref: { apiVersion: 'v1', kind: 'Service', name, namespace } }
}

export function brokerRef(name: string, namespace = 'shop'): Destination {
  return { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name, namespace } }
}

export function service(name: string, selector: Record<string, string> = { app: name }): ServiceResource {
  const spec = { selector, ports: [{ port: 80 }] }
  return { apiVersion: 'v1', kind: 'Service', metadata: metadata(name), where, spec }
}

export function deployment(
  name: string,
  podLabels: Record<string, string> = { app: name },
  env: readonly EnvVar[] = [],
): DeploymentResource {
  const container = { name: 'main', command: ['node', 'worker.mjs'], args: [], env }
  const spec = { replicas: 1, podLabels, terminationGracePeriodSeconds: 30, container }
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: metadata(name), where, spec }
}

export function secret(name: string, data: Record<string, string>): SecretResource {
  return { apiVersion: 'v1', kind: 'Secret', metadata: metadata(name), where, data }
}

export function scaledObject(
  name: string,
  triggers: readonly ScaleTrigger[],
  spec: Partial<ScaledObjectResource['spec']> = {},
  annotations: Metadata['annotations'] = {},
): ScaledObjectResource {
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: metadata(name, { annotations }),
    where,
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'worker' },
      pollingInterval: 30,
      minReplicaCount: 0,
      triggers,
      ...spec,
    },
  }
}

export function triggerAuthentication(
  name: string,
  secretTargetRef: TriggerAuthenticationResource['spec']['secretTargetRef'],
): TriggerAuthenticationResource {
  const spec = { secretTargetRef, env: [] }
  return { apiVersion: 'keda.sh/v1alpha1', kind: 'TriggerAuthentication', metadata: metadata(name), where, spec }
}

export function queueSource(name: string, annotations: Metadata['annotations'] = {}): AzureStorageQueueSourceResource {
  return {
    apiVersion: 'sources.weir.dev/v1alpha1',
    kind: 'AzureStorageQueueSource',
    metadata: metadata(name, { annotations }),
    where,
    spec: {
      queueName: 'orders',
      endpointSuffix: 'core.windows.net',
      auth: { connectionString: { secretKeyRef: { name: 'storage', key: 'connection' } } },
      encoding: 'auto',
      payload: 'auto',
      visibilityTimeoutMs: 30_000,
      maxDequeueCount: 5,
      poison: { disabled: false },
      parallelism: 16,
      pollInterval: { minMs: 100, maxMs: 10_000 },
      sink: brokerRef('default'),
      extensions: {},
    },
  }
}
