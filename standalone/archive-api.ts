import type { Archive, ArchivedEvent, EventQuery } from '../broker/archive.ts'
import type { Broker } from '../broker/broker.ts'
import type { CountView, OwedEventsView, PauseView, StoredEventsView } from '../contract/api.ts'
import { explainFilters } from '../contract/explain-filter.ts'
import { type BrokerId, brokerId, type TriggerId, triggerId } from '../contract/ids.ts'
import type { TriggerRoute } from '../contract/routes.ts'
import { didYouMean } from '../crds/suggest.ts'
import type { Log } from '../runtime/log.ts'
import { type Answer, type Query, type Route, type RouteRequest, refused } from '../runtime/status-server.ts'
import { envelopeLine, eventDetail, owedEvent, storedEvent } from './archive-views.ts'
import type { LocalWorld } from './world.ts'

export interface ArchiveApiParts {
  readonly world: Pick<LocalWorld, 'catalog' | 'route' | 'pause' | 'keepsPauses'>
  readonly broker: Pick<Broker, 'archive'>
  readonly log: Log
}

const PAGE = 100
const PAGE_MAX = 1000
/** Seqs in one request. */
const SEQS_MAX = 10_000
const OWED = ['parked', 'retrying', 'dead-lettered'] as const

/** What is kept, and what can be done with it, as `contract/api.ts` has it. */
export function archiveRoutes(parts: ArchiveApiParts): readonly Route[] {
  const at = (path: string) => `/api/v1/${path}`
  return [
    { method: 'GET', path: at('brokers/:namespace/:name/events'), handle: request => storedEvents(parts, request) },
    { method: 'GET', path: at('events/:key'), handle: request => oneEvent(parts, request) },
    ...OWED.map(
      (state): Route => ({
        method: 'GET',
        path: at(`triggers/:namespace/:name/${state}`),
        handle: request => owedEvents(parts, request, state),
      }),
    ),
    ...OWED.map(
      (state): Route => ({
        method: 'GET',
        path: at(`triggers/:namespace/:name/${state}/export`),
        handle: request => exported(parts, request, state),
      }),
    ),
    { method: 'POST', path: at('triggers/:namespace/:name/redrive'), handle: request => change(parts, request, 'owe') },
    {
      method: 'POST',
      path: at('triggers/:namespace/:name/discard'),
      handle: request => change(parts, request, 'discard'),
    },
    { method: 'POST', path: at('triggers/:namespace/:name/pause'), handle: request => pause(parts, request, true) },
    { method: 'POST', path: at('triggers/:namespace/:name/resume'), handle: request => pause(parts, request, false) },
  ]
}

interface Found {
  readonly id: TriggerId
  readonly broker: BrokerId
  readonly route: TriggerRoute
  readonly archive: Archive
}

async function storedEvents({ world, broker }: ArchiveApiParts, { params, query }: RouteRequest): Promise<Answer> {
  const id = brokerId(params.namespace ?? '', params.name ?? '')
  const archive = broker.archive(id)
  if (archive === undefined) return noBroker(world, id)
  const read = eventQuery(query, id)
  if ('kind' in read) return read
  const route =
    query.trigger === undefined
      ? undefined
      : world.route(id)?.triggers.find(one => one.id.endsWith(`/${query.trigger}`))
  if (query.trigger !== undefined && route === undefined) return noTrigger(world, query.trigger)
  const page = await archive.events(read)
  const wanted = (one: ArchivedEvent) =>
    route === undefined || (!one.damaged && explainFilters(route.filters, one.event).matches)
  const events = page.events.filter(wanted).map(one => storedEvent(one, query.data !== undefined))
  return json({ events, next: page.next ?? null } satisfies StoredEventsView)
}

async function oneEvent({ world, broker }: ArchiveApiParts, { params, query }: RouteRequest): Promise<Answer> {
  const key = params.key ?? ''
  const brokers = world.catalog.all('Broker').map(({ metadata }) => brokerId(metadata.namespace, metadata.name))
  for (const id of brokers.filter(one => query.broker === undefined || one === query.broker)) {
    const archive = broker.archive(id)
    const seq = archive && (await seqOf(archive, id, key))
    const event = seq === undefined ? undefined : await archive?.event(seq)
    if (event !== undefined && (event.broker ?? id) === id)
      return json(eventDetail(event, id, world.route(id)?.triggers ?? []))
  }
  return refused(
    404,
    'no-such-event',
    'No event of this seq or id is kept: it was never here, or its retention is over.',
  )
}

/** A number is a seq, unless there is an event whose id it is. */
async function seqOf(archive: Archive, broker: BrokerId, key: string): Promise<number | undefined> {
  const page = await archive.events({ broker, id: key, limit: 1 })
  return page.events[0]?.seq ?? (/^\d{1,15}$/.test(key) ? Number(key) : undefined)
}

async function owedEvents(
  parts: ArchiveApiParts,
  { params, query }: RouteRequest,
  state: (typeof OWED)[number],
): Promise<Answer> {
  const found = find(parts, params)
  if ('kind' in found) return found
  const limit = numberIn(query.limit, PAGE, 1, PAGE_MAX)
  const after = numberIn(query.after, 0, 0, Number.MAX_SAFE_INTEGER)
  if (limit === undefined || after === undefined) return badNumber()
  const { id, source, type, text } = query
  const named = { ...(id && { id }), ...(source && { source }), ...(type && { type }), ...(text && { text }) }
  const page = await found.archive.deliveries({ trigger: found.id, state, ...named, after, limit })
  return json({ events: page.deliveries.map(owedEvent), next: page.next ?? null } satisfies OwedEventsView)
}

async function exported(
  parts: ArchiveApiParts,
  { params }: RouteRequest,
  state: (typeof OWED)[number],
): Promise<Answer> {
  const found = find(parts, params)
  if ('kind' in found) return found
  async function* lines({ archive, id }: Found): AsyncIterable<string> {
    let after: number | undefined = 0
    while (after !== undefined) {
      const page = await archive.deliveries({ trigger: id, state, after, limit: PAGE })
      for (const { event } of page.deliveries) if (!event.damaged) yield envelopeLine(event)
      after = page.next
    }
  }
  return { kind: 'lines', lines: lines(found) }
}

async function change(
  parts: ArchiveApiParts,
  { params, body }: RouteRequest,
  what: 'owe' | 'discard',
): Promise<Answer> {
  const found = find(parts, params)
  if ('kind' in found) return found
  const seqs = seqsIn(body)
  if (seqs === undefined) {
    return refused(400, 'bad-seqs', `Send {"seqs": […]}: whole numbers, at most ${SEQS_MAX} of them.`)
  }
  try {
    const events = await found.archive[what](found.id, seqs)
    parts.log.info(
      { trigger: found.id, events, asked: seqs.length },
      what === 'owe' ? 'redriven by hand' : 'discarded by hand',
    )
    return json({ events } satisfies CountView)
  } catch (error) {
    return refused(507, 'store-full', error instanceof Error ? error.message : String(error))
  }
}

async function pause({ world, log }: ArchiveApiParts, { params }: RouteRequest, paused: boolean): Promise<Answer> {
  const id = triggerId(params.namespace ?? '', params.name ?? '')
  try {
    if (!(await world.pause(id, paused))) return noTrigger(world, id)
  } catch (error) {
    return refused(507, 'not-kept', `It holds until this world ends, and could not be written down: ${String(error)}`)
  }
  log.info({ trigger: id, paused }, paused ? 'paused by hand' : 'resumed by hand')
  return json({ paused, kept: world.keepsPauses } satisfies PauseView)
}

function find({ world, broker }: ArchiveApiParts, params: Query): Found | (Answer & { kind: 'refused' }) {
  const id = triggerId(params.namespace ?? '', params.name ?? '')
  for (const { metadata } of world.catalog.all('Broker')) {
    const owner = brokerId(metadata.namespace, metadata.name)
    const route = world.route(owner)?.triggers.find(one => one.id === id)
    const archive = broker.archive(owner)
    if (route !== undefined && archive !== undefined) return { id, broker: owner, route, archive }
  }
  return noTrigger(world, id)
}

function eventQuery(query: Query, broker: BrokerId): EventQuery | (Answer & { kind: 'refused' }) {
  const { id, source, type, subject, since, until, after, before } = query
  const limit = numberIn(query.limit, PAGE, 1, PAGE_MAX)
  const numbers = [since, until, after, before].map(text => numberIn(text, 0, 0, Number.MAX_SAFE_INTEGER))
  if (limit === undefined || numbers.includes(undefined)) return badNumber()
  const [sinceMs, untilMs, afterSeq, beforeSeq] = numbers
  return {
    broker,
    limit,
    ...(id !== undefined && { id }),
    ...(source !== undefined && { source }),
    ...(type !== undefined && { type }),
    ...(subject !== undefined && { subject }),
    ...(since !== undefined && { sinceMs: sinceMs ?? 0 }),
    ...(until !== undefined && { untilMs: untilMs ?? 0 }),
    ...(after !== undefined && { after: afterSeq ?? 0 }),
    ...(before !== undefined && { before: beforeSeq ?? 0 }),
  }
}

function seqsIn(body: unknown): readonly number[] | undefined {
  if (typeof body !== 'object' || body === null || !('seqs' in body) || !Array.isArray(body.seqs)) return undefined
  const seqs: unknown[] = body.seqs
  if (seqs.length > SEQS_MAX) return undefined
  return seqs.every((seq): seq is number => Number.isSafeInteger(seq) && Number(seq) > 0) ? seqs : undefined
}

function numberIn(text: string | undefined, otherwise: number, least: number, most: number): number | undefined {
  if (text === undefined) return otherwise
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  return value >= least && value <= most ? value : undefined
}

function badNumber(): Answer & { kind: 'refused' } {
  return refused(
    400,
    'bad-number',
    `limit is from 1 to ${PAGE_MAX}; since and until are ms since 1970, after and before are seqs.`,
  )
}

function noTrigger({ catalog }: ArchiveApiParts['world'], id: string): Answer & { kind: 'refused' } {
  const names = catalog.all('Trigger').map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
  return refused(404, 'no-such-trigger', `There is no Trigger ${id}${didYouMean(id, names) || '.'}`)
}

function noBroker({ catalog }: ArchiveApiParts['world'], id: string): Answer & { kind: 'refused' } {
  const names = catalog.all('Broker').map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
  return refused(404, 'no-such-broker', `There is no Broker ${id}${didYouMean(id, names) || '.'}`)
}

function json(value: unknown): Answer {
  return { kind: 'json', value }
}
