import assert from 'node:assert/strict'
import type { Attempt, DeliveryRequest } from '../../broker/attempt.ts'
import type { Lease } from '../../broker/store.ts'
import type { DeliveryPolicy } from '../../contract/delivery-policy.ts'
import { type TriggerId, triggerId } from '../../contract/ids.ts'
import type { TriggerRoute } from '../../contract/routes.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { History } from './history.ts'
import { eventOf } from './routes.ts'

/** What fails in spite of all healing is asked for again after this, long after everything else is done. */
const STUCK_MS = 8000
/** An attempt takes longer than a group waits for its commit. */
const LEAST_MS = 5

/** One request, as the simulated subscriber knows it: the path names Trigger and stage, the event names itself. */
interface Seen {
  attempts: number
  doneInLife: number | undefined
  failedAtMs: number | undefined
  failures: number
  lifeOfFailure: number
}

/** Subscribers and sinks of a history, and what each of them has seen. */
export class Subscribers {
  readonly #history: History
  readonly #seen = new Map<string, Seen>()
  /** Event ids by Trigger: at the subscriber, and at the sink. */
  readonly #arrived = new Set<string>()
  /** What must be on disk before its cause is done, by delivery. */
  readonly #replyOf = new Map<string, string>()

  constructor(history: History) {
    this.#history = history
  }

  /** Whether the event was answered as taken, or may have been, by the subscriber or by the sink. */
  has(trigger: TriggerId, id: string): boolean {
    return (['subscriber', 'dead-letter'] as const).some(stage => this.#arrived.has(`${trigger} ${stage} ${id}`))
  }

  /** A subscriber, or what is in between, at its worst until everything is healed. */
  deliver(request: DeliveryRequest, life: number, signal: AbortSignal): Promise<Attempt> {
    const { trigger, stage, ids } = this.#identify(request)
    const route = this.#history.routes.find(one => one.id === trigger)
    assert(route !== undefined)
    const keys = ids.map(id => `${trigger} ${stage} ${id}`)
    const all = keys.map(key => this.#begun(key, route, life))
    const leave = stage === 'subscriber' && life === this.#history.life ? this.#arrive(route, request) : () => {}
    const hangs = this.#history.ordered && !this.#history.healed && this.#history.dice.chance(0.05)
    const tookMs = hangs ? request.timeoutMs : LEAST_MS + this.#history.dice.below(40)
    return new Promise(resolve => {
      const cancel = this.#history.clock.after(tookMs, () => {
        const { attempt, arrived } = hangs ? hung(tookMs) : this.#outcome(request, trigger, ids, tookMs)
        if (arrived) for (const key of keys) this.#arrived.add(key)
        if (life !== this.#history.life) return // the process that asked is dead
        leave()
        for (const [i, seen] of all.entries()) this.#remember(seen, `${trigger} ${ids[i]}`, attempt)
        resolve(attempt)
      })
      const abandon = () => {
        cancel()
        leave()
        for (const seen of all) seen.attempts-- // the broker gave it up: it counts as none
        resolve({ kind: 'abandoned', tookMs })
      }
      signal.addEventListener('abort', abandon, { once: true })
    })
  }

  /** The events of a request are at the subscriber, until what is returned is called. */
  #arrive({ id: trigger, order }: TriggerRoute, { batch, event }: DeliveryRequest): () => void {
    if (order === undefined) return () => {}
    const keys: string[] = []
    for (const { attributes } of batch ?? [event]) {
      const key = attributes.partitionkey
      if (key === undefined) continue
      keys.push(key)
      try {
        this.#history.watch.arrives(trigger, this.#seqOf(attributes.id), key)
      } catch (error) {
        this.#history.fail(error)
      }
    }
    const life = this.#history.life
    return () => {
      if (life === this.#history.life) for (const key of keys) this.#history.watch.leaves(trigger, key)
    }
  }

  #seqOf(id: string | undefined): number {
    for (const [seq, { event }] of this.#history.disk.events) if (event.attributes.id === id) return seq
    throw new Error(`durability: ${id} is delivered and not on disk`)
  }

  #remember(seen: Seen, cause: string, attempt: Attempt): void {
    if (attempt.kind !== 'delivered') {
      seen.failures++
      seen.failedAtMs = this.#history.clock.nowMs()
      seen.lifeOfFailure = this.#history.life
    } else if (attempt.reply === undefined) {
      seen.doneInLife = this.#history.life
      this.#replyOf.delete(cause)
    } else {
      this.#replyOf.set(cause, attempt.reply.attributes.id ?? '')
      seen.doneInLife = undefined // until its reply is stored, it may have to be done again
    }
  }

  #identify({ url, event, batch }: DeliveryRequest): { trigger: TriggerId; stage: Lease['stage']; ids: string[] } {
    const [, name = '', sink] = new URL(url).pathname.split('/')
    const stage = sink === 'sink' ? 'dead-letter' : 'subscriber'
    return { trigger: triggerId('sim', name), stage, ids: (batch ?? [event]).map(one => one.attributes.id ?? '') }
  }

  #begun(key: string, route: TriggerRoute, life: number): Seen {
    const fresh: Seen = {
      attempts: 0,
      doneInLife: undefined,
      failedAtMs: undefined,
      failures: 0,
      lifeOfFailure: 0,
    }
    const seen = this.#seen.get(key) ?? fresh
    this.#seen.set(key, seen)
    seen.attempts++
    // A crash may lose the count of the attempt that had ended, not yet written, and of the one that was being made.
    const most = route.delivery.retries + 1 + this.#slackOf(route)
    if (seen.attempts > most)
      this.#history.fail(new Error(`attempts: ${key} is tried ${seen.attempts} times, of ${most}`))
    if (seen.doneInLife === life) this.#history.fail(new Error(`once: ${key} is tried again after a success`))
    if (
      seen.failedAtMs !== undefined &&
      seen.lifeOfFailure === life &&
      this.#history.lives === 1 &&
      route.batch === undefined
    ) {
      const waitedMs = this.#history.clock.nowMs() - seen.failedAtMs
      const leastMs = backoffMs(route.delivery, seen.failures - 1)
      if (waitedMs < leastMs) this.#history.fail(new Error(`backoff: ${key} after ${waitedMs} ms, not ${leastMs}`))
    }
    return seen
  }

  /** Attempts that may come on top of the policy's. */
  #slackOf({ batch }: TriggerRoute): number {
    const crashes = this.#history.lives - 1
    if (!this.#history.ordered) return 2 * crashes
    // Settlements wait for a group longer than an attempt takes; a batch that failed for good goes again in halves.
    return 10 * crashes + (batch === undefined ? 0 : 3)
  }

  #outcome(
    request: DeliveryRequest,
    trigger: TriggerId,
    ids: readonly string[],
    tookMs: number,
  ): { attempt: Attempt; arrived: boolean } {
    const [id = ''] = ids
    const wantsReply = request.wantsReply && !id.startsWith('r') && request.batch === undefined
    if (request.wantsReply && ids.some(one => `${trigger} ${one}` === this.#history.stuck)) {
      return {
        attempt: { kind: 'answered', status: 503, tookMs, retryAfterMs: STUCK_MS, excerpt: 'stuck' },
        arrived: false,
      }
    }
    const roll = this.#history.healed ? 0 : this.#history.dice()
    const delivered = (reply?: CloudEvent): Attempt => ({
      kind: 'delivered',
      status: 200,
      tookMs,
      reply,
      plainBody: false,
    })
    if (roll < 0.35) return { attempt: delivered(), arrived: true }
    if (roll < 0.5 && wantsReply)
      return {
        attempt: delivered(
          eventOf(`r-${id}-${this.#seen.size}-${this.#history.dice()}`, 't1', request.event.attributes.partitionkey),
        ),
        arrived: true,
      }
    if (roll < 0.6)
      return {
        attempt: { kind: 'answered', status: 422, tookMs, retryAfterMs: undefined, excerpt: 'no' },
        arrived: false,
      }
    if (roll < 0.7) return { attempt: { kind: 'unreachable', tookMs, cause: 'timeout', reason: 'late' }, arrived: true }
    if (roll < 0.8)
      return { attempt: { kind: 'unreachable', tookMs, cause: 'refused', reason: 'nobody' }, arrived: false }
    if (roll < 0.85) return { attempt: { kind: 'broken-reply', status: 200, tookMs, reason: 'odd' }, arrived: true }
    const retryAfterMs = this.#history.ordered ? this.#history.dice.pick([undefined, 30, 300]) : undefined
    return { attempt: { kind: 'answered', status: 503, tookMs, retryAfterMs, excerpt: '' }, arrived: false }
  }

  /** A delivery is over. */
  isDone(trigger: TriggerId, seq: number): void {
    const id = this.#history.disk.events.get(seq)?.event.attributes.id ?? ''
    const reply = this.#replyOf.get(`${trigger} ${id}`)
    if (reply === undefined || this.#history.disk.everStored.has(reply)) return
    this.#history.fail(new Error(`replies: ${trigger} is done with ${id}, and its reply is not on disk`))
  }
}

/** What the Knative delivery spec makes of a policy: exponential delay · 2^i, linear delay · i. */
function backoffMs(policy: DeliveryPolicy, retry: number): number {
  return policy.backoff === 'exponential' ? policy.backoffMs * 2 ** retry : policy.backoffMs * retry
}

function hung(tookMs: number): { attempt: Attempt; arrived: boolean } {
  return { attempt: { kind: 'unreachable', tookMs, cause: 'timeout', reason: 'it hangs' }, arrived: true }
}
