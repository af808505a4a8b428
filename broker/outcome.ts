import type { Log } from '../runtime/log.ts'
import type { Attempt } from './attempt.ts'
import type { Outcome } from './counters.ts'
import type { Job } from './job.ts'
import type { DeliveryState } from './journal.ts'
import type { AttemptRecord, Lease, StoredSettlement } from './store.ts'

const PLAIN_BODY =
  'The subscriber answers with bodies that are no CloudEvents; they are ignored. The annotation weir.dev/reply: strict makes them failures.'

/**
 * Counts what became of an attempt and tells it: to the journal, and to the log. One line per attempt at `debug`, because
 * a line each at `info` would cost a good part of a delivery; at `info` and above a Trigger speaks when it begins to fail,
 * when it works again, and when something waits for a person.
 */
export function tellOutcome(job: Job, attempt: Attempt, settlement: StoredSettlement, log: Log): void {
  const { lane, lease, spec } = job
  const outcome = isDeferral(lease, settlement) ? 'deferred' : outcomes[settlement.kind]
  const wasFailing = lane.failing
  count(job, attempt, outcome)
  const says = outcome !== 'abandoned' && outcome !== 'deferred'
  if (lease.stage === 'subscriber' && says) lane.failing = outcome !== 'delivered'
  if (settlement.kind === 'dead-letter') lane.countDeadLetters(1)
  else if (lease.stage === 'dead-letter' && (settlement.kind === 'done' || settlement.kind === 'parked')) {
    lane.countDeadLetters(-1)
  }
  if (settlement.kind !== 'returned') spec.recorder.changed(spec.broker, lease, stateOf(job, attempt, settlement))

  const facts = {
    trigger: spec.route.id,
    seq: lease.seq,
    attempt: lease.attempt + 1,
    result: attempt.kind,
    next: settlement.kind,
    tookMs: attempt.tookMs,
  }
  log.debug(facts, 'attempt')
  if (lane.failing && !wasFailing) log.warn({ ...facts, why: attemptWords(attempt) }, 'deliveries fail')
  else if (wasFailing && !lane.failing) log.info({ trigger: spec.route.id }, 'deliveries succeed again')
  if (settlement.kind === 'parked') log.warn({ ...facts, why: attemptWords(attempt) }, 'event parked')
  if (outcome === 'delivered' && attempt.kind === 'delivered' && attempt.plainBody && lane.tally.notice === undefined) {
    lane.tally.notice = PLAIN_BODY
    log.info({ trigger: spec.route.id }, 'reply bodies ignored: they are no CloudEvents')
  }
}

/** Whether a settlement asks for the event again without a failed attempt: its handler asked for it later. */
export function isDeferral(lease: Lease, settlement: StoredSettlement): boolean {
  return settlement.kind === 'postponed' && settlement.attempt === lease.attempt
}

/** What is kept of an attempt for whoever asks later. */
export function recordOf(attempt: Attempt, atMs: number): AttemptRecord {
  const status = 'status' in attempt ? attempt.status : undefined
  return { atMs, tookMs: attempt.tookMs, status, words: recordWords(attempt) }
}

function recordWords(attempt: Attempt): string {
  const said = 'verdict' in attempt && attempt.verdict !== undefined ? ` (weir-settle: ${attempt.verdict})` : ''
  const words = attempt.kind === 'answered' ? attempt.excerpt.slice(0, RECORD_MAX) : attemptWords(attempt)
  return words + said
}

const RECORD_MAX = 1024

/** What an attempt came to, in a few words. */
export function attemptWords(attempt: Attempt): string {
  switch (attempt.kind) {
    case 'delivered':
      return `${attempt.status}`
    case 'answered':
      return attempt.excerpt === '' ? `${attempt.status}` : `${attempt.status}: ${oneLine(attempt.excerpt)}`
    case 'broken-reply':
      return `${attempt.status} with a broken reply: ${attempt.reason}`
    case 'unreachable':
      return `${attempt.cause}: ${attempt.reason}`
    case 'abandoned':
      return 'given up by the broker'
    default:
      return attempt satisfies never
  }
}

const WORDS_MAX = 120

/** A subscriber's words may hold anything; what a terminal would act on is taken out. */
function oneLine(text: string): string {
  return text
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, WORDS_MAX)
}

function count(job: Job, attempt: Attempt, outcome: Outcome): void {
  const { tally } = job.lane
  tally.attempts[outcome]++
  if (outcome === 'abandoned' || outcome === 'deferred') return
  if (outcome !== 'delivered') {
    tally.failed++
    tally.lastError = attemptWords(attempt)
  } else if (job.lease.stage === 'dead-letter') tally.deadLettered++
  else {
    tally.delivered++
    tally.busyMs += attempt.tookMs
  }
}

function stateOf({ lease }: Job, attempt: Attempt, settlement: StoredSettlement): DeliveryState {
  return {
    state: stateNames[lease.stage][settlement.kind],
    attempts: isDeferral(lease, settlement) ? lease.attempt : lease.attempt + 1,
    last: attemptWords(attempt),
    tookMs: attempt.tookMs,
    nextDueMs: settlement.kind === 'postponed' ? settlement.dueMs : undefined,
  }
}

/** An event on its way to the sink is not dead-lettered before the sink has it. */
const stateNames = {
  subscriber: {
    done: 'delivered',
    discarded: 'discarded',
    postponed: 'retrying',
    'dead-letter': 'retrying',
    parked: 'parked',
    returned: 'waiting',
  },
  'dead-letter': {
    done: 'dead-lettered',
    discarded: 'discarded',
    postponed: 'retrying',
    'dead-letter': 'retrying',
    parked: 'parked',
    returned: 'waiting',
  },
} as const satisfies Record<string, Record<StoredSettlement['kind'], DeliveryState['state']>>

const outcomes = {
  done: 'delivered',
  discarded: 'failed',
  postponed: 'retried',
  'dead-letter': 'failed',
  parked: 'failed',
  returned: 'abandoned',
} as const satisfies Record<StoredSettlement['kind'], Outcome>
