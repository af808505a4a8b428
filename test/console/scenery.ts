import type {
  BrokerView,
  DeliveryView,
  EventView,
  ScaleView,
  SourceView,
  StateView,
  TriggerView,
} from '../../contract/api.ts'

/** Views with every field, of which a test names only those that it is about. */
export function trigger(told: Partial<TriggerView> = {}): TriggerView {
  return {
    namespace: 'default',
    name: 'worker',
    broker: 'default',
    subscriber: 'http://127.0.0.1:3000/',
    ready: true,
    reason: '',
    backlog: 0,
    inFlight: 0,
    retrying: 0,
    parked: 0,
    delivered: 0,
    deadLettered: 0,
    failed: 0,
    rate: 0,
    replicas: null,
    oldestAgeMs: null,
    lastError: null,
    notice: null,
    blocked: 0,
    stopped: null,
    stoppedForMs: null,
    ...told,
  }
}

export function broker(told: Partial<BrokerView> = {}): BrokerView {
  const url = 'http://127.0.0.1:8080/default/default'
  return {
    namespace: 'default',
    name: 'default',
    url,
    ready: true,
    reason: '',
    triggers: 0,
    accepted: 0,
    unmatched: 0,
    ...told,
  }
}

export function source(told: Partial<SourceView> = {}): SourceView {
  return {
    namespace: 'default',
    name: 'js-queue-items',
    kind: 'AzureStorageQueueSource',
    sink: 'http://127.0.0.1:8080/default/default',
    address: null,
    ready: true,
    reason: '',
    lag: 0,
    held: 0,
    emitted: 0,
    rate: 0,
    replicas: { ready: 1, desired: 1, max: 1 },
    ...told,
  }
}

export function scale(told: Partial<ScaleView> = {}): ScaleView {
  return {
    namespace: 'default',
    name: 'worker',
    kind: 'Deployment',
    by: 'Trigger/worker',
    replicas: { ready: 0, desired: 0, max: 8, min: 0 },
    explain: 'idle: nothing waits',
    changedMs: null,
    ...told,
  }
}

export function delivery(told: Partial<DeliveryView> = {}): DeliveryView {
  return { trigger: 'worker', state: 'delivered', attempts: 1, last: '200', tookMs: 12, nextDueMs: null, ...told }
}

export function event(seq: number, told: Partial<EventView> = {}): EventView {
  const attributes = { specversion: '1.0', id: `e-${seq}`, type: 'order.created', source: '/shop' }
  return {
    seq,
    namespace: 'default',
    broker: 'default',
    acceptedMs: Date.UTC(2026, 0, 1) + seq,
    attributes,
    bytes: 42,
    deliveries: [delivery()],
    ...told,
  }
}

export function world(told: Partial<StateView> = {}): StateView {
  return { brokers: [broker()], triggers: [], sources: [], sinks: [], scale: [], ...told }
}
