import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventDetailView, OwedEventsView, StoredEventsView } from '../../contract/api.ts'
import { triggerId } from '../../contract/ids.ts'
import type { BrokerRoute } from '../../contract/routes.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { openMetrics } from '../../runtime/metrics.ts'
import { openStatusServer } from '../../runtime/status-server.ts'
import { archiveRoutes } from '../../standalone/archive-api.ts'
import { openRunning, routes, trigger } from '../support/running-broker.ts'
import { answering, eventually, openSubscriber } from '../support/subscriber.ts'

/** A real broker behind a real API; only the YAML is made up. */
async function open() {
  await using stack = new AsyncDisposableStack()
  let status = 422
  const subscriber = stack.use(
    await openSubscriber((received, response, count) =>
      answering(status, {}, status === 200 ? '' : 'no stock')(received, response, count),
    ),
  )
  const running = stack.use(await openRunning({ memory: false }))
  const orders = trigger('orders', subscriber.origin, { filters: [{ exact: { type: 'order' } }] })
  const other = trigger('other', subscriber.origin, { filters: [{ prefix: { source: '/other' } }] })
  const document = routes([orders, other])
  await running.broker.apply(document)
  const main = document.brokers[0] as BrokerRoute
  const named = (name: string) => ({ metadata: { namespace: 'shop', name } }) as never
  const pauses: [string, boolean][] = []
  const page = stack.use(
    await openStatusServer(
      { host: '127.0.0.1', port: 0, assetsDir: undefined },
      {
        clock: systemClock,
        log: silentLog,
        metrics: openMetrics(),
        checks: () => [],
        documents: {},
        streams: {},
        routes: archiveRoutes({
          world: {
            catalog: {
              all: (kind: string) => (kind === 'Broker' ? [named('main')] : [named('orders'), named('other')]),
            } as never,
            route: id => (id === main.id ? main : undefined),
            pause: async (id, paused) => {
              pauses.push([id, paused])
              return id === orders.id
            },
            keepsPauses: false,
          },
          broker: running.broker,
          log: silentLog,
        }),
      },
    ),
  )
  const stop = stack.move()
  const ask = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${page.origin}/api/v1/${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') === true
    return { status: response.status, text, value: isJson && !text.includes('\n') ? JSON.parse(text) : undefined }
  }
  return {
    running,
    subscriber,
    pauses,
    ask,
    answer: (next: number) => {
      status = next
    },
    parked: () => running.broker.backlog.read().find(one => one.trigger === triggerId('shop', 'orders'))?.parked ?? 0,
    [Symbol.asyncDispose]: () => stop.disposeAsync(),
  }
}

test('a parked event is listed with its failure, explained, exported, redriven and gone', async () => {
  await using it = await open()
  for (const id of ['a', 'b']) await it.running.post({ id, type: 'order', body: '{"n":1}' })
  await eventually(() => it.parked() === 2)
  const listed: OwedEventsView = (await it.ask('GET', 'triggers/shop/orders/parked')).value
  assert.deepEqual(
    listed.events.map(one => [one.attributes.id, one.delivery.failure?.code, one.delivery.failure?.data]),
    [
      ['a', 422, 'no stock'],
      ['b', 422, 'no stock'],
    ],
  )
  const none: OwedEventsView = (await it.ask('GET', 'triggers/shop/orders/parked?text=nothing')).value
  assert.deepEqual(none, { events: [], next: null })

  const detail: EventDetailView = (await it.ask('GET', 'events/a')).value
  assert.equal(detail.data.text, '{"n":1}')
  assert.deepEqual(
    detail.deliveries.map(one => [
      one.trigger,
      one.state,
      one.attempts.map(attempt => [attempt.number, attempt.status]),
    ]),
    [['orders', 'parked', [[1, 422]]]],
  )
  assert.deepEqual(
    detail.unmatched.map(one => [one.trigger, one.matchesNow, one.clause]),
    [['other', false, 'spec.filters[0].prefix.source']],
  )

  const lines = (await it.ask('GET', 'triggers/shop/orders/parked/export')).text.trimEnd().split('\n')
  assert.deepEqual(
    lines.map(line => JSON.parse(line).data),
    [{ n: 1 }, { n: 1 }],
  )

  it.answer(200)
  const [first, second] = listed.events.map(one => one.seq)
  assert.deepEqual((await it.ask('POST', 'triggers/shop/orders/redrive', { seqs: [first] })).value, { events: 1 })
  await eventually(() => it.subscriber.received.length === 3)
  assert.deepEqual((await it.ask('POST', 'triggers/shop/orders/discard', { seqs: [second] })).value, { events: 1 })
  assert.equal(it.parked(), 0)
  const after: EventDetailView = (await it.ask('GET', 'events/b')).value
  assert.equal(after.deliveries[0]?.state, 'discarded')
})

test('stored events are found by what they are, and by what a Trigger would let pass', async () => {
  await using it = await open()
  for (const [id, type, source] of [
    ['1', 'order', '/s'],
    ['2', 'x', '/other/1'],
    ['3', 'x', '/s'],
  ] as const)
    await it.running.post({ id, type, headers: { 'ce-source': source } })
  const ids = async (query: string) => {
    const page: StoredEventsView = (await it.ask('GET', `brokers/shop/main/events?${query}`)).value
    return page.events.map(one => one.attributes.id)
  }
  assert.deepEqual(await ids(''), ['3', '2', '1'])
  assert.deepEqual(await ids('type=x&after=0'), ['2', '3'])
  assert.deepEqual(await ids('trigger=other'), ['2'])
  assert.deepEqual(await ids('since=99999999999999'), [])
  const whole = (await it.ask('GET', 'brokers/shop/main/events?id=2&data=1')).value
  assert.equal(whole.events[0].event.source, '/other/1')
})

test('what cannot be done is refused with what to do', async () => {
  await using it = await open()
  const table: [string, string, unknown, number, string][] = [
    ['GET', 'triggers/shop/order/parked', undefined, 404, 'orders'],
    ['GET', 'brokers/shop/man/events', undefined, 404, 'main'],
    ['GET', 'events/none', undefined, 404, 'retention'],
    ['GET', 'triggers/shop/orders/parked?limit=0', undefined, 400, '1 to 1000'],
    ['GET', 'brokers/shop/main/events?since=yesterday', undefined, 400, 'ms since 1970'],
    ['POST', 'triggers/shop/orders/redrive', { seqs: ['1'] }, 400, 'whole numbers'],
    ['POST', 'triggers/shop/orders/redrive', { all: true }, 400, 'seqs'],
    ['POST', 'triggers/shop/orders/parked', {}, 405, 'GET'],
    ['POST', 'triggers/shop/nobody/pause', {}, 404, 'no Trigger'],
  ]
  for (const [method, path, body, status, words] of table) {
    const answer = await it.ask(method, path, body)
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`)
    assert.ok(answer.text.includes(words), answer.text)
  }
})

test('no page elsewhere can act: it cannot send JSON, and its origin is refused', async () => {
  await using it = await open()
  const form = await it.ask('POST', 'triggers/shop/orders/pause', undefined, { 'content-type': 'text/plain' })
  assert.ok(form.status === 415 || form.status === 400, form.text)
  const foreign = await it.ask('POST', 'triggers/shop/orders/pause', {}, { origin: 'https://evil.test' })
  assert.equal(foreign.status, 403)
  assert.deepEqual(it.pauses, [])
  const own = await it.ask('POST', 'triggers/shop/orders/pause', {})
  assert.deepEqual([own.status, own.value], [200, { paused: true, kept: false }])
})
