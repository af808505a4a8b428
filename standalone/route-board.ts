import type { BrokerId, WorkloadId } from '../contract/ids.ts'
import type { BrokerRoute, Endpoint, Routes } from '../contract/routes.ts'

export interface RouteBoardDeps {
  /** Gives the broker a new document; see `Broker.apply`. */
  readonly apply: (routes: Routes) => Promise<void>
  /** Brokers there should be, and so routes to wait for. */
  readonly expected: () => readonly BrokerId[]
  readonly endpoints: () => Readonly<Record<WorkloadId, readonly Endpoint[]>>
  readonly failed: (error: unknown) => void
}

/**
 * Puts the routes of all Brokers together and hands them to the broker, the newest only, one document at a time.
 *
 * The first document waits until every Broker has its route: a Trigger that is missing from a document loses its queue, and
 * at a start with kept data that must not happen only because its Broker is looked at a moment later.
 */
export class RouteBoard {
  readonly #deps: RouteBoardDeps
  readonly #routes = new Map<BrokerId, BrokerRoute>()
  #complete = false
  #applied = ''
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(deps: RouteBoardDeps) {
    this.#deps = deps
  }

  get brokers(): ReadonlyMap<BrokerId, BrokerRoute> {
    return this.#routes
  }

  set(id: BrokerId, route: BrokerRoute | undefined): void {
    if (route === undefined) this.#routes.delete(id)
    else this.#routes.set(id, route)
  }

  /** Resolves when the broker follows a document at least as new as the state at the time of this call. Never rejects. */
  publish(): Promise<void> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      return this.#apply()
    })
    this.#running = this.#next
    return this.#next
  }

  /** The longest that one request to `workload` may take; undefined when no Trigger sends to it. */
  requestMaxMs(workload: WorkloadId): number | undefined {
    let longestMs: number | undefined
    for (const { triggers } of this.#routes.values()) {
      for (const { subscriber, deadLetter, delivery } of triggers) {
        const sends = [subscriber, deadLetter].some(to => to?.kind === 'workload' && to.workload === workload)
        if (sends) longestMs = Math.max(longestMs ?? 0, delivery.timeoutMs)
      }
    }
    return longestMs
  }

  async #apply(): Promise<void> {
    this.#complete ||= this.#deps.expected().every(id => this.#routes.has(id))
    if (!this.#complete) return
    const routes = { brokers: [...this.#routes.values()], endpoints: this.#deps.endpoints() }
    const text = JSON.stringify(routes)
    if (text === this.#applied) return
    try {
      await this.#deps.apply(routes)
      this.#applied = text
    } catch (error) {
      this.#deps.failed(error)
    }
  }
}
