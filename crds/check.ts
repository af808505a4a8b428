import { isDeployments } from './bindings.ts'
import { FEATURES_CONFIG_MAP, readFeatures, SYSTEM_NAMESPACE } from './features.ts'
import type { Notice, Resource } from './manifest.ts'
import { rabbitmqSinkSecrets } from './rabbitmq-sink.ts'
import { type Destination, type Reference, resourceKey } from './resource.ts'
import type { SinkBindingResource } from './sink-binding.ts'
import { isSinkKind, isSinkReference, sinkSecretRefs } from './sinks.ts'
import { type SecretRefs, SOURCE_KINDS, type SourceResource, secretRefs } from './sources.ts'
import { suggest } from './suggest.ts'
import type { Container } from './workloads.ts'

/** What leads nowhere among resources that are applied together. It may exist elsewhere: notices, no mistakes. */
export function checkReferences(resources: readonly Resource[]): Notice[] {
  const known = new Known(resources)
  return resources.flatMap(resource => {
    const messages = [...misses(resource, known)]
    return messages.map(message => ({ ...resource.where, message: `${resourceKey(resource)}: ${message}` }))
  })
}

class Known {
  readonly #byKey: ReadonlyMap<string, Resource>
  readonly all: readonly Resource[]

  constructor(resources: readonly Resource[]) {
    this.all = resources
    this.#byKey = new Map(resources.map(resource => [resourceKey(resource), resource]))
  }

  get<Kind extends Resource['kind']>(
    kind: Kind,
    namespace: string,
    name: string,
  ): Extract<Resource, { kind: Kind }> | undefined {
    // The key begins with the kind.
    return this.#byKey.get(`${kind}/${namespace}/${name}`) as Extract<Resource, { kind: Kind }> | undefined
  }

  /** `there is no Service shop/x in these files`, with what may have been meant. */
  missing(kind: Resource['kind'], namespace: string, name: string): string | undefined {
    if (this.get(kind, namespace, name) !== undefined) return undefined
    // A laptop has this Broker without being told.
    if (kind === 'Broker' && namespace === 'default' && name === 'default') return undefined
    const others = this.all.filter(one => one.kind === kind)
    const near = suggest(
      name,
      others.filter(one => one.metadata.namespace === namespace).map(one => one.metadata.name),
    )
    const elsewhere = others.find(one => one.metadata.name === name)
    const meant = near === undefined ? elsewhere && `${elsewhere.metadata.namespace}/${name}` : `${namespace}/${near}`
    return `there is no ${kind} ${namespace}/${name} in these files${meant === undefined ? '' : `, did you mean ${meant}?`}`
  }
}

function* misses(resource: Resource, known: Known): Iterable<string> {
  const { namespace } = resource.metadata
  switch (resource.kind) {
    case 'Broker':
      yield* destinationMisses('spec.delivery.deadLetterSink', resource.spec.delivery?.deadLetterSink, known)
      return
    case 'Trigger':
      yield* said('spec.broker', known.missing('Broker', namespace, resource.spec.broker))
      yield* destinationMisses('spec.subscriber', resource.spec.subscriber, known)
      yield* destinationMisses('spec.delivery.deadLetterSink', resource.spec.delivery?.deadLetterSink, known)
      if (resource.spec.filters.length > 0 && resource.spec.filter !== undefined)
        yield '`spec.filter` does nothing beside `spec.filters`'
      return
    case 'EventPolicy':
      yield* policyMisses(resource, known)
      return
    case 'AzureEventHubsSource':
    case 'AzureServiceBusSource':
    case 'AzureStorageQueueSource':
    case 'KafkaSource':
    case 'PingSource':
    case 'WebhookSource':
    case 'RabbitmqSource':
      yield* sourceMisses(resource, known)
      return
    case 'AzureEventHubsSink':
    case 'AzureServiceBusSink':
    case 'AzureStorageQueueSink':
    case 'KafkaSink':
      yield* secretMisses(namespace, sinkSecretRefs(resource), known)
      return
    case 'RabbitmqSink':
      yield* secretMisses(namespace, rabbitmqSinkSecrets(resource), known)
      return
    case 'ScaledObject':
      yield* scaledObjectMisses(resource, known)
      return
    case 'TriggerAuthentication':
      for (const ref of resource.spec.secretTargetRef)
        yield* keyMisses('spec.secretTargetRef', 'Secret', namespace, ref, known)
      return
    case 'SinkBinding':
      yield* destinationMisses('spec.sink', resource.spec.sink, known)
      yield* subjectMisses(resource, known)
      return
    case 'ContainerSource':
      yield* destinationMisses('spec.sink', resource.spec.sink, known)
      yield* environmentMisses(resource.spec.template.container, namespace, known)
      return
    case 'Deployment':
      yield* environmentMisses(resource.spec.container, namespace, known)
      return
    case 'Service':
      yield* serviceMisses(resource, known)
      return
    case 'Secret':
    case 'Namespace':
    case 'ConfigMap':
      return
    default:
      resource satisfies never
  }
}

function* environmentMisses(container: Container, namespace: string, known: Known): Iterable<string> {
  for (const variable of container.env) {
    if (!('from' in variable) || variable.optional) continue
    const ref = { name: variable.object, key: variable.key }
    yield* keyMisses(`env ${variable.name}`, variable.from === 'secret' ? 'Secret' : 'ConfigMap', namespace, ref, known)
  }
}

function* subjectMisses({ metadata, spec }: SinkBindingResource, known: Known): Iterable<string> {
  const { subject } = spec
  if (!isDeployments(subject))
    yield `\`spec.subject\`: a ${subject.kind} (${subject.apiVersion}) is not bound here, only Deployments are`
  else if (subject.name !== undefined)
    yield* said('spec.subject', known.missing('Deployment', metadata.namespace, subject.name))
}

function* sourceMisses(source: SourceResource, known: Known): Iterable<string> {
  const { sink, delivery } = source.spec
  yield* destinationMisses('spec.sink', sink, known)
  yield* destinationMisses('spec.delivery.deadLetterSink', delivery?.deadLetterSink, known)
  yield* secretMisses(source.metadata.namespace, secretRefs(source), known)
}

function* secretMisses(namespace: string, refs: SecretRefs, known: Known): Iterable<string> {
  for (const [name, ref] of Object.entries(refs))
    if (ref.optional !== true) yield* keyMisses(name, 'Secret', namespace, ref, known)
}

/** What has an identity of its own here, for which a policy can name it. */
const SENDERS = ['Trigger', ...SOURCE_KINDS] as const

function* policyMisses(policy: Extract<Resource, { kind: 'EventPolicy' }>, known: Known): Iterable<string> {
  const { namespace } = policy.metadata
  if (!readFeatures(known.get('ConfigMap', SYSTEM_NAMESPACE, FEATURES_CONFIG_MAP)).oidc)
    yield `anybody may send all the same: OIDC is off, switch \`authentication-oidc\` on in the ConfigMap ${SYSTEM_NAMESPACE}/${FEATURES_CONFIG_MAP}`
  for (const [i, target] of policy.spec.to.entries())
    if ('ref' in target && target.ref.kind === 'Broker')
      yield* said(`spec.to[${i}].ref`, known.missing('Broker', namespace, target.ref.name))
  for (const [i, sender] of policy.spec.from.entries()) {
    if (!('ref' in sender)) continue
    const { ref } = sender
    const kind = SENDERS.find(one => one === ref.kind)
    if (kind !== undefined) yield* said(`spec.from[${i}].ref`, known.missing(kind, ref.namespace, ref.name))
    else
      yield `\`spec.from[${i}].ref\`: a ${ref.kind} has no identity here, name its subject: \`sub: system:serviceaccount:${ref.namespace}:…\``
  }
}

function* said(place: string, message: string | undefined): Iterable<string> {
  if (message !== undefined) yield `\`${place}\`: ${message}`
}

function* destinationMisses(place: string, destination: Destination | undefined, known: Known): Iterable<string> {
  if (destination?.ref !== undefined) yield* said(place, refMiss(destination.ref, known))
}

function refMiss(ref: Reference, known: Known): string | undefined {
  const isService = ref.kind === 'Service' && ref.apiVersion === 'v1'
  const isBroker = ref.kind === 'Broker' && ref.apiVersion.startsWith('eventing.knative.dev/')
  if (isService) return known.missing('Service', ref.namespace, ref.name)
  if (isBroker) return known.missing('Broker', ref.namespace, ref.name)
  if (isSinkKind(ref.kind) && isSinkReference(ref)) return known.missing(ref.kind, ref.namespace, ref.name)
  return `a ${ref.kind} (${ref.apiVersion}) cannot be reached from here: refer to a Service or a Broker, or give its address as \`uri\``
}

function* keyMisses(
  place: string,
  kind: 'Secret' | 'ConfigMap',
  namespace: string,
  ref: { readonly name: string; readonly key: string },
  known: Known,
): Iterable<string> {
  yield* said(place, known.missing(kind, namespace, ref.name))
  const found = known.get(kind, namespace, ref.name)
  if (found === undefined || Object.hasOwn(found.data, ref.key)) return
  const near = suggest(ref.key, Object.keys(found.data))
  yield `\`${place}\`: ${kind} ${namespace}/${ref.name} has no key ${ref.key}${near === undefined ? '' : `, did you mean ${near}?`}`
}

function* scaledObjectMisses(resource: Extract<Resource, { kind: 'ScaledObject' }>, known: Known): Iterable<string> {
  const { namespace, name } = resource.metadata
  const { scaleTargetRef: target, triggers } = resource.spec
  if (target.kind === 'Deployment')
    yield* said('spec.scaleTargetRef', known.missing('Deployment', namespace, target.name))
  else yield `\`spec.scaleTargetRef\`: a ${target.kind} (${target.apiVersion}) is not scaled here, only Deployments are`
  const rival = known.all.find(
    one =>
      one.kind === 'ScaledObject' &&
      one !== resource &&
      one.metadata.namespace === namespace &&
      one.spec.scaleTargetRef.name === target.name &&
      one.spec.scaleTargetRef.kind === target.kind,
  )
  if (rival !== undefined && rival.metadata.name < name)
    yield `\`spec.scaleTargetRef\`: ${target.kind} ${target.name} is scaled by ScaledObject ${rival.metadata.name} already`
  for (const trigger of triggers) {
    const { authenticationRef, metadata, type } = trigger
    if (authenticationRef?.kind === 'TriggerAuthentication')
      yield* said('authenticationRef', known.missing('TriggerAuthentication', namespace, authenticationRef.name))
    if (type === 'weir' && metadata.trigger !== undefined)
      yield* said('metadata.trigger', known.missing('Trigger', namespace, metadata.trigger))
  }
}

function* serviceMisses(resource: Extract<Resource, { kind: 'Service' }>, known: Known): Iterable<string> {
  const selector = Object.entries(resource.spec.selector)
  if (selector.length === 0) {
    yield '`spec.selector` is empty: no Deployment is behind this Service'
    return
  }
  const behind = known.all.some(
    one =>
      one.kind === 'Deployment' &&
      one.metadata.namespace === resource.metadata.namespace &&
      selector.every(([label, value]) => one.spec.podLabels[label] === value),
  )
  if (behind) return
  const words = selector.map(([label, value]) => `${label}=${value}`).join(', ')
  yield `\`spec.selector\`: no Deployment in these files has pods with ${words}`
}
