import { writeBatch } from '../event/batch.ts'
import { type CloudEvent, HOPS_ATTRIBUTE } from '../event/event.ts'
import { withAttributes, writeHttpEvent } from '../event/http.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Attempt, DeliveryRequest } from './attempt.ts'
import { Call } from './call.ts'
import { type ConnectDeps, openPool } from './connect.ts'
import { Deadlines } from './deadlines.ts'
import type { Post } from './sink-token.ts'
import { Targets } from './targets.ts'

export interface PosterDeps extends ConnectDeps {
  readonly clock: Clock
}

/** What posts events. Disposing ends every request that is open. */
export interface Poster extends AsyncDisposable {
  readonly post: Post
}

/**
 * Opens the client side. Connections are kept alive, one pool per origin, HTTP/1.1; how many there are follows from how
 * many requests callers have open. Redirects are never followed: an event goes where its Trigger says.
 */
export function openPoster(deps: PosterDeps): Poster {
  const { clock } = deps
  const deadlines = new Deadlines<Call>(clock)
  const abandonments = new Abandonments(deadlines)
  const targets = new Targets(clock, (origin, caCerts) => openPool(origin, caCerts, deps))
  const post: Post = (request, token, signal) => {
    const nowMs = clock.monotonicMs()
    if (signal.aborted) return Promise.resolve({ kind: 'abandoned', tookMs: 0 })
    const target = targets.find(request.url, request.trust?.caCerts, nowMs)
    if (typeof target === 'string') return Promise.resolve(unusable(target))
    return new Promise(resolve => {
      const call = new Call(clock, request, nowMs, target, signal, resolve)
      abandonments.watch(signal)
      call.deadline = deadlines.start(call, request.timeoutMs, nowMs)
      const { headers, body } = write(target.broker ? withHops(request) : request, token)
      target.origin.pool.dispatch({ method: 'POST', path: target.path, headers, body }, call)
    })
  }
  return {
    post,
    async [Symbol.asyncDispose]() {
      deadlines.close()
      await targets.close()
    },
  }
}

/** The message, with what is said to the subscriber beside the event. */
function write(request: DeliveryRequest, token: string | undefined): ReturnType<typeof writeHttpEvent> {
  const { event, batch } = request
  const message = batch === undefined ? writeHttpEvent(event, request.format) : writeBatch(batch)
  const { headers } = message
  if (batch === undefined && event.passed !== undefined) {
    for (const [name, value] of Object.entries(event.passed)) headers.push(name, value)
  }
  if (request.wantsReply) headers.push('prefer', 'reply')
  headers.push('kn-namespace', request.namespace)
  if (token !== undefined) headers.push('authorization', `Bearer ${token}`)
  return message
}

/** From Broker to Broker hops travel along, so that an event that runs in a circle of them comes to an end. */
function withHops(request: DeliveryRequest): DeliveryRequest {
  const add = (event: CloudEvent) => withAttributes(event, { [HOPS_ATTRIBUTE]: request.hops })
  return { ...request, event: add(request.event), batch: request.batch?.map(add) }
}

function unusable(reason: string): Attempt {
  return { kind: 'unreachable', tookMs: 0, cause: 'address', reason }
}

/**
 * Abandons what is open when a signal aborts. One listener per signal, whatever the number of calls, because adding one
 * costs as much as a request; which calls are open is known from their deadlines.
 */
class Abandonments {
  readonly #deadlines: Deadlines<Call>
  readonly #known = new WeakSet<AbortSignal>()

  constructor(deadlines: Deadlines<Call>) {
    this.#deadlines = deadlines
  }

  watch(signal: AbortSignal): void {
    if (this.#known.has(signal)) return
    this.#known.add(signal)
    const abandon = () => {
      for (const call of this.#deadlines.running()) if (call.signal === signal) call.abandon()
    }
    signal.addEventListener('abort', abandon, { once: true })
  }
}
