import type { Dispatcher, Pool } from 'undici'
import { type HttpRead, readHttpEvent } from '../event/http.ts'
import type { Clock } from '../runtime/clock.ts'
import { retryAfterMs, unreachableCause } from './answer.ts'
import { type Attempt, type DeliveryRequest, VERDICTS, type Verdict } from './attempt.ts'
import type { Deadline, Expiring } from './deadlines.ts'
import type { Target } from './targets.ts'

/** A reply may be as large as an event at the door. */
const REPLY_MAX_BYTES = 1 << 20
/** Of an answer whose body nobody wants, this much is read so that the connection can be used again. */
const IGNORED_MAX_BYTES = 64 << 10
/** Of the body of a failure: what a dead letter can carry, and what a person reads. */
const EXCERPT_BYTES = 1 << 10
/** What the door of a Broker, Weir's and Knative's, says with every answer; a 202 of anything else hardly ever does. */
const BROKER_ALLOWS = 'POST, OPTIONS'
/** Interim answers (1xx) to one request. */
const INTERIM_MAX = 16

/** One request and what comes back. Whatever comes first ends it: the answer, an error, the deadline, the signal. */
export class Call implements Dispatcher.DispatchHandler, Expiring {
  deadline: Deadline | undefined
  readonly signal: AbortSignal
  readonly #clock: Clock
  readonly #request: DeliveryRequest
  readonly #startedMs: number
  readonly #target: Target<Pool>
  readonly #resolve: (attempt: Attempt) => void
  #over = false
  #controller: Dispatcher.DispatchController | undefined
  #interim = 0
  #status = 0
  #retryAfter: string | undefined
  #verdict: Verdict | undefined
  #rawHeaders: readonly (Buffer | string)[] = []
  #claimsEvent = false
  #encoded = false
  /** How much of the body is kept, and how much is read at most. */
  #keepBytes = 0
  #readBytes = IGNORED_MAX_BYTES
  #bytes = 0
  readonly #chunks: Buffer[] = []

  constructor(
    clock: Clock,
    request: DeliveryRequest,
    startedMs: number,
    target: Target<Pool>,
    signal: AbortSignal,
    resolve: (attempt: Attempt) => void,
  ) {
    this.#clock = clock
    this.#request = request
    this.#startedMs = startedMs
    this.#target = target
    this.signal = signal
    this.#resolve = resolve
    target.origin.open++
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#over) controller.abort(OVER)
    else this.#controller = controller
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) {
      if (++this.#interim > INTERIM_MAX) this.#cut(this.#unreachable('protocol', 'too many interim answers (1xx)'))
      return
    }
    this.#status = status
    this.#verdict = verdictIn(headers['weir-settle'])
    const said = headers['retry-after']
    if (typeof said === 'string') this.#retryAfter = said
    if (status < 300) {
      if (status === 202 && headers.allow === BROKER_ALLOWS) this.#target.broker = true
      if (!this.#request.wantsReply || !claimsEvent(headers)) {
        if (this.#request.wantsReply) this.#readBytes = REPLY_MAX_BYTES
        return
      }
      this.#claimsEvent = true
      this.#encoded = headers['content-encoding'] !== undefined
      this.#rawHeaders = rawHeadersOf(controller)
      this.#keepBytes = this.#readBytes = REPLY_MAX_BYTES
      return
    }
    this.#keepBytes = EXCERPT_BYTES
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#bytes < this.#keepBytes) this.#chunks.push(chunk)
    this.#bytes += chunk.byteLength
    if (this.#bytes > this.#readBytes) this.#cut(this.#answer(true))
  }

  onResponseEnd(): void {
    this.#end(this.#answer(false))
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#over) return
    const { cause, reason } = unreachableCause(error)
    this.#end(this.#unreachable(cause, reason))
  }

  expire(): void {
    this.#cut(this.#unreachable('timeout', `no answer within ${this.#request.timeoutMs} ms`))
  }

  abandon(): void {
    this.#cut({ kind: 'abandoned', tookMs: this.#tookMs() })
  }

  /** @param endless the body went on beyond what is read. */
  #answer(endless: boolean): Attempt {
    const status = this.#status
    const tookMs = this.#tookMs()
    const verdict = this.#verdict
    const after = this.#retryAfter
    const retryAfter = after === undefined ? undefined : retryAfterMs(after, this.#clock.nowMs())
    if (status >= 300) {
      return { kind: 'answered', status, tookMs, retryAfterMs: retryAfter, excerpt: excerpt(this.#chunks), verdict }
    }
    const delivered = (plainBody: boolean): Attempt => {
      return { kind: 'delivered', status, tookMs, reply: undefined, plainBody, verdict, retryAfterMs: retryAfter }
    }
    if (!this.#request.wantsReply) return delivered(false)
    if (endless) return { kind: 'broken-reply', status, tookMs, reason: `more than ${REPLY_MAX_BYTES} bytes` }
    if (!this.#claimsEvent) return delivered(this.#bytes > 0)
    // A CloudEvent has no place to say that its data is compressed.
    if (this.#encoded) return { kind: 'broken-reply', status, tookMs, reason: 'it has a Content-Encoding' }
    const read = readReply(this.#rawHeaders, this.#chunks)
    if (read.kind === 'batch') return { kind: 'broken-reply', status, tookMs, reason: 'a batch is no reply' }
    if (read.kind === 'invalid') return { kind: 'broken-reply', status, tookMs, reason: read.reason }
    const reply = read.kind === 'event' ? read.event : undefined
    return {
      kind: 'delivered',
      status,
      tookMs,
      reply,
      plainBody: reply === undefined,
      verdict,
      retryAfterMs: retryAfter,
    }
  }

  #unreachable(cause: (Attempt & { kind: 'unreachable' })['cause'], reason: string): Attempt {
    return { kind: 'unreachable', tookMs: this.#tookMs(), cause, reason }
  }

  #tookMs(): number {
    return this.#clock.monotonicMs() - this.#startedMs
  }

  /** Ends it before the answer did, which costs the connection. */
  #cut(attempt: Attempt): void {
    if (this.#over) return
    this.#end(attempt)
    this.#controller?.abort(OVER)
  }

  #end(attempt: Attempt): void {
    if (this.#over) return
    this.#over = true
    this.#target.origin.open--
    this.deadline?.cancel()
    this.#resolve(attempt)
  }
}

/** The reason given to undici; it is never shown. */
const OVER = new Error('the attempt is over')

function claimsEvent(headers: Record<string, string | string[] | undefined>): boolean {
  if (headers['ce-specversion'] !== undefined) return true
  const type = headers['content-type']
  return type !== undefined && /^\s*application\/cloudevents/i.test(Array.isArray(type) ? (type[0] ?? '') : type)
}

/** As the parser gave them: names and values in turn. */
function rawHeadersOf({ rawHeaders }: Dispatcher.DispatchController): readonly (Buffer | string)[] {
  return Array.isArray(rawHeaders) ? rawHeaders : []
}

function readReply(rawHeaders: readonly (Buffer | string)[], chunks: readonly Buffer[]): HttpRead {
  const headers = rawHeaders.map(text => (typeof text === 'string' ? text : text.toString('latin1')))
  return readHttpEvent(headers, Buffer.concat(chunks))
}

/** A word that is not known says nothing. */
function verdictIn(header: string | string[] | undefined): Verdict | undefined {
  return header === undefined ? undefined : VERDICTS.find(verdict => verdict === header)
}

function excerpt(chunks: readonly Buffer[]): string {
  if (chunks.length === 0) return ''
  // `stream` leaves out a character that the cut split.
  return new TextDecoder().decode(Buffer.concat(chunks).subarray(0, EXCERPT_BYTES), { stream: true })
}
