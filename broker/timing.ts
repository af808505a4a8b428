import type { TriggerRoute } from '../contract/routes.ts'
import { parseDuration } from '../runtime/duration.ts'
import type { Failure, Lease, StoredSettlement } from './store.ts'

/** Holds an event back: a time, or a duration from its acceptance. */
const DELIVER_AFTER = 'deliverafter'
/** CloudEvents extension "Expiry Time". */
const EXPIRY_TIME = 'expirytime'

/** What the time says about an event, before an attempt at its subscriber is made. */
export type Timing =
  | { readonly kind: 'now' }
  | { readonly kind: 'later'; readonly dueMs: number }
  | { readonly kind: 'over'; readonly settlement: StoredSettlement; readonly words: string }

const NOW: Timing = { kind: 'now' }

/** Whether a Trigger asks for any of it. */
export function isTimed({ deliverAfter, expiry }: TriggerRoute): boolean {
  return deliverAfter === 'honour' || expiry !== 'ignore'
}

/**
 * What becomes of `lease` by its `deliverafter` and `expirytime`, where its Trigger asks for it; values that cannot be read
 * count as absent. Pure. @param nowMs wall time, as the attributes have it.
 */
export function timingOf(lease: Lease, route: TriggerRoute, nowMs: number): Timing {
  if (lease.stage === 'dead-letter') return NOW
  const expiryMs = expiryOf(lease, route)
  if (expiryMs !== undefined && expiryMs <= nowMs) {
    const words = `expired at ${new Date(expiryMs).toISOString()}`
    return { kind: 'over', settlement: afterExpiry(route, words), words }
  }
  if (route.deliverAfter === 'honour' && lease.attempt === 0) {
    const dueMs = dueOf(lease)
    if (dueMs !== undefined && dueMs > nowMs) return { kind: 'later', dueMs: notBeyond(dueMs, expiryMs) }
  }
  return NOW
}

/** When the event is worth nothing any more, wall ms; undefined: never. */
export function expiryOf({ event }: Lease, route: TriggerRoute): number | undefined {
  return route.expiry === 'ignore' ? undefined : instant(event.attributes[EXPIRY_TIME])
}

/** What is wrong with the times of an event, where its Trigger heeds them, in words; undefined: nothing. */
export function unreadableTime(lease: Lease, route: TriggerRoute): string | undefined {
  const { [DELIVER_AFTER]: after, [EXPIRY_TIME]: expiry } = lease.event.attributes
  if (route.deliverAfter === 'honour' && after !== undefined && dueOf(lease) === undefined) {
    return `${DELIVER_AFTER} ${quoted(after)} is no time (RFC 3339) and no duration (ISO 8601): its event went at once.`
  }
  if (route.expiry !== 'ignore' && expiry !== undefined && instant(expiry) === undefined) {
    return `${EXPIRY_TIME} ${quoted(expiry)} is no time (RFC 3339): its event never expires.`
  }
  return undefined
}

/** An expired event is looked at when it expires, and not when a retry would have been due. */
export function notBeyond(dueMs: number, expiryMs: number | undefined): number {
  return expiryMs === undefined ? dueMs : Math.min(dueMs, expiryMs)
}

function afterExpiry({ expiry, deadLetter, subscriber }: TriggerRoute, words: string): StoredSettlement {
  if (expiry === 'discard') return { kind: 'discarded' }
  const failure: Failure = { destination: subscriber.address, code: GONE, data: words }
  return deadLetter === undefined ? { kind: 'parked', failure } : { kind: 'dead-letter', failure }
}

const GONE = 410
const INSTANT = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/

/** When an event may be attempted, wall ms, whole: stores keep integers. Undefined where it does not say. */
function dueOf({ event, acceptedMs }: Lease): number | undefined {
  const text = event.attributes[DELIVER_AFTER]
  if (text === undefined) return undefined
  const duration = parseDuration(text)
  return duration.kind === 'ms' ? acceptedMs + Math.ceil(duration.ms) : instant(text)
}

/** An RFC 3339 time in wall ms; undefined where it is none. */
function instant(text: string | undefined): number | undefined {
  if (text === undefined || !INSTANT.test(text)) return undefined
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? undefined : ms
}

const QUOTED_MAX = 40

/** Of a stranger's text: one line, and not much of it. */
function quoted(text: string): string {
  return JSON.stringify(text.slice(0, QUOTED_MAX))
}
