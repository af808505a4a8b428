import type { IncomingMessage, ServerResponse } from 'node:http'
import { readBatch } from '../event/batch.ts'
import type { CloudEvent } from '../event/event.ts'
import { readHttpEvent, withPassed } from '../event/http.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { type Accepted, accept, acceptAll, type Intake } from './accept.ts'
import type { Authorise } from './auth/gate.ts'
import type { Budget } from './budget.ts'
import { openListener } from './listener.ts'
import { ALLOW, type Problem, problem, sendProblem } from './problem.ts'
import type { NamespaceQuota } from './quotas.ts'
import { type Body, rawHeader, readBody } from './read-body.ts'
import type { TlsFiles } from './tls-key-pair.ts'

/** A Broker as the door sees it. */
export interface Door {
  readonly intake: Intake
  /** Who may send. Undefined: anybody. */
  readonly authorise: Authorise | undefined
  /** What its namespace may send. Undefined: as much as there is. */
  readonly quota?: NamespaceQuota | undefined
  /** Called for every answer that is 429, beside `onRefused`. */
  readonly onOverQuota?: () => void
  /** Called for every answer that is 4xx or 5xx. */
  readonly onRefused: () => void
}

export interface IngressOptions {
  readonly host: string
  readonly port: number
  /** A second door to the same Brokers, for TLS, on a port of its own. */
  readonly tls?: (TlsFiles & { readonly port: number }) | undefined
  readonly bodyMaxBytes: number
  /** Bodies being read, all connections together. */
  readonly budget: Budget
  /** `/namespace/name` → Broker; undefined where there is none. */
  readonly door: (path: string) => Door | undefined
  readonly clock: Clock
  readonly log: Log
}

/** The addresses of the doors, without a path. */
export interface Origins {
  readonly http: string
  readonly https: string | undefined
}

export interface Ingress extends AsyncDisposable {
  readonly origins: Origins
  /** From here on connections end with their next answer, and new events are refused. */
  stop(): void
}

/**
 * Opens the door: `POST /<namespace>/<broker>`, answered as Knative's ingress answers (Knative data plane spec; CloudEvents
 * HTTP binding, and its webhook spec for OPTIONS). 202 means durable.
 * @throws {KeyPairError} the files of `tls` cannot be used.
 * @throws when an address cannot be listened on; `code` as Node gives it.
 */
export async function openIngress(options: IngressOptions): Promise<Ingress> {
  const { host, bodyMaxBytes, clock, log } = options
  const state = { stopping: false }
  const serving = (request: IncomingMessage, response: ServerResponse) => serve(request, response, state, options)
  const listen = (port: number, tls: TlsFiles | undefined) =>
    openListener({ host, port, tls, bodyMaxBytes, serve: serving, clock, log })
  await using opening = new AsyncDisposableStack()
  const tls = options.tls === undefined ? undefined : opening.use(await listen(options.tls.port, options.tls))
  const plain = opening.use(await listen(options.port, undefined))
  opening.move() // nothing threw: from here the caller owns both
  const stop = () => {
    state.stopping = true
    plain.stop()
    tls?.stop()
  }
  return {
    origins: { http: plain.origin, https: tls?.origin },
    stop,
    async [Symbol.asyncDispose]() {
      // Both at once: what one waits for must not keep the other one open.
      stop()
      await Promise.all([plain[Symbol.asyncDispose](), tls?.[Symbol.asyncDispose]()])
    },
  }
}

interface State {
  stopping: boolean
}

/** The method comes first, then the path, then the event, and the Broker last: Knative's order. */
function serve(request: IncomingMessage, response: ServerResponse, state: State, options: IngressOptions): void {
  const { method, url = '/' } = request
  if (method === 'OPTIONS') {
    response.writeHead(200, WEBHOOK).end()
    return
  }
  const door = options.door(url)
  const path = headProblem(request) ?? (door === undefined ? brokerPath(url) : url)
  if (typeof path !== 'string') {
    sendProblem(response, path, state.stopping)
    return
  }
  readBody(request, options.bodyMaxBytes, options.budget, body => {
    take(request, response, body, door ?? options.door(path), state, options)
  })
}

function headProblem(request: IncomingMessage): Problem | undefined {
  if (rawHeader(request, 'host') === undefined && request.httpVersion === '1.1') {
    return problem('bad-request', 'A Host header is missing (RFC 9112 §3.2).')
  }
  return request.method === 'POST' ? undefined : problem('method-not-allowed', 'Send the event with POST.')
}

/** A CloudEvent has no place to say that its data is compressed: whoever receives it later could not read it. */
function isEncoded(request: IncomingMessage): boolean {
  const coding = rawHeader(request, 'content-encoding')
  return coding !== undefined && coding.toLowerCase() !== 'identity'
}

/**
 * `/namespace/name` of a request target, which may be a whole URL (RFC 9112 §3.2.2): two segments, with their escapes undone.
 * One slash more at the end is nothing.
 */
function brokerPath(url: string): string | Problem {
  const path = url.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1)[0] ?? '/'
  if (path === '/' || path === '') return problem('no-broker-in-path', 'Post to /<namespace>/<broker>.')
  const parts = /^\/([^/]+)\/([^/]+)\/?$/.exec(path)
  try {
    if (parts !== null) return `/${decodeURIComponent(parts[1] ?? '')}/${decodeURIComponent(parts[2] ?? '')}`
  } catch {
    // Escapes that are no UTF-8 name nothing.
  }
  return problem('bad-path', 'The path has to be /<namespace>/<broker>, e.g. /default/default.')
}

/** Takes in what was posted, and answers. */
function take(
  request: IncomingMessage,
  response: ServerResponse,
  body: Body,
  door: Door | undefined,
  state: State,
  options: IngressOptions,
): void {
  if (body.kind === 'gone') return
  const answer = (refusal: Problem | undefined) => {
    if (refusal === undefined) response.writeHead(202, state.stopping ? ACCEPTED_LAST : ACCEPTED).end()
    else {
      door?.onRefused()
      sendProblem(response, refusal, state.stopping)
    }
  }
  // A broken event is told so even where there is no such Broker, as Knative does.
  const event = eventIn(request, body, state, options)
  if ('status' in event) answer(event)
  else if (door === undefined) {
    answer(problem('unknown-broker', 'Check namespace and name; a new Broker may take a moment.'))
  } else if (door.authorise === undefined) admit(event, door, answer)
  else {
    door.authorise(request.rawHeaders, event, refusal => {
      if (refusal === undefined) admit(event, door, answer)
      else answer(refusal)
    })
  }
}

function admit(
  event: CloudEvent | readonly CloudEvent[],
  door: Door,
  answer: (refusal: Problem | undefined) => void,
): void {
  const over = door.quota === undefined ? undefined : overQuota(event, door.quota)
  if (over !== undefined) {
    door.onOverQuota?.()
    answer(over)
  } else if ('attributes' in event) accept(event, undefined, door.intake, accepted => answer(problemOf(accepted)))
  else acceptAll(event, door.intake, accepted => answer(problemOf(accepted)))
}

const PER = { 'events-per-second': 'events per second', 'bytes-per-second': 'bytes per second' } as const

function overQuota(event: CloudEvent | readonly CloudEvent[], quota: NamespaceQuota): Problem | undefined {
  const events = 'attributes' in event ? [event] : event
  const bytes = events.reduce((sum, one) => sum + one.body.byteLength, 0)
  const over = quota.take(events.length, bytes)
  if (over === undefined) return undefined
  const { namespace, what, limit, waitMs } = over
  const retryAfterS = Math.max(1, Math.ceil(waitMs / 1000))
  const words =
    what === 'backlog' ? `has its ${limit} events waiting for subscribers` : `may send ${limit} ${PER[what]}`
  const advice = `Send it again in ${retryAfterS} s; if that happens often, raise the annotation weir.dev/quota-${what} of the Namespace.`
  return { ...problem('over-quota', `Namespace ${namespace} ${words}. ${advice}`, what), retryAfterS }
}

/** The event that was posted, or the events of a batch, or why there is none. */
function eventIn(
  request: IncomingMessage,
  body: Body & { kind: 'read' | 'too-large' | 'overloaded' },
  state: State,
  options: IngressOptions,
): CloudEvent | readonly CloudEvent[] | Problem {
  if (body.kind === 'too-large') {
    const detail = `At most ${options.bodyMaxBytes} bytes are taken. Keep large data elsewhere and send a link.`
    return problem('too-large', detail)
  }
  if (state.stopping) return problem('stopping', 'Send it again in a moment: here, or to another broker.')
  if (body.kind === 'overloaded') {
    return problem('overloaded', 'Too many bytes are on their way into the broker. Send it again later.')
  }
  if (isEncoded(request)) return problem('unsupported-encoding', 'Send it without Content-Encoding.')
  const read = readHttpEvent(request.rawHeaders, body.bytes)
  if (read.kind === 'event') return read.event
  if (read.kind === 'batch') {
    const batch = readBatch(body.bytes, read.format)
    if (batch.kind === 'invalid') return problem('invalid-event', `${capital(batch.reason)}.`, batch.code)
    return batch.events.map(event => withPassed(event, read.passed))
  }
  return read.kind === 'invalid'
    ? problem('invalid-event', `${capital(read.reason)}.`, read.code)
    : problem('not-an-event', 'Neither ce-specversion nor content-type: application/cloudevents+json is there.')
}

const ACCEPTED = [...ALLOW, 'Content-Length', '0']
const ACCEPTED_LAST = [...ACCEPTED, 'Connection', 'close']
/** CloudEvents webhook spec §4: whoever asks may send, as fast as it likes. */
const WEBHOOK = [...ALLOW, 'WebHook-Allowed-Origin', '*', 'WebHook-Allowed-Rate', '*', 'Content-Length', '0']

function problemOf(accepted: Accepted): Problem | undefined {
  switch (accepted.kind) {
    case 'stored':
    case 'duplicate':
      return undefined
    case 'dropped': {
      const which = accepted.index === undefined ? 'It' : `Event ${accepted.index} of the batch`
      return accepted.reason === 'hop-limit'
        ? problem('hop-limit', `${which} runs in a circle of replies: see which Triggers answer it.`)
        : problem('invalid-hops', `${which} has a knativebrokerttl. Leave it out: Brokers set it themselves.`)
    }
    case 'refused':
      return problem(accepted.reason, accepted.detail)
    default:
      return accepted satisfies never
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
