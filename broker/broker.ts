import type { BacklogSource } from '../contract/backlog.ts'
import type { BrokerId } from '../contract/ids.ts'
import type { Routes } from '../contract/routes.ts'
import type { TokenSource } from '../contract/tokens.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Archive } from './archive.ts'
import type { Verifier } from './auth/verifier.ts'
import { Budget } from './budget.ts'
import type { BrokerConfig } from './config.ts'
import { type BrokerCounters, registerMetrics } from './counters.ts'
import { Delivery } from './delivery.ts'
import { Endpoints } from './endpoints.ts'
import { type Origins, openIngress } from './ingress.ts'
import { type Journal, openJournal } from './journal.ts'
import { openPosting } from './open-poster.ts'
import { Stores } from './open-stores.ts'
import { Routing } from './routing.ts'
import { withTokens } from './sink-token.ts'

export interface BrokerDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
  /** Tells who sent, for Brokers whose route has `access`; without it such Brokers take nothing. */
  readonly verifier?: Verifier
  /** Tokens for sinks that have an audience. */
  readonly tokens?: TokenSource
  /** Called once when the store failed: the process must stop acknowledging and end. */
  readonly onFatal: (error: Error) => void
}

/**
 * One broker process: door, store and deliveries for every Broker of the routes. Disposing stops the intake, lets what is
 * in flight finish within `config.drainMs`, gives the rest back to the store, and closes it.
 */
export interface Broker extends AsyncDisposable {
  /** `http://127.0.0.1:8080`, without a path. */
  readonly origin: string
  /** The same, and the one for TLS where the config asks for it. */
  readonly origins: Origins
  readonly backlog: BacklogSource
  readonly journal: Journal
  /** Replaces the routes. Resolves when events accepted from now on follow them; Triggers that did not change are not touched. */
  apply(routes: Routes): Promise<void>
  /** What is kept of a Broker's events; undefined where it is not served. */
  archive(broker: BrokerId): Archive | undefined
  /** Counters of the Brokers of the current routes, since the process began. */
  counters(): readonly BrokerCounters[]
  /** Events owed or parked in stores that do not outlive the process. */
  discarding(): number
}

/** @throws what the store or the door throws when it cannot be opened; what was open by then is closed again. */
export async function openBroker(config: BrokerConfig, deps: BrokerDeps): Promise<Broker> {
  const { clock, random, log, metrics } = deps
  const onFatal = once(deps.onFatal)
  await using opening = new AsyncDisposableStack()
  const journal = openJournal(clock)
  opening.defer(() => journal.close())
  const stores = opening.use(
    new Stores({ config, clock, log, journal, onDue: trigger => delivery.wake(trigger), onFailure: onFatal }),
  )
  let { drainMs } = config
  const onPosterFailure = (error: Error) => {
    // Nothing that is in flight comes to an end any more.
    drainMs = 0
    onFatal(error)
  }
  const poster = opening.use(openPosting(config, { clock, log, onFailure: onPosterFailure }))
  const endpoints = new Endpoints(clock)
  const budget = new Budget(config.inFlightMaxBytes)
  const deliver = withTokens(poster.post, deps.tokens, clock)
  const delivery = new Delivery({ clock, random, log, deliver, endpoints, budget, onBroken: onFatal })
  const { verifier } = deps
  const intakeMaxBytes = config.inFlightMaxBytes
  const routing = new Routing({ clock, log, stores, delivery, endpoints, verifier, intakeMaxBytes })
  // A folder that cannot be used is an error now, and not with the first event.
  await stores.for('durable')
  const { host, port, tls, bodyMaxBytes, inFlightMaxBytes } = config
  const door = (path: string) => routing.door(path)
  const reading = new Budget(inFlightMaxBytes)
  const ingress = opening.use(await openIngress({ host, port, tls, bodyMaxBytes, budget: reading, door, clock, log }))
  registerMetrics(
    metrics,
    () => routing.counters(),
    () => delivery.readings(),
  )

  const open = opening.move()
  let closed: Promise<void> | undefined
  const close = async () => {
    ingress.stop()
    await delivery.drain(drainMs)
    await routing.close()
    await open.disposeAsync()
  }
  return {
    origin: ingress.origins.http,
    origins: ingress.origins,
    backlog: {
      read: () => delivery.backlog(),
      onHeld: listener => delivery.onHeld(listener),
      onDrained: listener => endpoints.onDrained(listener),
    },
    journal,
    apply: routes => routing.apply(routes),
    archive: id => routing.archive(id),
    counters: () => routing.counters(),
    discarding: () => routing.discarding(),
    [Symbol.asyncDispose]: () => (closed ??= close()),
  }
}

function once(action: (error: Error) => void): (error: Error) => void {
  let done = false
  return error => {
    if (done) return
    done = true
    action(error)
  }
}
