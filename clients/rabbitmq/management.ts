import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Clock } from '../../runtime/clock.ts'
import { inTime } from '../../runtime/in-time.ts'
import { noAnswer, trouble } from '../trouble.ts'
import type { RabbitAccess } from './access.ts'
import type { Trouble } from './outcome.ts'
import { trustOf } from './secure.ts'

export type ManagementAccess = Pick<RabbitAccess, 'management' | 'vhost' | 'username' | 'password' | 'ca'>

/** How many messages a queue has, up to 5 s ago. */
export interface QueueCounts {
  readonly kind: 'counts'
  readonly ready: number
  /** Held by consumers. */
  readonly unacknowledged: number
}

/** What else is known of a queue. */
export interface QueueDetails {
  readonly kind: 'details'
  /** Messages that came in, per second; undefined while nothing is measured. */
  readonly publishRate: number | undefined
  /** Where it puts what is rejected; undefined where it forgets it. */
  readonly deadLetter: { readonly exchange: string; readonly routingKey: string | undefined } | undefined
}

const TIMEOUT_MS = 5_000
const ANSWER_MAX_BYTES = 1 << 20

/**
 * Counts the messages of one queue. From the list, which has them within moments of the queue's making: the page of the
 * queue itself has none for the first seconds.
 * @throws the signal's reason.
 */
export async function readQueueCounts(
  access: ManagementAccess,
  queue: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<QueueCounts | Trouble> {
  const filter = `page=1&page_size=1&use_regex=true&name=${part(`^${escaped(queue)}$`)}`
  const path = `queues/${part(access.vhost)}?disable_stats=true&enable_queue_totals=true&${filter}`
  const read = await get(access, path, clock, signal)
  if (read.kind === 'trouble') return read
  const { items } = mapOf(read.json)
  const found = mapOf(Array.isArray(items) ? items[0] : undefined)
  const { messages_ready: ready, messages_unacknowledged: unacknowledged } = found
  if (typeof ready === 'number' && typeof unacknowledged === 'number') return { kind: 'counts', ready, unacknowledged }
  return trouble('missing', `${access.management} knows no queue ${JSON.stringify(queue)}, or has not counted it yet`)
}

/** @throws the signal's reason. */
export async function readQueueDetails(
  access: ManagementAccess,
  queue: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<QueueDetails | Trouble> {
  const read = await get(access, `queues/${part(access.vhost)}/${part(queue)}`, clock, signal)
  if (read.kind === 'trouble') return read
  const found = mapOf(read.json)
  const { rate } = mapOf(mapOf(found.message_stats).publish_details)
  return {
    kind: 'details',
    publishRate: typeof rate === 'number' ? rate : undefined,
    deadLetter: deadLetterIn(found),
  }
}

/** Whether messages of this exchange reach any queue. @throws the signal's reason. */
export async function leadsSomewhere(
  access: ManagementAccess,
  { exchange, routingKey }: { readonly exchange: string; readonly routingKey: string | undefined },
  queue: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean | Trouble> {
  const place = part(access.vhost)
  // The default exchange leads to the queue that the key names; without a key it would be the same queue again.
  const path =
    exchange === ''
      ? `queues/${place}/${part(routingKey ?? '')}`
      : `exchanges/${place}/${part(exchange)}/bindings/source`
  if (exchange === '' && (routingKey === undefined || routingKey === queue)) return false
  const read = await get(access, path, clock, signal)
  if (read.kind === 'trouble') return read.what === 'missing' ? false : read
  return exchange === '' || (Array.isArray(read.json) && read.json.length > 0)
}

/** A policy's word counts where the queue itself has none (RabbitMQ: optional arguments win over policies). */
function deadLetterIn(queue: Readonly<Record<string, unknown>>): QueueDetails['deadLetter'] {
  const own = mapOf(queue.arguments)
  const policy = mapOf(queue.effective_policy_definition)
  const exchange = own['x-dead-letter-exchange'] ?? policy['dead-letter-exchange']
  const key = own['x-dead-letter-routing-key'] ?? policy['dead-letter-routing-key']
  if (typeof exchange !== 'string') return undefined
  return { exchange, routingKey: typeof key === 'string' ? key : undefined }
}

type Json = { readonly kind: 'json'; readonly json: unknown }

async function get(access: ManagementAccess, path: string, clock: Clock, signal: AbortSignal): Promise<Json | Trouble> {
  const { management } = access
  try {
    const ask = (inner: AbortSignal) => fetchJson(access, path, inner)
    return await inTime(clock, TIMEOUT_MS, signal, ask, noAnswer(management, TIMEOUT_MS))
  } catch (error) {
    signal.throwIfAborted()
    const words = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    return trouble('unreachable', `${management} cannot be reached: ${words.slice(0, 200) || 'no reason given'}`)
  }
}

function fetchJson(access: ManagementAccess, path: string, signal: AbortSignal): Promise<Json | Trouble> {
  const { management, username, password } = access
  const request = management.startsWith('https:') ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    const auth = Buffer.from(`${username}:${password}`).toString('base64')
    const headers = { authorization: `Basic ${auth}`, accept: 'application/json' }
    // A connection of its own each time: one that is kept would have to be closed by somebody.
    const options = { ...trustOf(access), headers, signal, agent: false }
    const asking = request(`${management}/api/${path}`, options, response => {
      const pieces: Buffer[] = []
      let length = 0
      response.on('error', reject)
      response.on('data', (piece: Buffer) => {
        pieces.push(piece)
        length += piece.byteLength
        if (length > ANSWER_MAX_BYTES) response.destroy(new Error('its answer is too long'))
      })
      response.on('end', () =>
        resolve(judge(management, response.statusCode ?? 0, Buffer.concat(pieces).toString(), path)),
      )
    })
    asking.on('error', reject)
    asking.end()
  })
}

function judge(management: string, status: number, text: string, path: string): Json | Trouble {
  if (status === 401 || status === 403)
    return trouble(
      'denied',
      `${management} refuses the user: it needs the tag \`management\` and rights on the virtual host`,
    )
  if (status === 404) return trouble('missing', `${management} knows nothing at ${path}`)
  if (status !== 200) return trouble('unreachable', `${management} answers ${status}`)
  try {
    return { kind: 'json', json: JSON.parse(text) }
  } catch {
    return trouble('unreachable', `${management} answers something that is no JSON: it is no management API`)
  }
}

/** For a regular expression of the server (PCRE). */
function escaped(name: string): string {
  return name.replace(/[^a-zA-Z0-9_-]/gu, character => `\\x{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

function part(name: string): string {
  return encodeURIComponent(name)
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
