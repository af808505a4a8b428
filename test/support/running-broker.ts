import { type Broker, type BrokerDeps, openBroker } from '../../broker/broker.ts'
import { BROKER_DEFAULTS, type BrokerConfig } from '../../broker/config.ts'
import type { DeliveryPolicy } from '../../contract/delivery-policy.ts'
import { brokerId, triggerId } from '../../contract/ids.ts'
import { PLAIN_BROKER, PLAIN_TRIGGER, type Routes, type Target, type TriggerRoute } from '../../contract/routes.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { type Metrics, openMetrics } from '../../runtime/metrics.ts'

/** Fast enough for a test, with the shape of a real one. */
export const FAST: DeliveryPolicy = {
  retries: 3,
  backoff: 'exponential',
  backoffMs: 10,
  backoffMaxMs: undefined,
  timeoutMs: 5000,
  retryAfterMaxMs: undefined,
  jitter: false,
  format: undefined,
}

export interface Running extends AsyncDisposable {
  readonly broker: Broker
  readonly metrics: Metrics
  readonly fatal: readonly Error[]
  readonly logged: readonly { readonly level: string; readonly message: string; readonly facts: unknown }[]
  /** Posts one event to shop/main. Resolves with the status. */
  post(over?: PostOptions): Promise<number>
}

export interface PostOptions {
  readonly type?: string
  readonly id?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A whole broker on a free port, on the memory store unless a folder is given. */
export async function openRunning(over: Partial<BrokerConfig> = {}, more: Partial<BrokerDeps> = {}): Promise<Running> {
  const fatal: Error[] = []
  const logged: { level: string; message: string; facts: unknown }[] = []
  const at = (level: string) => (facts: unknown, message?: string) =>
    void logged.push({ level, message: message ?? '', facts })
  const log = { debug() {}, info: at('info'), warn: at('warn'), error: at('error') } as Log
  const metrics = openMetrics()
  const config = { ...BROKER_DEFAULTS, port: 0, memory: over.dataDir === undefined, drainMs: 2000, ...over }
  const deps = {
    clock: systemClock,
    random: () => 0.5,
    log,
    metrics,
    onFatal: (error: Error) => void fatal.push(error),
    ...more,
  }
  const broker = await openBroker(config, deps)
  let posted = 0
  return {
    broker,
    metrics,
    fatal,
    logged,
    async post({ type = 't', id = String(++posted), body = '{}', headers = {} } = {}) {
      const attributes = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/test', 'ce-type': type }
      const response = await fetch(`${broker.origin}/shop/main`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...attributes, ...headers },
        body,
      })
      await response.arrayBuffer()
      return response.status
    },
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  }
}

/** A Trigger of shop/main that sends everything to `subscriber`. */
export function trigger(name: string, subscriber: string | Target, over: Partial<TriggerRoute> = {}): TriggerRoute {
  return {
    id: triggerId('shop', name),
    uid: `uid-${name}`,
    filters: [],
    subscriber: typeof subscriber === 'string' ? { kind: 'url', address: subscriber } : subscriber,
    deadLetter: undefined,
    delivery: FAST,
    concurrency: 10,
    reply: 'lenient',
    ...PLAIN_TRIGGER,
    ...over,
  }
}

/** shop/main with these Triggers. */
export function routes(triggers: readonly TriggerRoute[], endpoints: Routes['endpoints'] = {}): Routes {
  return {
    brokers: [{ id: brokerId('shop', 'main'), uid: 'uid-main', store: 'durable', triggers, ...PLAIN_BROKER }],
    endpoints,
  }
}

export function url(address: string): Target {
  return { kind: 'url', address }
}
