import { STATUS_CODES } from 'node:http'
import { type Dispatcher, Pool } from 'undici'
import { type Clock, sleep } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Backoff } from './backoff.ts'
import { retryAfterMs } from './retry-after.ts'

export interface HttpSinkDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  /** Told why events wait, in words, and `undefined` once they flow again. Only changes are told. */
  readonly onTrouble: (reason: string | undefined) => void
  /** The token that the sink wants to see. Undefined: none is sent. */
  readonly credential?: Credential | undefined
}

/** A bearer token for one sink, kept and renewed by whoever gives it. */
export interface Credential {
  /** Undefined: none can be had now. Never rejects. */
  token(): Promise<string | undefined> | string | undefined
  /** The sink did not take the last one. */
  refresh(): void
}

/** How long and in which rhythm one message is offered. */
export interface Patience {
  /** Attempts in all; undefined: until it is taken or refused for good. */
  readonly attempts: number | undefined
  /** The pause after so many failures in a row, 0 after the first. */
  readonly delayMs: (failures: number) => number
  /** One attempt, from the connection to the end of the answer. */
  readonly timeoutMs: number
  /** A longer Retry-After is cut to this; 0 ignores the header. */
  readonly retryAfterMaxMs: number
}

export type Offered =
  | { readonly kind: 'stored' }
  /** A final answer: it will never be taken. */
  | ({ readonly kind: 'refused' } & Unwilling)
  /** It may be taken another time, but no attempt is left. */
  | ({ readonly kind: 'exhausted' } & Unwilling)

interface Unwilling {
  /** 500 where there was no answer. */
  readonly status: number
  /** For people. */
  readonly reason: string
  /** The start of the answer's body, or the reason where there was no answer. */
  readonly data: string
}

/** An HTTP message, headers as name, value, name, value. */
export interface Message {
  readonly headers: readonly string[]
  readonly body: Uint8Array
  /** For the log: whose it is. */
  readonly id: string
}

/** A place that takes events. */
export interface HttpSink extends AsyncDisposable {
  /** Without what stands behind `?`. */
  readonly url: string
  /** Offers a message until it is taken, refused, or nothing more is to be tried. @throws the signal's reason. */
  offer(message: Message, patience: Patience, signal: AbortSignal): Promise<Offered>
}

/** One attempt, from the connection to the end of the answer: what Knative allows a subscriber by default. */
export const ATTEMPT_TIMEOUT_MS = 30_000
/** A Broker that is back is found within this, and one that is gone is not hammered. */
export const BACKOFF: Backoff = { minMs: 100, maxMs: 10_000 }
/** A Retry-After beyond this is cut: upstream's own limits for a message that is held must not pass unseen. */
export const RETRY_AFTER_MAX_MS = 300_000
/** Of an answer nobody needs, this much is read so that the connection can be used again. */
const ANSWER_MAX_BYTES = 64 * 1024
const REASON_MAX = 300
/** What Knative's delivery writes down where there was no answer. */
const NO_ANSWER = 500

type Attempt =
  | Extract<Offered, { kind: 'stored' | 'refused' }>
  | ({ readonly kind: 'again'; readonly retryAfterMs: number | undefined } & Unwilling)

/**
 * The way to one sink, over connections that are kept. How many messages are under way at once is the caller's to bound.
 * Classification as Knative's delivery: 2xx is stored; no answer, 404, 408, 409, 429 and 5xx are tried again; any other
 * answer is final. With a credential a 401 is tried again too, with a new token: no event is to blame for it. A Retry-After
 * holds up every message to this sink, not just the one that was told.
 * @throws {TypeError} where `sinkUrl` is no http(s) address.
 */
export function openHttpSink(sinkUrl: string, deps: HttpSinkDeps): HttpSink {
  return new Sink(sinkUrl, deps)
}

class Sink implements HttpSink {
  readonly #deps: HttpSinkDeps
  readonly url: string
  readonly #path: string
  readonly #pool: Pool
  /** On the monotonic clock: nothing is sent before. */
  #pausedUntilMs = 0
  #trouble: string | undefined

  constructor(sinkUrl: string, deps: HttpSinkDeps) {
    const url = URL.parse(sinkUrl)
    if (url === null || !/^https?:$/.test(url.protocol))
      throw new TypeError(`the sink ${sinkUrl} is no http(s) address`)
    this.#deps = deps
    this.url = url.origin + url.pathname
    this.#path = url.pathname + url.search
    // The time an attempt may take is measured by our clock, and undici's own limits would cut it short.
    this.#pool = new Pool(url.origin, { pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })
  }

  async offer(message: Message, patience: Patience, signal: AbortSignal): Promise<Offered> {
    const { clock, log } = this.#deps
    for (let failures = 0; ; failures++) {
      await this.#pause(signal)
      const startedMs = clock.monotonicMs()
      const result = await this.#attempt(message, patience.timeoutMs, signal)
      const facts = { sink: this.url, event: message.id, attempt: failures + 1 }
      log.debug({ ...facts, result: result.kind, tookMs: clock.monotonicMs() - startedMs }, 'attempt to emit an event')
      if (result.kind !== 'again') {
        this.#tell(undefined)
        return result
      }
      this.#holdUp(result.retryAfterMs, patience.retryAfterMaxMs)
      const { status, reason, data } = result
      if (failures + 1 === patience.attempts) return { kind: 'exhausted', status, reason, data }
      this.#tell(`${this.url}: ${reason}; events wait and are sent again`)
      await sleep(clock, patience.delayMs(failures), signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy() // Nothing is under way any more; what is left are idle connections.
  }

  /** Waits while the sink asked for peace. */
  async #pause(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps
    signal.throwIfAborted()
    for (;;) {
      const leftMs = this.#pausedUntilMs - clock.monotonicMs()
      if (leftMs <= 0) return
      // Up to a tenth late by chance: those who waited must not all knock at the same moment.
      await sleep(clock, leftMs * (1 + 0.1 * random()), signal)
    }
  }

  #holdUp(askedMs: number | undefined, mostMs: number): void {
    if (askedMs === undefined || mostMs === 0) return
    const untilMs = this.#deps.clock.monotonicMs() + Math.min(askedMs, mostMs)
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs)
  }

  #tell(trouble: string | undefined): void {
    if (trouble === this.#trouble) return
    const { log, onTrouble } = this.#deps
    if (trouble === undefined) log.info({ sink: this.url }, 'the sink takes events again')
    else if (this.#trouble === undefined) log.warn({ sink: this.url, reason: trouble }, 'the sink takes no events')
    this.#trouble = trouble
    onTrouble(trouble)
  }

  async #attempt(message: Message, timeoutMs: number, signal: AbortSignal): Promise<Attempt> {
    const stop = new AbortController()
    const forward = () => stop.abort(signal.reason)
    const late = new Error(`no answer within ${timeoutMs / 1000} s`)
    const cancel = this.#deps.clock.after(timeoutMs, () => stop.abort(late))
    signal.addEventListener('abort', forward, { once: true })
    try {
      const headers = await this.#headers(message.headers, stop.signal)
      const { body } = message
      const request = { headers, body, method: 'POST', path: this.#path, signal: stop.signal } as const
      return await this.#judge(await this.#pool.request(request), stop.signal)
    } catch (error) {
      signal.throwIfAborted()
      const reason = wordsOf(error)
      return { kind: 'again', status: NO_ANSWER, reason, data: reason, retryAfterMs: undefined }
    } finally {
      cancel()
      signal.removeEventListener('abort', forward)
    }
  }

  /** With the token, where one is wanted. It goes to this sink and nowhere else: redirects are not followed. */
  async #headers(headers: readonly string[], signal: AbortSignal): Promise<string[]> {
    const { credential } = this.#deps
    if (credential === undefined) return [...headers]
    const token = await orAborted(credential.token(), signal)
    if (token === undefined) throw new Error('it wants a token, and there is none for it yet')
    return [...headers, 'authorization', `Bearer ${token}`]
  }

  async #judge(response: Dispatcher.ResponseData, signal: AbortSignal): Promise<Attempt> {
    const { statusCode: status, headers, body } = response
    if (status >= 200 && status < 300) {
      // The status is the promise; whatever becomes of the rest of the answer changes nothing.
      await body.dump({ limit: ANSWER_MAX_BYTES, signal }).catch(() => {})
      return { kind: 'stored' }
    }
    const data = await readText(body)
    const detail = detailOf(data)
    const reason = `answered ${status}${detail === '' ? ` ${STATUS_CODES[status] ?? ''}`.trimEnd() : `, ${detail}`}`
    const unwilling = { status, reason, data }
    if (status === 401 && this.#deps.credential !== undefined) {
      this.#deps.credential.refresh()
      return { kind: 'again', ...unwilling, retryAfterMs: undefined }
    }
    if (!isRetryable(status)) return { kind: 'refused', ...unwilling }
    return { kind: 'again', ...unwilling, retryAfterMs: retryAfterMs(headers['retry-after'], this.#deps.clock.nowMs()) }
  }
}

/** @throws the signal's reason as soon as it aborts. */
async function orAborted<T>(value: Promise<T> | T, signal: AbortSignal): Promise<T> {
  if (!(value instanceof Promise)) return value
  signal.throwIfAborted()
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([value, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** As Knative's delivery does. A 404 may be a Broker that is still being made. */
function isRetryable(status: number): boolean {
  return status === 404 || status === 408 || status === 409 || status === 429 || status >= 500
}

/** The start of an answer's body, as far as it can be read. */
async function readText(body: Dispatcher.ResponseData['body']): Promise<string> {
  const pieces: Buffer[] = []
  let length = 0
  try {
    for await (const piece of body) {
      if (!Buffer.isBuffer(piece)) break
      pieces.push(piece)
      length += piece.byteLength
      if (length > ANSWER_MAX_BYTES) break // Leaving the loop closes the connection.
    }
  } catch {
    // The status alone has to do.
  }
  return Buffer.concat(pieces).toString('utf8', 0, 4096)
}

/** What the answer says of itself, on one line (RFC 9457, or plain text). */
function detailOf(text: string): string {
  return (problemDetail(text) ?? text)
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, REASON_MAX)
}

function problemDetail(text: string): string | undefined {
  try {
    const read: unknown = JSON.parse(text)
    if (typeof read !== 'object' || read === null) return undefined
    const { detail, title } = read as { readonly detail?: unknown; readonly title?: unknown }
    return typeof detail === 'string' ? detail : typeof title === 'string' ? title : undefined
  } catch {
    return undefined
  }
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message === '' && 'code' in error ? String(error.code) : error.message
}
