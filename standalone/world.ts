import type { Broker } from '../broker/broker.ts'
import { type BrokerId, brokerId, type TriggerId, triggerId, type WorkloadId, workloadId } from '../contract/ids.ts'
import type { BrokerRoute, Endpoint } from '../contract/routes.ts'
import type { BindingResource } from '../crds/bindings.ts'
import type { BrokerResource } from '../crds/broker.ts'
import { FEATURES_CONFIG_MAP, type Features, readFeatures, SYSTEM_NAMESPACE } from '../crds/features.ts'
import type { Resource } from '../crds/manifest.ts'
import { type Destination, resourceKey } from '../crds/resource.ts'
import { webhookPath } from '../crds/webhook-source.ts'
import type { ConfigMapResource, SecretResource } from '../crds/workloads.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { type Addresses, resolve } from '../trigger-controller/resolve.ts'
import type {
  AdapterWorkload,
  BindingFacts,
  BoundWorkload,
  BrokerFacts,
  PolicyFacts,
  Reach,
  Replicas,
  ScaleFacts,
  Sender,
  Served,
  SinkFacts,
  SinkWorkload,
  SourceFacts,
  Status,
  World,
} from '../trigger-controller/world.ts'
import { AdapterLoops, type AdapterLoopsDeps } from './adapter-loops.ts'
import { Bindings } from './bindings.ts'
import { Catalog, type Edit } from './catalog.ts'
import { Deployments } from './deployments.ts'
import { Pauses } from './pauses.ts'
import { RouteBoard } from './route-board.ts'
import { ServiceDoors } from './service-doors.ts'
import { SinkServers, type SinkServersDeps } from './sink-servers.ts'
import { type KnownStatus, Statuses } from './statuses.ts'

export interface LocalWorldDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly broker: Broker
  /** Folder that the paths of the YAML files are relative to. */
  readonly cwd: string
  /** Folder of what is kept; undefined where nothing is. */
  readonly dataDir: string | undefined
  /** What every local process inherits. */
  readonly baseEnv: Readonly<Record<string, string>>
  readonly runAdapter: AdapterLoopsDeps['run']
  readonly sinks: SinkServersDeps
  /** Something that does not work as it may be expected to, in a sentence. */
  readonly say: (text: string) => void
  /** As `say`, of what is as it should be. */
  readonly note: (text: string) => void
  /** A line that a local process printed. */
  readonly output: (replica: string, line: string) => void
  readonly statusChanged: (key: string, now: KnownStatus, before: KnownStatus | undefined) => void
}

/**
 * The controller's world on a laptop: resources out of files, Deployments as local processes, adapters as loops of this
 * process, and one broker in it.
 */
export class LocalWorld implements World {
  readonly #deps: LocalWorldDeps
  readonly #catalog = new Catalog()
  readonly #board: RouteBoard
  readonly #pauses: Pauses
  readonly #deployments: Deployments
  readonly #adapters: AdapterLoops
  readonly #sinks: SinkServers
  readonly #services: ServiceDoors
  readonly #bindings = new Bindings()
  readonly statuses: Statuses

  constructor(deps: LocalWorldDeps) {
    this.#deps = deps
    this.#pauses = new Pauses(deps.dataDir)
    this.statuses = new Statuses(deps.clock, deps.statusChanged)
    this.#adapters = new AdapterLoops({ clock: deps.clock, run: deps.runAdapter, say: deps.say, changed: () => {} })
    this.#sinks = new SinkServers(deps.sinks)
    this.#services = new ServiceDoors({ clock: deps.clock, door: deps.sinks.door, endpoints: id => this.endpoints(id) })
    this.#board = new RouteBoard({
      apply: routes => deps.broker.apply(routes),
      expected: () => this.#catalog.all('Broker').map(idOf),
      endpoints: () => this.#deployments.endpoints(),
      failed: error => deps.log.error({ err: error }, 'the broker did not take its routes'),
    })
    this.#deployments = new Deployments({
      ...deps,
      ports: new Set(),
      names: new Set(),
      changed: () => void this.#board.publish(),
      requestMaxMs: workload => this.#board.requestMaxMs(workload),
      objectsOf: namespace => ({
        secret: name => this.#secret(namespace, name),
        configMap: name => this.#configMap(namespace, name),
      }),
      traffic: {
        inFlight: replica => this.#inFlight(replica),
        onDrained: listener => deps.broker.backlog.onDrained(listener),
        published: () => this.#board.publish(),
      },
    })
  }

  get catalog(): Pick<Catalog, 'all' | 'sources' | 'sinks' | 'bindings' | 'get' | 'size'> {
    return this.#catalog
  }

  /** The files now say `resources`; `keysOf` what it returns is for the controller. */
  edit(resources: readonly Resource[]): Edit {
    const edit = this.#catalog.edit(resources, this.#deps.clock.monotonicMs(), resource => this.#owes(resource))
    this.#follow(edit)
    return edit
  }

  /** Takes away what was kept for its minute; see `Catalog`. */
  expire(): Edit {
    const edit = this.#catalog.expire(this.#deps.clock.monotonicMs())
    this.#follow(edit)
    return edit
  }

  /** Deployments that no autoscaler owns run what their YAML says. */
  runDeclared(owned: (id: WorkloadId) => boolean): void {
    this.#deployments.runDeclared(owned)
  }

  async readBroker(id: BrokerId): Promise<BrokerFacts | undefined> {
    const broker = this.#catalog.get(`Broker/${id}`)
    if (broker?.kind !== 'Broker') return undefined
    const triggers = this.#catalog
      .all('Trigger')
      .filter(one => brokerId(one.metadata.namespace, one.spec.broker) === id)
    const policies = this.#catalog
      .all('EventPolicy')
      .filter(one => one.metadata.namespace === broker.metadata.namespace)
    const namespace = this.#catalog.all('Namespace').find(one => one.metadata.name === broker.metadata.namespace)
    return { broker, triggers, policies, namespace, senders: this.#senders(), ...this.#addresses() }
  }

  async readPolicy(id: string): Promise<PolicyFacts | undefined> {
    const policy = this.#catalog.get(`EventPolicy/${id}`)
    if (policy?.kind !== 'EventPolicy') return undefined
    return { policy, features: this.features(), senders: this.#senders() }
  }

  async readSource(id: WorkloadId): Promise<SourceFacts | undefined> {
    const source = this.#catalog.sources().find(one => sourceId(one) === id)
    if (source === undefined) return undefined
    const secretValue = (name: string, key: string) => this.#secretValue(source.metadata.namespace, name, key)
    const addresses = this.#addresses()
    const { sink, delivery } = source.spec
    const reach = await this.#reach([sink, delivery?.deadLetterSink], addresses)
    const address =
      source.kind === 'WebhookSource'
        ? `${(await this.#deps.sinks.door()).origin}${webhookPath(source.metadata)}`
        : undefined
    return { source, ...addresses, secretValue, address, reach }
  }

  async readSink(id: WorkloadId): Promise<SinkFacts | undefined> {
    const sink = this.#catalog.sinks().find(one => sourceId(one) === id)
    if (sink === undefined) return undefined
    return { sink, secretValue: (name, key) => this.#secretValue(sink.metadata.namespace, name, key) }
  }

  async readBinding(id: WorkloadId): Promise<BindingFacts | undefined> {
    const binding = this.#catalog.bindings().find(one => sourceId(one) === id)
    if (binding === undefined) return undefined
    const addresses = this.#addresses()
    return { binding, ...addresses, reach: await this.#reach([binding.spec.sink], addresses) }
  }

  async readScale(): Promise<ScaleFacts> {
    const { services, deployments } = this.#addresses()
    return {
      brokers: this.#catalog.all('Broker'),
      triggers: this.#catalog.all('Trigger'),
      sources: this.#catalog.sources(),
      sinks: this.#catalog.sinks(),
      bindings: this.#catalog.bindings(),
      policies: this.#catalog.all('EventPolicy'),
      scaledObjects: this.#catalog.all('ScaledObject'),
      authentications: this.#catalog.all('TriggerAuthentication'),
      services,
      deployments,
      secretValue: (namespace, name, key) => this.#secretValue(namespace, name, key),
    }
  }

  async applyBroker(id: BrokerId, route: BrokerRoute | undefined): Promise<void> {
    this.#board.set(id, route && this.#pauses.applied(route))
    await this.#board.publish()
  }

  /**
   * Pauses a Trigger, or resumes it, whatever its annotation says. False where there is none.
   * @throws when it cannot be written down.
   */
  async pause(trigger: TriggerId, paused: boolean): Promise<boolean> {
    for (const [id, route] of this.#board.brokers) {
      if (!route.triggers.some(one => one.id === trigger)) continue
      this.#pauses.set(trigger, paused)
      await this.applyBroker(id, route)
      return true
    }
    return false
  }

  get keepsPauses(): boolean {
    return this.#pauses.kept
  }

  async applyAdapter(id: WorkloadId, adapter: AdapterWorkload | undefined): Promise<void> {
    this.#adapters.apply(id, adapter)
  }

  applySink(id: WorkloadId, sink: SinkWorkload | undefined): Promise<Served | undefined> {
    return this.#sinks.apply(id, sink)
  }

  async applyBinding(id: WorkloadId, bound: BoundWorkload | 'waiting' | undefined): Promise<void> {
    this.#bindings.set(id, bound)
    this.#syncDeployments()
  }

  sinkAddress(id: WorkloadId): string | undefined {
    return this.#sinks.address(id)
  }

  async report(key: string, status: Status): Promise<void> {
    if (this.#catalog.get(key) !== undefined) this.statuses.report(key, status)
  }

  replicas(id: WorkloadId): Replicas | undefined {
    return this.#deployments.replicas(id) ?? this.#adapters.replicas(id)
  }

  endpoints(id: WorkloadId): readonly Endpoint[] {
    return this.#deployments.endpoints()[id] ?? []
  }

  async setReplicas(id: WorkloadId, replicas: number): Promise<void> {
    this.#deployments.scale(id, replicas)
    this.#adapters.scale(id, replicas)
  }

  /** Events that `trigger` has not delivered: waiting, under way, to be tried again, parked. */
  owed(trigger: TriggerId): number {
    const counted = this.#deps.broker.backlog.read().find(one => one.trigger === trigger)
    return counted === undefined ? 0 : counted.waiting + counted.retrying + counted.inFlight + counted.parked
  }

  /** The route of one Broker as it was last planned. */
  route(id: BrokerId): BrokerRoute | undefined {
    return this.#board.brokers.get(id)
  }

  adapterState(id: WorkloadId): ReturnType<AdapterLoops['state']> {
    return this.#adapters.state(id)
  }

  sinkCounts(id: WorkloadId): ReturnType<SinkServers['counts']> {
    return this.#sinks.counts(id)
  }

  /** The workloads that `binding` tells where to send. */
  boundTo(binding: BindingResource): readonly WorkloadId[] {
    return this.#bindings.workloads(binding, this.#catalog.all('Deployment'))
  }

  /** Why a Deployment does not run here, in words. */
  problem(id: WorkloadId): string | undefined {
    return this.#deployments.problem(id)
  }

  brokerUrl(id: BrokerId): string {
    return `${this.#deps.broker.origin}/${id}`
  }

  /** Drains the adapters: nothing comes in from upstream any more. */
  closeAdapters(): Promise<void> {
    return this.#adapters.close()
  }

  /** Nothing is delivered any more. */
  closeSinks(): Promise<void> {
    return this.#sinks.close()
  }

  /** Ends the local processes, each with its grace. */
  stopProcesses(): Promise<void> {
    return this.#deployments.stop()
  }

  /** Ends the local processes now. */
  killProcesses(): void {
    this.#deployments.kill()
  }

  get processes(): number {
    return this.#deployments.alive
  }

  #follow(edit: Edit): void {
    for (const resource of edit.removed) this.statuses.forget(resourceKey(resource))
    this.#syncDeployments()
  }

  #syncDeployments(): void {
    const isThere = (id: WorkloadId) => this.#deployments.replicas(id) !== undefined
    this.#deployments.sync(this.#bindings.bind(this.#catalog.all('Deployment'), this.#catalog.bindings(), isThere))
  }

  /** What the ConfigMap of the features says now. */
  features(): Features {
    return readFeatures(this.#configMap(SYSTEM_NAMESPACE, FEATURES_CONFIG_MAP))
  }

  #senders(): readonly Sender[] {
    return [...this.#catalog.all('Trigger'), ...this.#catalog.sources()]
  }

  #addresses(): Pick<BrokerFacts, 'services' | 'deployments' | 'brokerAddress' | 'sinkAddress' | 'features'> {
    const brokers = new Set(this.#catalog.all('Broker').map(idOf))
    return {
      services: this.#catalog.all('Service'),
      deployments: this.#catalog.all('Deployment'),
      brokerAddress: id => (brokers.has(id) ? this.brokerUrl(id) : undefined),
      sinkAddress: id => this.#sinks.address(id),
      features: this.features(),
    }
  }

  /** Names of a cluster lead nowhere on a laptop: Services among `destinations` are reached through the local door. */
  async #reach(destinations: readonly (Destination | undefined)[], addresses: Addresses): Promise<Reach> {
    const doors = new Map<string, string>()
    for (const destination of destinations) {
      const resolved = destination && resolve(destination, addresses)
      if (resolved?.kind === 'resolved' && resolved.target.kind === 'workload')
        doors.set(resolved.target.address, await this.#services.address(resolved.target))
    }
    return ({ address }) => doors.get(address) ?? address
  }

  #secretValue(namespace: string, name: string, key: string): string | undefined {
    const data = this.#secret(namespace, name)?.data
    return data !== undefined && Object.hasOwn(data, key) ? data[key] : undefined
  }

  #secret(namespace: string, name: string): SecretResource | undefined {
    const found = this.#catalog.get(resourceKey({ kind: 'Secret', metadata: { namespace, name } }))
    return found?.kind === 'Secret' ? found : undefined
  }

  #configMap(namespace: string, name: string): ConfigMapResource | undefined {
    const found = this.#catalog.get(resourceKey({ kind: 'ConfigMap', metadata: { namespace, name } }))
    return found?.kind === 'ConfigMap' ? found : undefined
  }

  #inFlight(replica: string): number {
    // Each Trigger's entry counts for the whole workload.
    return Math.max(0, ...this.#deps.broker.backlog.read().map(one => one.inFlightByReplica[replica] ?? 0))
  }

  #owes(resource: Resource): boolean {
    if (resource.kind !== 'Trigger' && resource.kind !== 'Broker') return false
    const { namespace, name } = resource.metadata
    if (resource.kind === 'Trigger') return this.owed(triggerId(namespace, name)) > 0
    return this.route(brokerId(namespace, name))?.triggers.some(one => this.owed(one.id) > 0) ?? false
  }
}

function idOf(broker: BrokerResource): BrokerId {
  return brokerId(broker.metadata.namespace, broker.metadata.name)
}

function sourceId(source: AdapterWorkload['source'] | SinkWorkload['sink'] | BoundWorkload['binding']): WorkloadId {
  return workloadId(source.kind, source.metadata.namespace, source.metadata.name)
}
