import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { attributesFault, hasForbiddenCharacter } from '../event/attributes.ts'
import type { CloudEvent } from '../event/event.ts'
import { writeHttpEvent } from '../event/http.ts'
import { thisProcess } from '../runtime/outside.ts'
import { mint } from '../standalone/mint.ts'
import { openPoster, type Posted } from './api.ts'
import { attributesOfWords, contentTypeOf, type Payload, payloadOfWords } from './event-words.ts'
import { EXIT, Failure } from './failure.ts'
import { findPlace, httpUrl, originOf, type Place } from './place.ts'
import { paintFor, plain } from './style.ts'
import { spanText } from './time.ts'
import { awaitDeliveries, type Outcome, outcomeLines } from './wait.ts'

export interface SendOptions {
  /** NAMESPACE/NAME. */
  readonly broker: string
  readonly url?: string
  readonly console?: string
  readonly source: string
  readonly id?: string
  readonly attribute?: readonly string[]
  readonly data?: string
  readonly count: number
  /** Per second; undefined as fast as it goes. */
  readonly rate?: number
  readonly wait?: boolean
  readonly timeout: number
  readonly output: 'text' | 'json'
}

/** Requests open at once. */
const CONNECTIONS = 32
/** How often one event is offered to a door that says "not now". */
const ATTEMPTS = 5
const LONGEST_RETRY_AFTER_S = 30
/** The API shows no more events than this at once. */
export const MOST_WAITED_FOR = 1000

interface Sent {
  readonly event: CloudEvent
  readonly status: number
  /** Empty where it was accepted. */
  readonly reason: string
}

/** `weir send TYPE [k=v …]`. @throws {Failure} */
export async function send(type: string, words: readonly string[], options: SendOptions): Promise<number> {
  if (options.wait && options.count > MOST_WAITED_FOR)
    throw new Failure('wrongInput', `--wait follows at most ${MOST_WAITED_FOR} events, and --count is ${options.count}`)
  const attributes = attributesOfWords(options.attribute ?? [])
  const payload = await payloadOf(words, options.data)
  const makeEvent = (n: number) => eventOf(type, n, attributes, payload, options)
  const broker = brokerPath(options.broker)
  const place = await placeOf(options)
  const url = options.url === undefined ? `${place.ingress}/${broker}` : httpUrl(options.url, '--url').href
  const startedMs = performance.now()
  const sent = await sendAll(url, makeEvent, await credentialOf(broker, options), options)
  const failed = sent.filter(one => one.reason !== '')
  const accepted = sent.filter(one => one.reason === '')
  report(url, accepted.length, failed, performance.now() - startedMs, options)
  const outcomes = options.wait && accepted.length > 0 ? await follow(place.console, accepted, options) : []
  if (options.output === 'json')
    for (const one of sent) process.stdout.write(`${JSON.stringify(jsonOf(one, outcomes))}\n`)
  const done = outcomes.every(one => one.kind === 'delivered')
  return failed.length === 0 && done ? EXIT.done : EXIT.failed
}

/** The header that lets a sender in, where the Broker of a world here asks for one. */
async function credentialOf(broker: string, { url }: SendOptions): Promise<readonly string[]> {
  if (url !== undefined) return []
  const audience = `eventing.knative.dev/broker/${broker}`
  const minted = await mint({ audience, subject: undefined }, thisProcess)
  return minted.kind === 'token' ? ['authorization', `Bearer ${minted.token}`] : []
}

async function placeOf({ url, console: named }: SendOptions): Promise<Place> {
  const origin = named === undefined ? undefined : originOf(named, '--console')
  if (url !== undefined && origin !== undefined) return { ingress: '', console: origin }
  const place = await findPlace(process.cwd())
  return { ...place, console: origin ?? place.console }
}

function brokerPath(broker: string): string {
  const parts = broker.split('/')
  const [namespace, name] = parts.length === 1 ? ['default', parts[0]] : parts
  if (parts.length > 2 || !namespace || !name)
    throw new Failure('wrongInput', `--broker must be NAMESPACE/NAME, not ${JSON.stringify(broker)}`)
  return `${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`
}

async function payloadOf(words: readonly string[], data: string | undefined): Promise<Payload> {
  if (data === undefined) return payloadOfWords(words)
  if (words.length > 0) throw new Failure('wrongInput', 'the data is given twice: by --data and by NAME=VALUE words')
  if (data === '-') {
    const body = await buffer(process.stdin)
    return { body, contentType: contentTypeOf(body, '') }
  }
  if (!data.startsWith('@')) {
    const body = Buffer.from(data)
    return { body, contentType: contentTypeOf(body, '') }
  }
  const file = data.slice(1)
  try {
    const body = await readFile(file)
    return { body, contentType: contentTypeOf(body, extname(file).toLowerCase()) }
  } catch (error) {
    throw new Failure('wrongInput', `--data ${data}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function eventOf(
  type: string,
  n: number,
  extra: Readonly<Record<string, string>>,
  payload: Payload,
  options: SendOptions,
): CloudEvent {
  const id = options.id === undefined ? randomUUID() : options.count === 1 ? options.id : `${options.id}-${n}`
  const attributes: Readonly<Record<string, string>> = {
    specversion: '1.0',
    id,
    source: options.source,
    type,
    time: new Date().toISOString(),
    ...(payload.contentType === undefined ? {} : { datacontenttype: payload.contentType }),
    ...extra,
  }
  const wrong = attributesFault(attributes)
  if (wrong !== undefined) throw new Failure('wrongInput', `this is no CloudEvent: ${wrong.reason}`)
  const odd = Object.keys(attributes).find(name => hasForbiddenCharacter(attributes[name] ?? ''))
  if (odd !== undefined)
    throw new Failure('wrongInput', `the attribute ${odd} has a character that CloudEvents forbids`)
  return { mode: 'binary', attributes, body: payload.body }
}

/** Sends `count` events, at most `rate` a second, in any order. A door that cannot be reached at all ends it. */
async function sendAll(
  url: string,
  makeEvent: (n: number) => CloudEvent,
  credential: readonly string[],
  options: SendOptions,
): Promise<Sent[]> {
  const lanes = Math.min(CONNECTIONS, options.count)
  await using poster = openPoster(lanes)
  const startedMs = performance.now()
  const stop = new AbortController()
  const sent: Sent[] = []
  let next = 1
  const lane = async () => {
    while (next <= options.count && !stop.signal.aborted) {
      const n = next++
      const dueMs = options.rate === undefined ? 0 : startedMs + ((n - 1) * 1000) / options.rate - performance.now()
      if (dueMs > 0) await pause(dueMs, undefined, { signal: stop.signal })
      const event = makeEvent(n)
      const { headers, body } = writeHttpEvent(event, undefined)
      const { status, reason } = await offer(
        () => poster.post(url, [...headers, ...credential], body, stop.signal),
        stop.signal,
      )
      sent.push({ event, status, reason: status >= 200 && status < 300 ? '' : reason || `status ${status}` })
    }
  }
  try {
    await Promise.all(Array.from({ length: lanes }, lane))
  } catch (error) {
    stop.abort()
    if (sent.length > 0)
      report(url, sent.filter(one => one.reason === '').length, [], performance.now() - startedMs, options)
    throw error
  }
  return sent
}

/** Posts again while the door asks to come back later. */
async function offer(post: () => Promise<Posted>, signal: AbortSignal): Promise<Posted> {
  for (let attempt = 1; ; attempt++) {
    const posted = await post()
    const busy = posted.status === 429 || posted.status === 503
    if (!busy || attempt === ATTEMPTS) return posted
    const seconds = Math.min(posted.retryAfter ?? 0.1 * 2 ** attempt, LONGEST_RETRY_AFTER_S)
    await pause(seconds * 1000, undefined, { signal })
  }
}

function report(url: string, accepted: number, failed: readonly Sent[], tookMs: number, options: SendOptions): void {
  const paint = paintFor(process.stderr)
  const many = options.count > 1 ? `${accepted} of ${options.count} events in ${spanText(tookMs)}` : ''
  if (accepted > 0)
    process.stderr.write(`${paint('good', '✓')} accepted ${many || ''}${many ? ' ' : ''}by ${plain(url)}\n`)
  const reasons = new Map<string, number>()
  for (const one of failed) {
    const words = `${one.status}: ${one.reason}`
    reasons.set(words, (reasons.get(words) ?? 0) + 1)
  }
  for (const [words, count] of reasons)
    process.stderr.write(
      `${paint('bad', '✗')} refused ${options.count > 1 ? `${count} events ` : ''}by ${plain(url)} with ${plain(words)}\n`,
    )
  if (failed.some(one => one.status === 404)) process.stderr.write('  try: weir get brokers\n')
}

async function follow(origin: string, accepted: readonly Sent[], options: SendOptions): Promise<Outcome[]> {
  const paint = paintFor(process.stderr)
  const ids = accepted.map(one => one.event.attributes.id ?? '')
  const source = accepted[0]?.event.attributes.source ?? options.source
  const timeoutMs = options.timeout * 1000
  const outcomes = await awaitDeliveries(origin, ids, source, timeoutMs)
  const good = outcomes.every(one => one.kind === 'delivered')
  for (const line of outcomeLines(outcomes, timeoutMs))
    process.stderr.write(`  ${paint(good ? undefined : 'warn', line)}\n`)
  return outcomes
}

function jsonOf(one: Sent, outcomes: readonly Outcome[]): unknown {
  const { attributes } = one.event
  const outcome = outcomes.find(found => found.id === attributes.id)
  return {
    ...attributes,
    status: one.status,
    ...(one.reason === '' ? {} : { reason: one.reason }),
    ...(outcome === undefined ? {} : { outcome: outcome.kind, deliveries: outcome.deliveries }),
  }
}
