import type { BrokerId, WorkloadId } from '../contract/ids.ts'
import type { BrokerRoute, Endpoint, Target } from '../contract/routes.ts'
import type { BindingResource } from '../crds/bindings.ts'
import type { BrokerResource } from '../crds/broker.ts'
import type { EventPolicyResource } from '../crds/event-policy.ts'
import type { Features } from '../crds/features.ts'
import type { NamespaceResource } from '../crds/namespace.ts'
import type { Condition } from '../crds/resource.ts'
import type { ScaledObjectResource, TriggerAuthenticationResource } from '../crds/scaled-object.ts'
import type { SinkResource } from '../crds/sinks.ts'
import type { SourceResource } from '../crds/sources.ts'
import type { TriggerResource } from '../crds/trigger.ts'
import type { DeploymentResource, ServiceResource } from '../crds/workloads.ts'

export type { SourceResource }

/** Everything that decides the routes of one Broker. */
export interface BrokerFacts {
  readonly broker: BrokerResource
  readonly triggers: readonly TriggerResource[]
  /** Of every namespace that the Triggers refer to. */
  readonly services: readonly ServiceResource[]
  readonly deployments: readonly DeploymentResource[]
  /** Addresses of the Brokers there are, and of the sinks that are served, for references to them. */
  readonly brokerAddress: (id: BrokerId) => string | undefined
  readonly sinkAddress: (id: WorkloadId) => string | undefined
  readonly features: Features
  /** Of the Broker's namespace. */
  readonly policies: readonly EventPolicyResource[]
  /** Its namespace, where something is said about it. */
  readonly namespace?: NamespaceResource | undefined
  /** What can be named as a sender, in every namespace. */
  readonly senders: readonly Sender[]
}

/** What has an identity of its own: its subject follows from what it is called. */
export type Sender = TriggerResource | SourceResource

/** Everything that decides the status of one EventPolicy. */
export interface PolicyFacts {
  readonly policy: EventPolicyResource
  readonly features: Features
  readonly senders: readonly Sender[]
}

export interface SourceFacts {
  readonly source: SourceResource
  readonly services: readonly ServiceResource[]
  readonly deployments: readonly DeploymentResource[]
  readonly brokerAddress: (id: BrokerId) => string | undefined
  readonly sinkAddress: (id: WorkloadId) => string | undefined
  readonly features: Features
  /** Undefined where the Secret or the key is missing. */
  readonly secretValue: (name: string, key: string) => string | undefined
  /** Where the source takes what others send to it; undefined for one that pulls. */
  readonly address?: string | undefined
  readonly reach?: Reach
}

/** Everything that decides what one binding tells its workloads. */
export interface BindingFacts extends Omit<SourceFacts, 'source' | 'secretValue' | 'address'> {
  readonly binding: BindingResource
}

/** Variables that the workloads of a binding are to have, over what their own YAML says. */
export interface BoundWorkload {
  readonly id: WorkloadId
  readonly binding: BindingResource
  readonly env: Readonly<Record<string, string>>
}

/** Where a process of this world reaches a target. Where it is not given: at the target's own address. */
export type Reach = (target: Target) => string

/** Everything that decides who is scaled, and by what. */
export interface ScaleFacts {
  readonly brokers: readonly BrokerResource[]
  readonly triggers: readonly TriggerResource[]
  readonly sources: readonly SourceResource[]
  /** Neither are they, but a Secret of theirs may change. */
  readonly sinks: readonly SinkResource[]
  readonly bindings: readonly BindingResource[]
  /** They are not scaled; a change of a sender has to find them. */
  readonly policies: readonly EventPolicyResource[]
  readonly scaledObjects: readonly ScaledObjectResource[]
  readonly authentications: readonly TriggerAuthenticationResource[]
  readonly services: readonly ServiceResource[]
  readonly deployments: readonly DeploymentResource[]
  readonly secretValue: (namespace: string, name: string, key: string) => string | undefined
}

/** An adapter that should run: the source with its credentials resolved, and where its events go. */
export interface AdapterWorkload {
  readonly id: WorkloadId
  readonly source: SourceResource
  readonly sink: SinkPlace & {
    /** It is a Broker of ours: many events may go in one request. */
    readonly takesBatches: boolean
  }
  readonly deadLetterSink: SinkPlace | undefined
  /** By the parameter names of the source's Secrets. Never logged, never reported. */
  readonly credentials: Readonly<Record<string, string>>
}

/** Where events go. */
export interface SinkPlace {
  readonly url: string
  /** The token that it wants to see. Undefined: none. */
  readonly token: { readonly audience: string; readonly subject: string } | undefined
}

export interface SinkFacts {
  readonly sink: SinkResource
  /** Undefined where the Secret or the key is missing. */
  readonly secretValue: (name: string, key: string) => string | undefined
}

/** A sink that should be served: as a subscriber is, over HTTP. */
export interface SinkWorkload {
  readonly id: WorkloadId
  readonly sink: SinkResource
  /** By the parameter names of the sink's Secrets. Never logged, never reported. */
  readonly credentials: Readonly<Record<string, string>>
}

export type Served =
  | { readonly kind: 'served'; readonly address: string }
  /** In words: its settings or credentials cannot be right. */
  | { readonly kind: 'unserved'; readonly reason: string }

/** What a person sees of one resource. `extra` is the rest of `.status`, as the kind names it. */
export interface Status {
  readonly conditions: readonly Condition[]
  readonly extra: Readonly<Record<string, unknown>>
}

export interface Replicas {
  /** What was last asked for. */
  readonly desired: number
  readonly ready: number
}

/**
 * What the controller may see and do. Two implementations: the API server, and a laptop. Every call is idempotent and may
 * be repeated after a failure; none keeps state of the caller's.
 */
export interface World {
  readBroker(id: BrokerId, signal: AbortSignal): Promise<BrokerFacts | undefined>
  /** By `namespace/name`. */
  readPolicy(id: string, signal: AbortSignal): Promise<PolicyFacts | undefined>
  readSource(id: WorkloadId, signal: AbortSignal): Promise<SourceFacts | undefined>
  readSink(id: WorkloadId, signal: AbortSignal): Promise<SinkFacts | undefined>
  readBinding(id: WorkloadId, signal: AbortSignal): Promise<BindingFacts | undefined>
  readScale(signal: AbortSignal): Promise<ScaleFacts>

  /** The routes of one Broker, whole; undefined takes the Broker away. */
  applyBroker(id: BrokerId, route: BrokerRoute | undefined, signal: AbortSignal): Promise<void>
  /** The adapter of one source; undefined takes it away, draining it. */
  applyAdapter(id: WorkloadId, adapter: AdapterWorkload | undefined, signal: AbortSignal): Promise<void>
  /** Serves one sink; undefined takes it away, finishing what is under way. */
  applySink(id: WorkloadId, sink: SinkWorkload | undefined, signal: AbortSignal): Promise<Served | undefined>
  /** Where a sink is served; undefined where it is not. */
  sinkAddress(id: WorkloadId): string | undefined
  /**
   * Binds the workloads of one binding, and no others. `waiting`: nothing can be said yet, and what was bound stays so.
   * Undefined: the binding is gone, and what it said is taken back.
   */
  applyBinding(id: WorkloadId, bound: BoundWorkload | 'waiting' | undefined, signal: AbortSignal): Promise<void>
  /** Writes status last, conditions with their transition times, and only where it changed. Key as `resourceKey`. */
  report(key: string, status: Status, signal: AbortSignal): Promise<void>

  replicas(id: WorkloadId): Replicas | undefined
  endpoints(id: WorkloadId): readonly Endpoint[]
  /**
   * Asks for a number of replicas; resolves when the wish is recorded, not when they run. Fewer: idle replicas go first,
   * a busy one only when it has drained. Raising the number again takes back replicas that still drain.
   */
  setReplicas(id: WorkloadId, replicas: number, signal: AbortSignal): Promise<void>
}
