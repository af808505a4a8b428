import type { BacklogSource, TriggerBacklog } from '../../contract/backlog.ts'
import { type BrokerId, brokerId, type TriggerId, type WorkloadId, workloadId } from '../../contract/ids.ts'
import type { BrokerRoute, Endpoint } from '../../contract/routes.ts'
import { BINDING_KINDS, type BindingResource } from '../../crds/bindings.ts'
import { type Features, isFeatures, readFeatures } from '../../crds/features.ts'
import type { Resource } from '../../crds/manifest.ts'
import { resourceKey } from '../../crds/resource.ts'
import { SINK_KINDS, type SinkResource } from '../../crds/sinks.ts'
import type {
  AdapterWorkload,
  BindingFacts,
  BoundWorkload,
  BrokerFacts,
  PolicyFacts,
  Replicas,
  ScaleFacts,
  Sender,
  Served,
  SinkFacts,
  SinkWorkload,
  SourceFacts,
  Status,
  World,
} from '../../trigger-controller/world.ts'

/** A world of plain maps: what a test put there, what the controller did with it, and failures on demand. */
export class MemoryWorld implements World {
  readonly resources = new Map<string, Resource>()
  readonly routes = new Map<BrokerId, BrokerRoute>()
  readonly adapters = new Map<WorkloadId, AdapterWorkload>()
  readonly sinks = new Map<WorkloadId, SinkWorkload>()
  readonly bound = new Map<WorkloadId, BoundWorkload>()
  readonly statuses = new Map<string, Status>()
  readonly running = new Map<WorkloadId, Replicas>()
  /** Every call of `setReplicas`, in order. */
  readonly asked: { readonly workload: WorkloadId; readonly replicas: number }[] = []
  /** Called before each deed, named after the method; may throw or wait. */
  onDeed: (deed: string, subject: string) => Promise<void> | void = () => {}

  constructor(...resources: readonly Resource[]) {
    this.put(...resources)
  }

  put(...resources: readonly Resource[]): string[] {
    return resources.map(resource => {
      this.resources.set(resourceKey(resource), resource)
      return resourceKey(resource)
    })
  }

  remove(key: string): string[] {
    this.resources.delete(key)
    return [key]
  }

  async readBroker(id: BrokerId): Promise<BrokerFacts | undefined> {
    await this.onDeed('readBroker', id)
    const broker = this.#of('Broker').find(one => brokerId(one.metadata.namespace, one.metadata.name) === id)
    if (broker === undefined) return undefined
    const triggers = this.#of('Trigger').filter(one => brokerId(one.metadata.namespace, one.spec.broker) === id)
    const policies = this.#of('EventPolicy').filter(one => one.metadata.namespace === broker.metadata.namespace)
    const namespace = this.#of('Namespace').find(one => one.metadata.name === broker.metadata.namespace)
    return { broker, triggers, policies, namespace, senders: this.#senders(), ...this.#addresses() }
  }

  async readPolicy(id: string): Promise<PolicyFacts | undefined> {
    await this.onDeed('readPolicy', id)
    const policy = this.#of('EventPolicy').find(one => resourceKey(one) === `EventPolicy/${id}`)
    return policy && { policy, features: this.#features(), senders: this.#senders() }
  }

  async readSource(id: WorkloadId): Promise<SourceFacts | undefined> {
    await this.onDeed('readSource', id)
    const source = this.#of('AzureStorageQueueSource').find(
      one => workloadId(one.kind, one.metadata.namespace, one.metadata.name) === id,
    )
    if (source === undefined) return undefined
    const { namespace } = source.metadata
    return { source, ...this.#addresses(), secretValue: (name, key) => this.#secret(namespace, name, key) }
  }

  async readSink(id: WorkloadId): Promise<SinkFacts | undefined> {
    await this.onDeed('readSink', id)
    const sink = this.#sinks().find(one => workloadId(one.kind, one.metadata.namespace, one.metadata.name) === id)
    if (sink === undefined) return undefined
    return { sink, secretValue: (name, key) => this.#secret(sink.metadata.namespace, name, key) }
  }

  async readBinding(id: WorkloadId): Promise<BindingFacts | undefined> {
    await this.onDeed('readBinding', id)
    const binding = this.#bindings().find(one => workloadId(one.kind, one.metadata.namespace, one.metadata.name) === id)
    return binding && { binding, ...this.#addresses() }
  }

  async readScale(): Promise<ScaleFacts> {
    await this.onDeed('readScale', '')
    return {
      brokers: this.#of('Broker'),
      triggers: this.#of('Trigger'),
      sources: this.#of('AzureStorageQueueSource'),
      sinks: this.#sinks(),
      bindings: this.#bindings(),
      policies: this.#of('EventPolicy'),
      scaledObjects: this.#of('ScaledObject'),
      authentications: this.#of('TriggerAuthentication'),
      services: this.#of('Service'),
      deployments: this.#of('Deployment'),
      secretValue: (namespace, name, key) => this.#secret(namespace, name, key),
    }
  }

  async applyBroker(id: BrokerId, route: BrokerRoute | undefined): Promise<void> {
    await this.onDeed('applyBroker', id)
    if (route === undefined) this.routes.delete(id)
    else this.routes.set(id, route)
  }

  async applyAdapter(id: WorkloadId, adapter: AdapterWorkload | undefined): Promise<void> {
    await this.onDeed('applyAdapter', id)
    if (adapter === undefined) this.adapters.delete(id)
    else this.adapters.set(id, adapter)
  }

  async applySink(id: WorkloadId, sink: SinkWorkload | undefined): Promise<Served | undefined> {
    await this.onDeed('applySink', id)
    if (sink === undefined) this.sinks.delete(id)
    else this.sinks.set(id, sink)
    const address = this.sinkAddress(id)
    return address === undefined ? undefined : { kind: 'served', address }
  }

  async applyBinding(id: WorkloadId, bound: BoundWorkload | 'waiting' | undefined): Promise<void> {
    await this.onDeed('applyBinding', id)
    if (bound === undefined) this.bound.delete(id)
    else if (bound !== 'waiting') this.bound.set(id, bound)
  }

  sinkAddress(id: WorkloadId): string | undefined {
    return this.sinks.has(id) ? `http://127.0.0.1:8081/sinks/${id}` : undefined
  }

  async report(key: string, status: Status): Promise<void> {
    await this.onDeed('report', key)
    this.statuses.set(key, status)
  }

  replicas(id: WorkloadId): Replicas | undefined {
    return this.running.get(id)
  }

  endpoints(): readonly Endpoint[] {
    return []
  }

  async setReplicas(workload: WorkloadId, replicas: number): Promise<void> {
    await this.onDeed('setReplicas', workload)
    this.asked.push({ workload, replicas })
    this.running.set(workload, { desired: replicas, ready: Math.min(replicas, this.running.get(workload)?.ready ?? 0) })
  }

  /** `Ready` of a resource as `True`, or `False Reason`. */
  ready(key: string): string {
    const ready = this.statuses.get(key)?.conditions.find(one => one.type === 'Ready')
    return ready === undefined ? 'untold' : [ready.status, ready.reason].filter(part => part !== undefined).join(' ')
  }

  #features(): Features {
    return readFeatures(this.#of('ConfigMap').find(isFeatures))
  }

  #senders(): readonly Sender[] {
    return [...this.#of('Trigger'), ...this.#of('AzureStorageQueueSource')]
  }

  #bindings(): BindingResource[] {
    return BINDING_KINDS.flatMap((kind): BindingResource[] => this.#of(kind))
  }

  #sinks(): SinkResource[] {
    return SINK_KINDS.flatMap((kind): SinkResource[] => this.#of(kind))
  }

  #addresses(): Pick<BrokerFacts, 'services' | 'deployments' | 'brokerAddress' | 'sinkAddress' | 'features'> {
    const known = new Set(this.#of('Broker').map(one => brokerId(one.metadata.namespace, one.metadata.name)))
    return {
      services: this.#of('Service'),
      deployments: this.#of('Deployment'),
      brokerAddress: id => (known.has(id) ? `http://127.0.0.1:8080/${id}` : undefined),
      sinkAddress: id => this.sinkAddress(id),
      features: this.#features(),
    }
  }

  #secret(namespace: string, name: string, key: string): string | undefined {
    const found = this.#of('Secret').find(one => one.metadata.namespace === namespace && one.metadata.name === name)
    return found?.data[key]
  }

  #of<Kind extends Resource['kind']>(kind: Kind): Extract<Resource, { kind: Kind }>[] {
    const is = (one: Resource): one is Extract<Resource, { kind: Kind }> => one.kind === kind
    return [...this.resources.values()].filter(is)
  }
}

/** A broker's backlog that a test sets by hand. */
export class MemoryBacklog implements BacklogSource {
  readonly entries = new Map<TriggerId, TriggerBacklog>()
  readonly #held = new Set<(trigger: TriggerId) => void>()
  reads = 0

  set(trigger: TriggerId, changes: Partial<TriggerBacklog>): void {
    this.entries.set(trigger, { ...(this.entries.get(trigger) ?? nothing(trigger)), ...changes })
  }

  read(): readonly TriggerBacklog[] {
    this.reads++
    return [...this.entries.values()]
  }

  /** An event came for a Trigger that has no replica to give it to. */
  hold(trigger: TriggerId): void {
    for (const listener of this.#held) listener(trigger)
  }

  onHeld(listener: (trigger: TriggerId) => void): () => void {
    this.#held.add(listener)
    return () => this.#held.delete(listener)
  }

  onDrained(): () => void {
    return () => {}
  }
}

function nothing(trigger: TriggerId): TriggerBacklog {
  return {
    trigger,
    waiting: 0,
    blocked: 0,
    stopped: undefined,
    retrying: 0,
    parked: 0,
    inFlight: 0,
    inFlightByReplica: {},
    oldestAgeMs: undefined,
    nextDueInMs: undefined,
    accepted: 0,
    delivered: 0,
    deadLettered: 0,
    failed: 0,
    busyMs: 0,
    lastError: undefined,
    notice: undefined,
  }
}
