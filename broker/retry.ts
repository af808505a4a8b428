import { type DeliveryPolicy, RETRY_AFTER_MAX_MS } from '../contract/delivery-policy.ts'
import type { TriggerRoute } from '../contract/routes.ts'
import type { CloudEvent } from '../event/event.ts'
import type { Attempt, Verdict } from './attempt.ts'
import type { Lesson } from './gate.ts'
import type { Failure } from './store.ts'

/** What becomes of an event after an attempt. */
export type Settlement =
  /** Done. The reply, if any, is a new event for the Broker. */
  | { readonly kind: 'ack'; readonly reply: CloudEvent | undefined }
  /** Again at `dueMs` (wall), with `attempt` attempts made by then. */
  | { readonly kind: 'retry'; readonly dueMs: number; readonly attempt: number; readonly failure: AttemptFailure }
  /** No attempt is left, or none can help: to the dead-letter sink, or parked. */
  | { readonly kind: 'give-up'; readonly failure: AttemptFailure }
  /** Nothing was learnt: due again at once, attempts unchanged. */
  | { readonly kind: 'return' }

/** All of a `Failure` but where it happened, which the caller knows. */
export type AttemptFailure = Omit<Failure, 'destination'>

/**
 * Decides what follows an attempt (Knative delivery spec; its retry table). Pure.
 * @param attemptsBefore attempts already made in this stage, this one apart.
 * @param nowMs wall time.
 * @param random in [0, 1), for jitter.
 * @param reply `strict` takes a 2xx with a body that is no CloudEvent for a failed attempt.
 * @param acceptedMs when the event was accepted, wall ms: it is not deferred for ever.
 */
export function afterAttempt(
  attempt: Attempt,
  attemptsBefore: number,
  policy: DeliveryPolicy,
  nowMs: number,
  random: () => number,
  reply: TriggerRoute['reply'] = 'lenient',
  acceptedMs: number = nowMs,
): Settlement {
  const retryOrGiveUp = (failure: AttemptFailure, retryAfterMs: number): Settlement => {
    if (attemptsBefore >= policy.retries) return { kind: 'give-up', failure }
    const delayMs = Math.max(backoffMs(attemptsBefore, policy, random), retryAfterMs)
    return {
      kind: 'retry',
      dueMs: Math.min(nowMs + Math.round(delayMs), LAST_MS),
      attempt: attemptsBefore + 1,
      failure,
    }
  }
  if ((attempt.kind === 'delivered' || attempt.kind === 'answered') && attempt.verdict !== undefined) {
    switch (attempt.verdict) {
      case 'complete':
        return { kind: 'ack', reply: attempt.kind === 'delivered' ? attempt.reply : undefined }
      case 'defer':
        if (nowMs - acceptedMs >= DEFER_FOR_MS) return retryOrGiveUp(saidFailure(attempt), deferMs(attempt, policy))
        return {
          kind: 'retry',
          dueMs: nowMs + deferMs(attempt, policy),
          attempt: attemptsBefore,
          failure: saidFailure(attempt),
        }
      case 'abandon':
        return retryOrGiveUp(saidFailure(attempt), honouredRetryAfterMs(attempt.status, attempt.retryAfterMs, policy))
      case 'dead-letter':
        return { kind: 'give-up', failure: saidFailure(attempt) }
      default:
        return attempt.verdict satisfies never
    }
  }
  switch (attempt.kind) {
    case 'delivered':
      if (attempt.plainBody && reply === 'strict') return retryOrGiveUp({ code: BAD_GATEWAY, data: PLAIN_BODY }, 0)
      return { kind: 'ack', reply: attempt.reply }
    case 'answered': {
      const failure = { code: attempt.status, data: attempt.excerpt }
      if (verdictOf(attempt.status) === 'dead-letter') return { kind: 'give-up', failure }
      return retryOrGiveUp(failure, honouredRetryAfterMs(attempt.status, attempt.retryAfterMs, policy))
    }
    case 'broken-reply':
      return retryOrGiveUp({ code: BAD_GATEWAY, data: attempt.reason }, 0)
    case 'unreachable':
      return retryOrGiveUp({ code: TRANSPORT_FAILURE, data: attempt.reason }, 0)
    case 'abandoned':
      return { kind: 'return' }
    default:
      return attempt satisfies never
  }
}

interface AnswerRow {
  /** First and last status of the row. */
  readonly from: number
  readonly to: number
  readonly verdict: Exclude<Verdict, 'defer'>
  readonly words: string
}

/**
 * What each status means, the first row that fits (Knative data plane spec, "Event Acknowledgement and Delivery Retry").
 * `docs/handlers.md` shows the same table.
 */
export const ANSWERS: readonly AnswerRow[] = [
  { from: 100, to: 199, verdict: 'dead-letter', words: 'Final: it is no answer.' },
  { from: 200, to: 299, verdict: 'complete', words: 'Done. A CloudEvent in the answer goes to the Broker as a reply.' },
  { from: 404, to: 404, verdict: 'abandon', words: 'Tried again: the service may not be there yet.' },
  { from: 408, to: 409, verdict: 'abandon', words: 'Tried again.' },
  { from: 429, to: 429, verdict: 'abandon', words: 'Tried again, not before Retry-After.' },
  { from: 300, to: 499, verdict: 'dead-letter', words: 'Final: no repetition can help. Redirects are not followed.' },
  { from: 503, to: 503, verdict: 'abandon', words: 'Tried again, not before Retry-After.' },
  { from: 500, to: 599, verdict: 'abandon', words: 'Tried again.' },
]

/** What a status means by itself. What no class of HTTP knows may mend itself. */
export function verdictOf(status: number): AnswerRow['verdict'] {
  return ANSWERS.find(({ from, to }) => status >= from && status <= to)?.verdict ?? 'abandon'
}

/** What an attempt says about the subscriber, as opposed to the event: for limits that follow it. */
export function lessonOf(attempt: Attempt, { delivery, reply }: Pick<TriggerRoute, 'delivery' | 'reply'>): Lesson {
  switch (attempt.kind) {
    case 'delivered':
      if (attempt.verdict !== undefined) return attempt.verdict === 'abandon' ? FAILS : WORKS
      return attempt.plainBody && reply === 'strict' ? FAILS : WORKS
    case 'answered': {
      const { status, retryAfterMs, verdict } = attempt
      if (verdict !== undefined && verdict !== 'abandon') return WORKS
      if (status === 429 || status === 503) {
        return { kind: 'too-much', retryAfterMs: honouredRetryAfterMs(status, retryAfterMs, delivery) }
      }
      return verdictOf(status) === 'abandon' ? FAILS : WORKS
    }
    case 'broken-reply':
    case 'unreachable':
      return FAILS
    case 'abandoned':
      return { kind: 'nothing' }
    default:
      return attempt satisfies never
  }
}

const WORKS: Lesson = { kind: 'works' }
const FAILS: Lesson = { kind: 'fails' }

/** Why the handler said so, as a dead letter carries it. */
function saidFailure(attempt: Attempt & { readonly kind: 'delivered' | 'answered' }): AttemptFailure {
  const data = attempt.kind === 'answered' ? attempt.excerpt : `weir-settle: ${attempt.verdict}`
  return { code: attempt.status, data }
}

/**
 * The wait before a retry, ms, between 0 and `backoffMaxMs`. With jitter it is drawn from that whole range up to the computed
 * wait: subscribers that failed together must not be retried together.
 * @param retry which one it is, from 0; as in Knative's code a first linear retry is immediate.
 */
function backoffMs(retry: number, policy: DeliveryPolicy, random: () => number): number {
  if (policy.backoffMs <= 0) return 0 // also because 0 · 2^1024 is not a number
  const computed = policy.backoff === 'exponential' ? policy.backoffMs * 2 ** retry : policy.backoffMs * retry
  const capped = Math.min(computed, policy.backoffMaxMs ?? LAST_MS, LAST_MS)
  return policy.jitter ? Math.floor(capped * random()) : capped
}

/** Retry-After counts on 429 and 503 only, and no longer than the policy allows. */
function honouredRetryAfterMs(status: number, retryAfterMs: number | undefined, policy: DeliveryPolicy): number {
  if (retryAfterMs === undefined || !(retryAfterMs > 0) || (status !== 429 && status !== 503)) return 0
  return Math.min(retryAfterMs, policy.retryAfterMaxMs ?? RETRY_AFTER_MAX_MS)
}

/** How long a deferral holds the event back, whole ms: never so short that a handler which only defers makes the broker spin. */
function deferMs({ retryAfterMs }: { readonly retryAfterMs?: number | undefined }, policy: DeliveryPolicy): number {
  const mostMs = policy.retryAfterMaxMs ?? DEFER_FOR_MS
  // Zero is the policy's way to ignore the header.
  const saidMs = mostMs > 0 && retryAfterMs !== undefined && retryAfterMs >= 0 ? retryAfterMs : DEFER_MS
  return Math.ceil(Math.max(Math.min(saidMs, mostMs > 0 ? mostMs : DEFER_MS), DEFER_LEAST_MS))
}

/** A deferral that names no time, and the shortest. */
const DEFER_MS = 30_000
const DEFER_LEAST_MS = 1000
/** So long after its acceptance an event can be deferred; from then on a deferral counts as a failed attempt. */
export const DEFER_FOR_MS = 7 * 86_400_000
const BAD_GATEWAY = 502
const TRANSPORT_FAILURE = 500
const PLAIN_BODY = 'The answer has a body that is no CloudEvent, and the Trigger asks for strict replies.'
/** The last instant that a Date can name: no due time is beyond it, whatever the policy multiplies to. */
const LAST_MS = 8_640_000_000_000_000
