import type { BrokerId, TriggerId } from '../contract/ids.ts'
import { type CloudEvent, HOPS_ATTRIBUTE, HOPS_MAX } from '../event/event.ts'
import { withAttributes } from '../event/http.ts'
import type { Budget } from './budget.ts'
import type { First } from './dedup.ts'
import { type Appended, type EventStore, type Incoming, StoreFullError } from './store.ts'
import { nameOf, type Twins, UNTIL_DURABLE } from './twins.ts'

/** Where the events of one Broker go. */
export interface Intake {
  readonly broker: BrokerId
  readonly store: EventStore
  /** Bytes on their way into the store, all Brokers together. */
  readonly budget: Budget
  /** Events of one source and id count once, where the Broker asks for it; or come one after the other, where a Trigger does. */
  readonly twins?: Twins<First> | undefined
  /** Told of every event that was known. */
  readonly onDuplicate?: () => void
  /** Told of every event once it is durable. */
  readonly onStored: (broker: BrokerId, event: CloudEvent, appended: Appended) => void
}

export type Accepted =
  | { readonly kind: 'stored'; readonly seq: number; readonly matched: readonly TriggerId[] | undefined }
  /** It was known, and is durable as `seq`. */
  | { readonly kind: 'duplicate'; readonly seq: number }
  /** Final: the same event will never be taken. */
  | {
      readonly kind: 'dropped'
      readonly reason: 'hop-limit' | 'invalid-hops'
      /** Its place in the batch that it was sent in, from 0. */
      readonly index?: number
    }
  /** Not now. */
  | { readonly kind: 'refused'; readonly reason: 'overloaded' | 'store-full' | 'store-failed'; readonly detail: string }

/**
 * The only way into the broker: the HTTP ingress and subscriber replies both call it. `stored` means durable. Told by a call
 * and not by a promise of its own: that would cost a microsecond an event.
 * @param hops passes left, for a reply: those of the event it answers. Undefined: as the event itself says.
 * @param tell is called once, now or later.
 */
export function accept(
  event: CloudEvent,
  hops: number | undefined,
  intake: Intake,
  tell: (accepted: Accepted) => void,
): void {
  if (intake.twins !== undefined) {
    acceptOnce(event, hops, intake, intake.twins, tell)
    return
  }
  acceptNew(event, hops, intake, tell)
}

/** A second one is answered when the first one is durable; where that one was not taken, the second takes its place. */
function acceptOnce(
  event: CloudEvent,
  hops: number | undefined,
  intake: Intake,
  twins: Twins<First>,
  tell: (accepted: Accepted) => void,
): void {
  const duplicate = (seq: number) => {
    intake.onDuplicate?.()
    tell({ kind: 'duplicate', seq })
  }
  const first = twins.find(event)
  if (first?.kind === 'stored') return void duplicate(first.seq)
  if (first?.kind === 'pending') {
    first.waiting.push(seq => (seq === undefined ? accept(event, hops, intake, tell) : duplicate(seq)))
    return
  }
  const waiting: ((seq: number | undefined) => void)[] = []
  twins.add(event, { kind: 'pending', waiting })
  acceptNew(event, hops, intake, accepted => {
    const seq = accepted.kind === 'stored' && twins.windowMs !== UNTIL_DURABLE ? accepted.seq : undefined
    if (seq === undefined) twins.delete(event)
    else twins.add(event, { kind: 'stored', seq })
    tell(accepted)
    for (const one of waiting) one(seq)
  })
}

function acceptNew(
  event: CloudEvent,
  hops: number | undefined,
  intake: Intake,
  tell: (accepted: Accepted) => void,
): void {
  const left = hops ?? hopsLeft(event)
  const bytes = event.body.byteLength
  if (left === undefined || left <= 0 || !intake.budget.take(bytes)) {
    tell(left === undefined ? NO_HOPS : left <= 0 ? HOPS_OVER : OVERLOADED)
    return
  }
  const bare = withoutHops(event)
  const stored = (appended: Appended) => {
    intake.budget.give(bytes)
    intake.onStored(intake.broker, bare, appended)
    tell({ kind: 'stored', seq: appended.seq, matched: appended.matched })
  }
  const refused = (error: unknown) => {
    intake.budget.give(bytes)
    tell(refusal(error))
  }
  intake.store.append(intake.broker, bare, left - 1).then(stored, refused) // tells when it is durable
}

/** As `accept`, for a batch from outside: all of its events are stored, or none. `seq` is that of the last one, or 0. */
export function acceptAll(all: readonly CloudEvent[], intake: Intake, tell: (accepted: Accepted) => void): void {
  const twins = intake.twins?.windowMs === UNTIL_DURABLE ? undefined : intake.twins
  const events = twins === undefined ? all : strangers(all, twins)
  for (let known = all.length - events.length; known > 0; known--) intake.onDuplicate?.()
  if (events.length === 0) {
    tell({ kind: 'stored', seq: 0, matched: undefined })
    return
  }
  const incoming: Incoming[] = []
  let bytes = 0
  for (const [index, event] of events.entries()) {
    const left = hopsLeft(event)
    if (left === undefined || left <= 0) {
      tell({ kind: 'dropped', reason: left === undefined ? 'invalid-hops' : 'hop-limit', index })
      return
    }
    incoming.push({ event: withoutHops(event), hops: left - 1 })
    bytes += event.body.byteLength
  }
  if (!intake.budget.take(bytes)) {
    tell(OVERLOADED)
    return
  }
  const stored = (appended: readonly Appended[]) => {
    intake.budget.give(bytes)
    for (const [i, one] of appended.entries()) {
      const event = incoming[i]?.event
      if (event === undefined) continue
      twins?.add(event, { kind: 'stored', seq: one.seq })
      intake.onStored(intake.broker, event, one)
    }
    tell({ kind: 'stored', seq: appended.at(-1)?.seq ?? 0, matched: undefined })
  }
  const refused = (error: unknown) => {
    intake.budget.give(bytes)
    tell(refusal(error))
  }
  intake.store.appendAll(intake.broker, incoming).then(stored, refused)
}

/** Those that are not known, each once. One that is on its way to the disk is stored again: in doubt an event is new. */
function strangers(events: readonly CloudEvent[], twins: Twins<First>): readonly CloudEvent[] {
  const names = new Set<string>()
  return events.filter(event => {
    const isNew = twins.find(event)?.kind !== 'stored' && !names.has(nameOf(event))
    names.add(nameOf(event))
    return isNew
  })
}

const NO_HOPS: Accepted = { kind: 'dropped', reason: 'invalid-hops' }
const HOPS_OVER: Accepted = { kind: 'dropped', reason: 'hop-limit' }
const OVERLOADED: Accepted = {
  kind: 'refused',
  reason: 'overloaded',
  detail: 'Too many bytes are on their way into the store. Send it again later.',
}

/** The count is kept beside the event, so that subscribers see the event as it was sent. */
function withoutHops(event: CloudEvent): CloudEvent {
  return HOPS_ATTRIBUTE in event.attributes ? withAttributes(event, { [HOPS_ATTRIBUTE]: undefined }) : event
}

/** Passes left by the event's own account; all of them where it says nothing; undefined where it says no integer. */
function hopsLeft(event: CloudEvent): number | undefined {
  const said = event.attributes[HOPS_ATTRIBUTE]
  if (said === undefined) return HOPS_MAX
  return /^-?\d{1,10}$/.test(said) ? Math.min(Number(said), HOPS_MAX) : undefined
}

function refusal(error: unknown): Accepted {
  if (error instanceof StoreFullError) return { kind: 'refused', reason: 'store-full', detail: error.message }
  // Anything else means that the store keeps no promise any more: it tells the process by itself (`onFailure`).
  return { kind: 'refused', reason: 'store-failed', detail: 'The store failed; the event was not kept. Send it again.' }
}
