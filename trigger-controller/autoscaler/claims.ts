import { type TriggerId, triggerId, type WorkloadId, workloadId } from '../../contract/ids.ts'
import { readKnobs, readScaleAnnotations, type ScaleAnnotations } from '../../crds/annotations.ts'
import { DEFAULT_FEATURES } from '../../crds/features.ts'
import { resourceKey } from '../../crds/resource.ts'
import type { ScaledObjectResource } from '../../crds/scaled-object.ts'
import type { TriggerResource } from '../../crds/trigger.ts'
import { CONCURRENCY_PER_REPLICA, type ScalingProfile } from '../profile.ts'
import { resolve } from '../resolve.ts'
import { upstreamOfSource } from '../upstream.ts'
import type { ScaleFacts, SourceResource } from '../world.ts'
import type { Limits } from './decide.ts'
import { demandOf } from './scalers/scaler.ts'
import type { Demand, QueueWatch, Refusal, ScaleTarget } from './target.ts'

/** Messages waiting upstream per adapter replica where no lag-threshold is declared, as Knative has it for its own sources. */
const ADAPTER_TARGET = 100

/** The adapter of a source, as something that runs in replicas. */
export function sourceWorkload(source: SourceResource): WorkloadId {
  return workloadId(source.kind, source.metadata.namespace, source.metadata.name)
}

/** The Triggers whose subscriber is a workload, by that workload. */
export type Deliveries = ReadonlyMap<WorkloadId, readonly TriggerResource[]>

export function deliveries(facts: ScaleFacts): Deliveries {
  const found = new Map<WorkloadId, TriggerResource[]>()
  for (const trigger of inOrder(facts.triggers)) {
    const workload = subscriberOf(trigger, facts)
    if (typeof workload !== 'object') found.set(workload, [...(found.get(workload) ?? []), trigger])
  }
  return found
}

function subscriberOf(trigger: TriggerResource, facts: ScaleFacts): WorkloadId | { readonly reason: string } {
  const resolved = resolve(trigger.spec.subscriber, {
    ...facts,
    brokerAddress: () => undefined,
    sinkAddress: () => undefined,
    features: DEFAULT_FEATURES,
  })
  if (resolved.kind === 'unresolved') return { reason: `the subscriber cannot be resolved: ${resolved.reason}` }
  if (resolved.target.kind === 'workload') return resolved.target.workload
  return {
    reason: `the subscriber ${resolved.target.address} is an address, and nothing there can be scaled from here`,
  }
}

export function ofScaledObject(
  object: ScaledObjectResource,
  facts: ScaleFacts,
  delivering: Deliveries,
  profile: ScalingProfile,
): ScaleTarget | Refusal {
  const { scaleTargetRef, minReplicaCount, maxReplicaCount, cooldownPeriod } = object.spec
  const { namespace } = object.metadata
  const deployment = facts.deployments.find(
    one => one.metadata.name === scaleTargetRef.name && one.metadata.namespace === namespace,
  )
  if (scaleTargetRef.kind !== 'Deployment' || deployment === undefined) {
    const message =
      scaleTargetRef.kind === 'Deployment'
        ? `Deployment ${namespace}/${scaleTargetRef.name} does not exist`
        : `${scaleTargetRef.kind} ${namespace}/${scaleTargetRef.name} is not a kind that is scaled here: a Deployment is`
    return { key: resourceKey(object), reason: 'TargetNotFound', message }
  }
  const workload = workloadId('Deployment', namespace, scaleTargetRef.name)
  const receives = delivering.get(workload) ?? []
  const demands = object.spec.triggers.map((trigger, index) =>
    demandOf(trigger, index, { object, deployment, facts, profile, receives: receives.map(idOf) }),
  )
  const pausedAt = pausedReplicas(object)
  return {
    workload,
    kind: 'Deployment',
    namespace,
    name: scaleTargetRef.name,
    by: `ScaledObject/${object.metadata.name}`,
    owner: resourceKey(object),
    limits: {
      min: pausedAt ?? minReplicaCount,
      max: pausedAt ?? maxReplicaCount ?? Math.max(minReplicaCount, profile.scaledObjectMax),
      cooldownMs: cooldownPeriod === undefined ? profile.cooldownMs : cooldownPeriod * 1_000,
      profile,
    },
    paused: pausedAt === undefined && isPaused(object),
    demands: [...demands, ...others(receives, demands)],
    downstream: [],
  }
}

/** Whoever declares the target: events of every Trigger that delivers to it wait for it, and must be able to wake it. */
function others(receives: readonly TriggerResource[], named: readonly Demand[]): Demand[] {
  const counted = new Set(named.map(demand => (demand.kind === 'trigger' ? demand.trigger : undefined)))
  return receives.filter(trigger => !counted.has(idOf(trigger))).map(trigger => triggerDemand(trigger, undefined, 0))
}

export function ofTrigger(
  trigger: TriggerResource,
  declared: Declared,
  facts: ScaleFacts,
  delivering: Deliveries,
  profile: ScalingProfile,
): ScaleTarget | Refusal {
  const workload = subscriberOf(trigger, facts)
  if (typeof workload === 'object') {
    return { key: resourceKey(trigger), reason: 'TargetNotFound', message: workload.reason }
  }
  const own = triggerDemand(trigger, declared.lag, declared.activation ?? 0)
  const shared = (delivering.get(workload) ?? []).filter(other => other !== trigger).map(sharedDemand)
  const [kind = '', namespace = '', name = ''] = workload.split('/')
  return {
    workload,
    kind: kind === 'deployment' ? 'Deployment' : kind,
    namespace,
    name,
    by: `Trigger/${trigger.metadata.name}`,
    owner: resourceKey(trigger),
    limits: limitsOf(declared, profile),
    paused: false,
    demands: [own, ...shared],
    downstream: [],
  }
}

function sharedDemand(trigger: TriggerResource): Demand {
  const declared = readScaleAnnotations(trigger.metadata)
  return declared.kind === 'declared'
    ? triggerDemand(trigger, declared.lag, declared.activation ?? 0)
    : triggerDemand(trigger, undefined, 0)
}

function triggerDemand(trigger: TriggerResource, target: number | undefined, activation: number): Demand {
  const concurrency = readKnobs(trigger.metadata).concurrency ?? CONCURRENCY_PER_REPLICA
  return {
    kind: 'trigger',
    name: `Trigger/${trigger.metadata.name}`,
    trigger: idOf(trigger),
    delivers: true,
    wants: { target, activation, concurrency },
  }
}

/** Something to read again and again, or why there is nothing. */
export type Watched = (QueueWatch & { readonly concurrency: number }) | { readonly reason: string }

export function watchOf(
  source: SourceResource,
  declared: ScaleAnnotations,
  facts: ScaleFacts,
  profile: ScalingProfile,
): Watched {
  const { namespace } = source.metadata
  const found = upstreamOfSource(source, (name, key) => facts.secretValue(namespace, name, key))
  if (found.kind === 'missing') return { reason: found.reason }
  const { backlog, concurrency } = found
  if (backlog === undefined)
    return { reason: `nothing waits upstream of a ${source.kind}: it cannot be scaled by that` }
  const pollMs = (declared.kind === 'declared' ? declared.pollMs : undefined) ?? profile.defaultPollMs
  return { key: sourceWorkload(source), backlog, pollMs, concurrency }
}

export function ofSource(
  source: SourceResource,
  declared: Declared,
  watched: Watched,
  facts: ScaleFacts,
  profile: ScalingProfile,
): ScaleTarget {
  const { namespace, name } = source.metadata
  const wants = {
    target: declared.lag ?? ADAPTER_TARGET,
    activation: declared.activation ?? 0,
    concurrency: 'key' in watched ? watched.concurrency : 1,
  }
  const sink = source.spec.sink.ref
  const fed = facts.triggers.filter(
    one => sink?.kind === 'Broker' && one.spec.broker === sink.name && one.metadata.namespace === sink.namespace,
  )
  return {
    workload: sourceWorkload(source),
    kind: source.kind,
    namespace,
    name,
    by: `${source.kind}/${name}`,
    owner: resourceKey(source),
    limits: limitsOf(declared, profile),
    paused: false,
    demands: [
      'key' in watched
        ? { kind: 'queue', name: 'upstream', wants, ...watchIn(watched) }
        : { kind: 'broken', name: 'upstream', reason: watched.reason },
    ],
    downstream: fed.map(idOf),
  }
}

/** Without what only the target needs to know. */
export function watchIn({ key, backlog, pollMs }: QueueWatch): QueueWatch {
  return { key, backlog, pollMs }
}

export type Declared = Extract<ScaleAnnotations, { kind: 'declared' }>

function limitsOf(declared: Declared, profile: ScalingProfile): Limits {
  const min = declared.min ?? 0
  const max = declared.max ?? Math.max(min, profile.annotationMax)
  return { min, max, cooldownMs: declared.cooldownMs ?? profile.cooldownMs, profile }
}

function isPaused(object: ScaledObjectResource): boolean {
  const text = object.metadata.annotations['autoscaling.keda.sh/paused']
  return text !== undefined && text !== 'false'
}

function pausedReplicas(object: ScaledObjectResource): number | undefined {
  const text = object.metadata.annotations['autoscaling.keda.sh/paused-replicas']
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : undefined
}

function idOf(trigger: TriggerResource): TriggerId {
  return triggerId(trigger.metadata.namespace, trigger.metadata.name)
}

/** By namespace and name, so that who comes first does not depend on the order of files or events. */
export function inOrder<T extends { readonly metadata: { readonly namespace: string; readonly name: string } }>(
  resources: readonly T[],
): T[] {
  const name = (one: T) => `${one.metadata.namespace}/${one.metadata.name}`
  return [...resources].sort((a, b) => (name(a) < name(b) ? -1 : 1))
}
