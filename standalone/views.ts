import type { Broker } from '../broker/broker.ts'
import type { JournalEntry } from '../broker/journal.ts'
import type {
  BrokerView,
  DeliveryView,
  EventView,
  ReplicasView,
  ScaleView,
  SinkView,
  SourceView,
  StateView,
  TriggerView,
} from '../contract/api.ts'
import type { TriggerBacklog } from '../contract/backlog.ts'
import { brokerId, type TriggerId, triggerId, type WorkloadId, workloadId } from '../contract/ids.ts'
import type { BindingResource } from '../crds/bindings.ts'
import { resourceKey } from '../crds/resource.ts'
import type { SinkResource } from '../crds/sinks.ts'
import { hasUpstream } from '../crds/sources.ts'
import type { TriggerResource } from '../crds/trigger.ts'
import type { Autoscaler } from '../trigger-controller/autoscaler/autoscaler.ts'
import type { SourceResource } from '../trigger-controller/world.ts'
import type { Rates } from './rates.ts'
import type { LocalWorld } from './world.ts'

export interface ViewParts {
  readonly world: LocalWorld
  readonly broker: Broker
  readonly autoscaler: Pick<Autoscaler, 'scaleViews' | 'lag'>
  readonly rates: Rates
}

/** Everything there is to show, as it is now. */
export function stateView(parts: ViewParts): StateView {
  const scale = parts.autoscaler.scaleViews()
  return {
    brokers: brokerViews(parts),
    triggers: triggerViews(parts, scale),
    sources: [
      ...parts.world.catalog.sources().map(source => sourceView(source, parts, scale)),
      ...parts.world.catalog.bindings().map(binding => bindingView(binding, parts.world)),
    ],
    sinks: parts.world.catalog.sinks().map(sink => sinkView(sink, parts)),
    scale,
  }
}

function brokerViews({ world, broker }: ViewParts): BrokerView[] {
  const counters = new Map(broker.counters().map(one => [one.broker, one]))
  const triggers = world.catalog.all('Trigger')
  return world.catalog.all('Broker').map(resource => {
    const { namespace, name } = resource.metadata
    const id = brokerId(namespace, name)
    const counted = counters.get(id)
    return {
      namespace,
      name,
      url: world.brokerUrl(id),
      ...world.statuses.ready(resourceKey(resource)),
      triggers: triggers.filter(one => brokerId(one.metadata.namespace, one.spec.broker) === id).length,
      accepted: counted?.accepted ?? 0,
      unmatched: counted?.unmatched ?? 0,
    }
  })
}

function triggerViews(parts: ViewParts, scale: readonly ScaleView[]): TriggerView[] {
  const backlog = new Map(parts.broker.backlog.read().map(one => [one.trigger, one]))
  const triggers = parts.world.catalog.all('Trigger')
  return triggers.map(trigger => triggerView(trigger, parts, backlog, scale))
}

function triggerView(
  resource: TriggerResource,
  { world, rates }: ViewParts,
  backlog: ReadonlyMap<TriggerId, TriggerBacklog>,
  scale: readonly ScaleView[],
): TriggerView {
  const { namespace, name } = resource.metadata
  const id = triggerId(namespace, name)
  const route = world.route(brokerId(namespace, resource.spec.broker))?.triggers.find(one => one.id === id)
  const workload = route?.subscriber.kind === 'workload' ? route.subscriber.workload : undefined
  const counted = backlog.get(id)
  return {
    namespace,
    name,
    broker: resource.spec.broker,
    subscriber: route?.subscriber.address ?? '',
    ...world.statuses.ready(resourceKey(resource)),
    backlog: counted?.waiting ?? 0,
    inFlight: counted?.inFlight ?? 0,
    retrying: counted?.retrying ?? 0,
    parked: counted?.parked ?? 0,
    delivered: counted?.delivered ?? 0,
    deadLettered: counted?.deadLettered ?? 0,
    failed: counted?.failed ?? 0,
    rate: rates.perSecond(id),
    replicas: workload === undefined ? null : replicasView(workload, world, scale),
    oldestAgeMs: counted?.oldestAgeMs ?? null,
    lastError: counted?.lastError ?? null,
    notice: noticeOf(resource, workload, counted, world),
    blocked: counted?.blocked ?? 0,
    stopped: counted?.stopped?.by ?? null,
    stoppedForMs: counted?.stopped?.forMs ?? null,
  }
}

/** What a person should know although nothing may be broken: the first of what the parts have to say. */
function noticeOf(
  resource: TriggerResource,
  workload: WorkloadId | undefined,
  counted: TriggerBacklog | undefined,
  world: LocalWorld,
): string | null {
  const problem = workload === undefined ? undefined : world.problem(workload)
  if (problem !== undefined) return `${workload} does not run here: ${problem}`
  return counted?.notice ?? world.statuses.notice(resourceKey(resource)) ?? null
}

function sourceView(source: SourceResource, parts: ViewParts, scale: readonly ScaleView[]): SourceView {
  const { world, autoscaler, rates } = parts
  const { namespace, name } = source.metadata
  const id = workloadId(source.kind, namespace, name)
  const planned = world.statuses.ready(resourceKey(source))
  const state = world.adapterState(id)
  const status = world.statuses.get(resourceKey(source))?.extra
  return {
    namespace,
    name,
    kind: source.kind,
    sink: typeof status?.sinkUri === 'string' ? status.sinkUri : '',
    address: addressIn(status),
    ...(planned.ready ? adapterReady(state, world.replicas(id)?.desired) : planned),
    lag: hasUpstream(source.kind) ? (autoscaler.lag(id) ?? null) : 0,
    held: state?.held ?? 0,
    emitted: state?.emitted ?? 0,
    rate: rates.perSecond(id),
    replicas: replicasView(id, world, scale) ?? { ready: 0, desired: 0, max: 1 },
  }
}

function sinkView({ kind, metadata }: SinkResource, { world }: ViewParts): SinkView {
  const { namespace, name } = metadata
  const id = workloadId(kind, namespace, name)
  const counts = world.sinkCounts(id)
  return {
    namespace,
    name,
    kind,
    url: world.sinkAddress(id) ?? '',
    ...world.statuses.ready(resourceKey({ kind, metadata })),
    sent: counts?.sent ?? 0,
    trouble: counts?.trouble ?? null,
  }
}

/** A binding sends nothing itself: its processes do, so that nothing is counted. */
function bindingView(binding: BindingResource, world: LocalWorld): SourceView {
  const { namespace, name } = binding.metadata
  const key = resourceKey(binding)
  const sink = world.statuses.get(key)?.extra.sinkUri
  const workloads = world.boundTo(binding)
  const counts = workloads.map(id => world.replicas(id) ?? { ready: 0, desired: 0 })
  const sum = (of: 'ready' | 'desired') => counts.reduce((total, one) => total + one[of], 0)
  const problem = workloads.map(id => world.problem(id)).find(one => one !== undefined)
  const planned = world.statuses.ready(key)
  return {
    namespace,
    name,
    kind: binding.kind,
    sink: typeof sink === 'string' ? sink : '',
    address: null,
    ...(planned.ready && problem !== undefined ? { ready: false, reason: problem } : planned),
    lag: 0,
    held: 0,
    emitted: 0,
    rate: 0,
    replicas: { ready: sum('ready'), desired: sum('desired'), max: sum('desired') },
  }
}

/** `status.address.url`, as an addressable resource of Knative has it. */
function addressIn(status: Readonly<Record<string, unknown>> | undefined): string | null {
  const address = status?.address
  if (typeof address !== 'object' || address === null || !('url' in address)) return null
  return typeof address.url === 'string' ? address.url : null
}

/** A source is ready when its YAML is right and, unless it is scaled to zero, its adapter reaches the upstream. */
function adapterReady(
  state: ReturnType<LocalWorld['adapterState']>,
  desired: number | undefined,
): { readonly ready: boolean; readonly reason: string } {
  if (desired === 0) return { ready: true, reason: '' }
  if (state?.ready === true) return { ready: true, reason: state.error ?? '' }
  return { ready: false, reason: state?.error ?? 'the adapter is starting' }
}

function replicasView(workload: WorkloadId, world: LocalWorld, scale: readonly ScaleView[]): ReplicasView | null {
  const replicas = world.replicas(workload)
  if (replicas === undefined) return null
  const scaled = scale.find(one => workloadId(one.kind, one.namespace, one.name) === workload)
  return { ...replicas, max: scaled?.replicas.max ?? replicas.desired }
}

/** Counters whose rates are shown, by the key they are asked for with. */
export function* counted({ world, broker }: Omit<ViewParts, 'rates'>): Iterable<readonly [string, number]> {
  for (const one of broker.backlog.read()) yield [one.trigger, one.delivered]
  for (const source of world.catalog.sources()) {
    const id = workloadId(source.kind, source.metadata.namespace, source.metadata.name)
    yield [id, world.adapterState(id)?.emitted ?? 0]
  }
}

export function eventView(entry: JournalEntry): EventView {
  const [namespace = '', broker = ''] = entry.broker.split('/')
  return {
    seq: entry.seq,
    namespace,
    broker,
    acceptedMs: entry.acceptedMs,
    attributes: entry.attributes,
    bytes: entry.bytes,
    deliveries: Object.entries(entry.deliveries).map(([trigger, state]): DeliveryView => {
      const { last, tookMs, nextDueMs } = state
      return {
        trigger: trigger.slice(trigger.indexOf('/') + 1), // A Trigger is of its Broker's namespace.
        state: state.state,
        attempts: state.attempts,
        last: last ?? null,
        tookMs: tookMs ?? null,
        nextDueMs: nextDueMs ?? null,
      }
    }),
  }
}
