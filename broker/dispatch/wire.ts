import assert from 'node:assert/strict'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { withPassed } from '../../event/http.ts'
import { bufferOf } from '../../event/json.ts'
import type { Passed } from '../../event/passed.ts'
import type { AddressPolicy } from '../address-guard.ts'
import type { Attempt, DeliveryRequest } from '../attempt.ts'

/*
 * What crosses between the broker's thread and one that posts. Requests and answers cross in groups: many of them share a
 * message, and the wake-up that it costs.
 */

/** What the thread is told when it begins. */
export interface Settings {
  readonly addresses: AddressPolicy
  readonly caFile: string | undefined
}

export type Order =
  | Calls
  /** Gives up what was posted with this signal, and what will be. */
  | { readonly kind: 'abandon'; readonly signal: number }
  /** Ends everything that is open, and the thread. */
  | { readonly kind: 'close' }

export interface Calls {
  readonly kind: 'calls'
  /** JSON: what `Sent` says of each. One text costs a quarter of what cloning the objects does. */
  readonly heads: string
  /** The bodies of all events, in their order. */
  readonly bodies: Uint8Array<ArrayBuffer>
}

export type Report =
  | Ended
  | {
      readonly kind: 'told'
      readonly level: 'warn' | 'error'
      readonly facts: unknown
      readonly words: string | undefined
    }

/** What became of attempts. */
export interface Ended {
  readonly kind: 'ended'
  /** Three numbers for each that was answered 2xx and nothing more: call, status, ms. Status is negative where there was a body. */
  readonly plain: readonly number[]
  readonly others: readonly (readonly [call: number, attempt: Attempt])[]
}

/** One request to be posted. */
export interface Call {
  /** Names it in the answer. */
  readonly id: number
  readonly request: DeliveryRequest
  readonly token: string | undefined
  /** Names what may abandon it. */
  readonly signal: number
}

/** A request without its bodies. */
interface Sent extends Omit<Call, 'request'>, Omit<DeliveryRequest, 'event' | 'batch'> {
  readonly events: readonly Head[]
  readonly isBatch: boolean
}

interface Head extends Pick<CloudEvent, 'mode' | 'attributes'> {
  readonly passed: Passed | undefined
  readonly bytes: number
}

export function writeCalls(calls: readonly Call[]): Calls {
  const sent: Sent[] = []
  const all: Uint8Array[] = []
  let length = 0
  for (const { id, request, token, signal } of calls) {
    const { event, batch, ...rest } = request
    const events = (batch ?? [event]).map(({ mode, attributes, passed, body }): Head => {
      all.push(body)
      length += body.byteLength
      return { mode, attributes, passed, bytes: body.byteLength }
    })
    sent.push({ ...rest, id, token, signal, events, isBatch: batch !== undefined })
  }
  const bodies = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
  let at = 0
  for (const body of all) {
    bodies.set(body, at)
    at += body.byteLength
  }
  return { kind: 'calls', heads: JSON.stringify(sent), bodies }
}

export function readCalls({ heads, bodies }: Calls): readonly Call[] {
  const bytes = bufferOf(bodies)
  let at = 0
  const eventOf = ({ mode, attributes, passed, bytes: length }: Head): CloudEvent => {
    // A copy, so that one request that takes long does not keep the bodies of all.
    const body = Buffer.from(bytes.subarray(at, at + length))
    at += length
    return withPassed({ mode, attributes: Object.assign(noAttributes(), attributes), body }, passed)
  }
  const sent: readonly Sent[] = JSON.parse(heads)
  return sent.map(({ id, token, signal, events: written, isBatch, ...rest }) => {
    const events = written.map(eventOf)
    const [event] = events
    assert(event !== undefined, 'a request has an event')
    return { id, token, signal, request: { ...rest, event, batch: isBatch ? events : undefined } }
  })
}

/** Gathers what became of attempts until it is sent. */
export class Outbox {
  #plain: number[] = []
  #others: (readonly [number, Attempt])[] = []

  add(id: number, attempt: Attempt): void {
    if (isPlain(attempt)) this.#plain.push(id, attempt.plainBody ? -attempt.status : attempt.status, attempt.tookMs)
    else this.#others.push([id, attempt])
  }

  take(): Ended {
    const ended: Ended = { kind: 'ended', plain: this.#plain, others: this.#others }
    this.#plain = []
    this.#others = []
    return ended
  }
}

function isPlain(attempt: Attempt): attempt is Attempt & { kind: 'delivered' } {
  return (
    attempt.kind === 'delivered' &&
    attempt.reply === undefined &&
    attempt.verdict === undefined &&
    attempt.retryAfterMs === undefined
  )
}

export function readEnded({ plain, others }: Ended, tell: (call: number, attempt: Attempt) => void): void {
  for (let i = 0; i + 2 < plain.length; i += 3) {
    const status = plain[i + 1] ?? 0
    tell(plain[i] ?? 0, {
      kind: 'delivered',
      status: Math.abs(status),
      tookMs: plain[i + 2] ?? 0,
      reply: undefined,
      plainBody: status < 0,
      verdict: undefined,
      retryAfterMs: undefined,
    })
  }
  for (const [call, attempt] of others) tell(call, whole(attempt))
}

/** A clone has ordinary objects, in which names of JavaScript would be found that are no attributes. */
function whole(attempt: Attempt): Attempt {
  if (attempt.kind !== 'delivered' || attempt.reply === undefined) return attempt
  const { reply } = attempt
  return { ...attempt, reply: { ...reply, attributes: Object.assign(noAttributes(), reply.attributes) } }
}
