import { type BrokerId, brokerId, type WorkloadId, workloadId } from '../contract/ids.ts'
import { type BindingResource, isBindingKind } from '../crds/bindings.ts'
import { isFeatures } from '../crds/features.ts'
import { type Destination, type Reference, resourceKey } from '../crds/resource.ts'
import { isSinkKind } from '../crds/sinks.ts'
import type { TriggerResource } from '../crds/trigger.ts'
import type { ScaleFacts, SourceResource } from './world.ts'

/** What a reconciler works on. */
export type Owner =
  | { readonly kind: 'broker'; readonly id: BrokerId }
  | { readonly kind: 'source'; readonly id: WorkloadId }
  | { readonly kind: 'sink'; readonly id: WorkloadId; readonly key: string }
  | { readonly kind: 'binding'; readonly id: WorkloadId }
  /** `namespace/name` of an EventPolicy. */
  | { readonly kind: 'policy'; readonly id: string }
  /** Everything about who is scaled: one document, as bounds and conflicts are between resources. */
  | { readonly kind: 'scale' }

const SCALE: Owner = { kind: 'scale' }

/**
 * Whose plan depends on the resource `key` (`resourceKey`), going by `facts`. Pure. Asked with the facts before and after a
 * change, so that what a resource left behind is seen too. Too many is only work; too few is a stale route.
 */
export function ownersOf(key: string, facts: ScaleFacts): readonly Owner[] {
  const [kind = '', namespace = '', name = ''] = key.split('/')
  switch (kind) {
    case 'Broker':
      return [broker(namespace, name), SCALE, ...referring(is(kind, namespace, name), facts)]
    case 'Trigger': {
      const trigger = facts.triggers.find(one => resourceKey(one) === key)
      // To a policy that names it, it matters only whether it is there: before it came, or after it went, it is not.
      return trigger === undefined ? [SCALE, ...naming(is(kind, namespace, name), facts)] : [brokerOf(trigger), SCALE]
    }
    case 'EventPolicy':
      return [policy(namespace, name), ...brokersIn(namespace, facts)]
    case 'Namespace':
      return brokersIn(name, facts)
    case 'Service':
      return [SCALE, ...referring(is(kind, namespace, name), facts)]
    case 'Deployment':
    case 'ScaledObject':
      // Through labels and names, either may concern whatever is delivered to its namespace.
      return [
        SCALE,
        ...referring(ref => ref.kind === 'Service' && ref.namespace === namespace, facts),
        ...facts.bindings.filter(one => one.metadata.namespace === namespace).map(binding),
      ]
    case 'Secret':
    case 'TriggerAuthentication':
      return [
        SCALE,
        ...facts.sources.filter(one => one.metadata.namespace === namespace).map(source),
        ...facts.sinks.filter(one => one.metadata.namespace === namespace).map(sink),
      ]
    case 'ConfigMap':
      return isFeatures({ metadata: { namespace, name } }) ? everyone(facts) : []
    default: {
      if (isSinkKind(kind))
        return [sink({ kind, metadata: { namespace, name } }), ...referring(is(kind, namespace, name), facts)]
      if (isBindingKind(kind)) return [binding({ kind, metadata: { namespace, name } }), SCALE]
      const named = naming(is(kind, namespace, name), facts)
      return [source({ kind, metadata: { namespace, name } }), SCALE, ...named]
    }
  }
}

/** Brokers and sources with a destination that `names` something; a dead-letter sink of a Broker is its Triggers' too. */
function referring(names: (ref: Reference) => boolean, facts: ScaleFacts): Owner[] {
  const named = (destination: Destination | undefined) => destination?.ref !== undefined && names(destination.ref)
  const { triggers, brokers, sources, bindings } = facts
  return [
    ...triggers.filter(one => named(one.spec.subscriber) || named(one.spec.delivery?.deadLetterSink)).map(brokerOf),
    ...brokers
      .filter(one => named(one.spec.delivery?.deadLetterSink))
      .map(one => broker(one.metadata.namespace, one.metadata.name)),
    ...sources.filter(one => named(one.spec.sink) || named(one.spec.delivery?.deadLetterSink)).map(source),
    ...bindings.filter(one => named(one.spec.sink)).map(binding),
  ]
}

/** Policies with a sender that `names` something, and the Brokers that they may protect. */
function naming(names: (ref: Reference) => boolean, facts: ScaleFacts): Owner[] {
  return facts.policies
    .filter(({ spec }) => spec.from.some(sender => 'ref' in sender && names(sender.ref)))
    .flatMap(({ metadata: { namespace, name } }) => [policy(namespace, name), ...brokersIn(namespace, facts)])
}

function brokersIn(namespace: string, { brokers }: ScaleFacts): Owner[] {
  return brokers.filter(one => one.metadata.namespace === namespace).map(one => broker(namespace, one.metadata.name))
}

/** Whoever a feature of the whole cluster concerns. */
function everyone({ brokers, sources, bindings, policies }: ScaleFacts): Owner[] {
  return [
    ...brokers.map(one => broker(one.metadata.namespace, one.metadata.name)),
    ...sources.map(source),
    ...bindings.map(binding),
    ...policies.map(one => policy(one.metadata.namespace, one.metadata.name)),
  ]
}

function policy(namespace: string, name: string): Owner {
  return { kind: 'policy', id: `${namespace}/${name}` }
}

function is(kind: string, namespace: string, name: string): (ref: Reference) => boolean {
  return ref => ref.kind === kind && ref.namespace === namespace && ref.name === name
}

function broker(namespace: string, name: string): Owner {
  return { kind: 'broker', id: brokerId(namespace, name) }
}

function brokerOf(trigger: TriggerResource): Owner {
  return broker(trigger.metadata.namespace, trigger.spec.broker)
}

function source(of: { kind: string; metadata: Pick<SourceResource['metadata'], 'namespace' | 'name'> }): Owner {
  return { kind: 'source', id: workloadId(of.kind, of.metadata.namespace, of.metadata.name) }
}

function sink(of: { kind: string; metadata: { readonly namespace: string; readonly name: string } }): Owner {
  return { kind: 'sink', id: workloadId(of.kind, of.metadata.namespace, of.metadata.name), key: resourceKey(of) }
}

function binding(of: Pick<BindingResource, 'kind'> & { metadata: { namespace: string; name: string } }): Owner {
  return { kind: 'binding', id: workloadId(of.kind, of.metadata.namespace, of.metadata.name) }
}
