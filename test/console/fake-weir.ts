import type { EventDetailView, EventView, StateView } from '../../contract/api.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { Send } from '../../runtime/event-stream.ts'
import { silentLog } from '../../runtime/log.ts'
import { openMetrics } from '../../runtime/metrics.ts'
import { type Answer, openStatusServer, type Route, type RouteRequest, refused } from '../../runtime/status-server.ts'

export interface FakeWeir extends AsyncDisposable {
  readonly url: string
  tell(state: StateView): void
  add(events: readonly EventView[]): void
}

/** The console's side of Weir: the real server, with its real policy, saying what a test chooses. */
export async function openFakeWeir(
  dist: string,
  first: StateView,
  events: readonly EventView[] = [],
  routes: readonly Route[] = [],
): Promise<FakeWeir> {
  const readers = new Set<Send>()
  let state = first
  let known = [...events].sort((a, b) => b.seq - a.seq)

  const server = await openStatusServer(
    { host: '127.0.0.1', port: 0, assetsDir: dist },
    {
      clock: systemClock,
      log: silentLog,
      metrics: openMetrics(),
      checks: () => [],
      routes: routes.length > 0 ? routes : [{ method: 'GET', path: '/api/v1/events/:key', handle: explain }],
      documents: { '/api/v1/events': () => ({ kind: 'json', value: known }) },
      streams: {
        '/api/v1/stream': send => {
          send('state', state)
          readers.add(send)
          return () => readers.delete(send)
        },
      },
    },
  )
  async function explain({ params }: RouteRequest): Promise<Answer> {
    const found = known.find(({ seq }) => String(seq) === params.key)
    if (found === undefined) return refused(404, 'no-such-event', 'It is not kept.')
    const words = found.attributes.type ?? ''
    const attempt = {
      stage: 'subscriber',
      number: 1,
      atMs: 0,
      tookMs: 1,
      status: 500,
      words,
      followed: 'parked',
    } as const
    const value: EventDetailView = {
      ...{ ...found, damaged: false, event: null, data: { text: words, encoding: 'text', truncated: false } },
      deliveries: [{ trigger: words, state: 'parked', nextDueMs: null, failure: null, attempts: [attempt] }],
      unmatched: [{ trigger: words, matchesNow: false, clause: words, words }],
    }
    return { kind: 'json', value }
  }
  return {
    url: `${server.origin}/`,
    tell(next) {
      state = next
      for (const send of readers) send('state', state)
    },
    add(more) {
      const changed = new Set(more.map(({ seq }) => seq))
      known = [...more, ...known.filter(({ seq }) => !changed.has(seq))]
      for (const send of readers) send('events', more)
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
