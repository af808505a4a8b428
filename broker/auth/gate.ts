import type { Access } from '../../contract/routes.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { Log } from '../../runtime/log.ts'
import type { Budget } from '../budget.ts'
import { type Problem, problem } from '../problem.ts'
import { readBearer } from './bearer.ts'
import { compileAccess } from './decide.ts'
import type { Verified, Verifier } from './verifier.ts'

/**
 * Whether who sent a request may send these events: all of them or none. Tells once, now or later, and nothing where they
 * may. 401 is about the token, 403 about who it speaks for (Knative's OIDC authentication; RFC 6750 §3).
 */
export type Authorise = (
  rawHeaders: readonly string[],
  events: CloudEvent | readonly CloudEvent[],
  tell: (refusal: Problem | undefined) => void,
) => void

export interface GateDeps {
  /** Undefined: this process was told of no issuer, so nobody can be known. */
  readonly verifier: Verifier | undefined
  /** Holds the events while an issuer is waited for. */
  readonly budget: Budget
  readonly log: Log
}

/** The gate of one Broker, `namespace/name`, whose route has `access`. */
export function openGate(broker: string, access: Access, { verifier, budget, log }: GateDeps): Authorise {
  if (verifier === undefined) return (_headers, _events, tell) => tell(NO_VERIFIER)
  const decide = compileAccess(access, broker.split('/', 1)[0] ?? '')

  const judge = (verified: Verified, events: CloudEvent | readonly CloudEvent[]): Problem | undefined => {
    if (verified.kind === 'busy') return BUSY
    if (verified.kind === 'refused') {
      log.debug({ broker, reason: verified.reason }, 'a token was refused')
      return notKnown(access.audience, 'invalid_token', `The token cannot be taken: ${verified.reason}.`)
    }
    const { subject } = verified
    const reason = refusalOf(subject, events)
    if (reason === undefined) return undefined
    log.debug({ broker, subject, reason }, 'a sender was refused')
    return problem('forbidden', `${short(subject)} ${reason}.`)
  }
  const refusalOf = (subject: string, events: CloudEvent | readonly CloudEvent[]) => {
    if ('attributes' in events) return decide(subject, events)
    for (const event of events) {
      const reason = decide(subject, event)
      if (reason !== undefined) return reason
    }
    return undefined
  }

  return (rawHeaders, events, tell) => {
    const bearer = readBearer(rawHeaders)
    if (bearer.kind !== 'token') {
      tell(bearer.kind === 'none' ? missing(access.audience) : malformed(access.audience, bearer.reason))
      return
    }
    const verified = verifier.verify(bearer.token, access.audience)
    if ('kind' in verified) {
      tell(judge(verified, events))
      return
    }
    const bytes = 'attributes' in events ? events.body.byteLength : bytesOf(events)
    if (!budget.take(bytes)) {
      tell(BUSY)
      return
    }
    void verified.then(found => {
      budget.give(bytes)
      tell(judge(found, events))
    })
  }
}

const BUSY = problem('overloaded', 'Too many tokens are being verified at this moment. Send it again later.')
const NO_VERIFIER = problem(
  'no-issuer',
  'This Broker takes events from known senders only, and the broker was told of no issuer of tokens. Configure one.',
)

function missing(audience: string): Problem {
  // RFC 6750 §3.1: to a request without a token nothing is said but that it needs one.
  return notKnown(audience, undefined, `Send it with Authorization: Bearer and a token for the audience ${audience}.`)
}

function malformed(audience: string, reason: string): Problem {
  return notKnown(audience, 'invalid_request', `No token can be read: ${reason}.`)
}

/** 401. The challenge names the audience, without which nobody can ask an issuer for the right token. */
function notKnown(audience: string, error: string | undefined, detail: string): Problem {
  const words = error === undefined ? '' : `, error="${error}", error_description="${quotable(detail)}"`
  return { ...problem('unauthorized', detail, error), challenge: `Bearer realm="${quotable(audience)}"${words}` }
}

/** RFC 6750 §3: no quote, no backslash, nothing that is not ASCII. */
function quotable(text: string): string {
  return text.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?').slice(0, 400)
}

function short(subject: string): string {
  return subject.length > 200 ? `${subject.slice(0, 199)}…` : subject
}

function bytesOf(events: readonly CloudEvent[]): number {
  return events.reduce((sum, event) => sum + event.body.byteLength, 0)
}
