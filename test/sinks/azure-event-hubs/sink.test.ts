import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { toEvents } from '../../../adapters/azure-event-hubs/to-event.ts'
import { openEventHub } from '../../../clients/azure-event-hubs/hub.ts'
import type { AzureEventHubsSinkResource } from '../../../crds/azure-event-hubs-sink.ts'
import { noAttributes } from '../../../event/attributes.ts'
import type { CloudEvent } from '../../../event/event.ts'
import { eventData } from '../../../event/http.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { openSink } from '../../../sinks/registry.ts'
import { type EventHubsServer, openEventHubs } from '../../servers/event-hubs.ts'

let server: EventHubsServer
let hub: string
let hubs = 0
before(async () => {
  server = await openEventHubs()
})
after(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  hub = `hub-${++hubs}`
  server.make(hub, 2)
})

const signal = new AbortController().signal
const deps = { clock: systemClock, random: Math.random, log: silentLog }

function eventOf(changes: Record<string, string> = {}, body = '{"n":1.0}'): CloudEvent {
  const given = { specversion: '1.0', id: 'e-1', source: '/s', type: 't', datacontenttype: 'application/json' }
  return { mode: 'binary', attributes: Object.assign(noAttributes(), given, changes), body: Buffer.from(body) }
}

function sinkOf(contentMode: 'binary' | 'structured' = 'binary') {
  const resource: AzureEventHubsSinkResource = {
    apiVersion: 'eventing.weir.dev/v1alpha1',
    kind: 'AzureEventHubsSink',
    metadata: { name: 'out', namespace: 'default', labels: {}, annotations: {} },
    where: { file: 'test.yaml', line: 1, column: 1 },
    spec: {
      eventHubName: hub,
      auth: { connectionString: { secretKeyRef: { name: 'hub', key: 'connectionString' } } },
      contentMode,
    },
  }
  return openSink({ resource, credentials: { connectionString: server.connectionString } }, deps)
}

/** What our own source makes of the first event in the hub. */
async function readBack(): Promise<CloudEvent> {
  const partition = server.kept(hub, 0).length > 0 ? '0' : '1'
  await using reader = openEventHub({ connectionString: server.connectionString, hub }, '$Default', systemClock)
  const stop = new AbortController()
  let found: CloudEvent | undefined
  await reader.read(
    {
      partition,
      from: { kind: 'earliest' },
      epoch: 1,
      take: async events => {
        const [event] = events
        if (event === undefined) return
        found = toEvents(event, { url: reader.url, partition }, { payload: 'auto', extensions: {} }).events[0]
        stop.abort()
      },
    },
    stop.signal,
  )
  assert.ok(found !== undefined)
  return found
}

for (const contentMode of ['binary', 'structured'] as const) {
  test(`an event sent in ${contentMode} mode is read back as the same event`, async () => {
    await using sink = await sinkOf(contentMode)
    const event = eventOf({ subject: 'größer', time: '2026-01-01T00:00:00Z', partitionkey: 'k' })
    assert.deepEqual(await sink.send(event, signal), { kind: 'sent' })
    const back = await readBack()
    assert.equal(Buffer.from(eventData(back).bytes).toString(), '{"n":1.0}')
    const { azsequencenumber, azenqueuedtime, ...attributes } = back.attributes
    assert.deepEqual(attributes, { ...event.attributes })
    assert.equal(azsequencenumber, '0')
  })
}

test('what is sent at once goes together, in order by partition key', async () => {
  await using sink = await sinkOf()
  const events = Array.from({ length: 300 }, (_, i) => eventOf({ id: `e-${i}`, partitionkey: i % 2 === 0 ? 'a' : 'b' }))
  const sent = await Promise.all(events.map(one => sink.send(one, signal)))
  assert.ok(sent.every(one => one.kind === 'sent'))
  for (const partition of [0, 1]) {
    const ids = server
      .kept(hub, partition)
      .map(one => Number(String(one.message.application_properties?.cloudEvents_id).slice(2)))
    assert.equal(ids.length, 150)
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
    )
  }
})

test('an event that is too large is refused, and those beside it are sent', async () => {
  await using sink = await sinkOf()
  const sent = await Promise.all([
    sink.send(eventOf({ id: 'a' }), signal),
    sink.send(eventOf({ id: 'b' }, 'x'.repeat(2_000_000)), signal),
    sink.send(eventOf({ id: 'c' }), signal),
  ])
  assert.deepEqual(
    sent.map(one => one.kind),
    ['sent', 'refused', 'sent'],
  )
  assert.equal((await sink.send(eventOf({ partitionkey: 'k'.repeat(129) }), signal)).kind, 'refused')
})

test('a busy, a missing and a restarted hub are tried again, and each time it is said why', async () => {
  await using sink = await sinkOf()
  const again = async (why: RegExp) => {
    const sent = await sink.send(eventOf(), signal)
    assert.equal(sent.kind, 'again')
    assert.match(sent.kind === 'again' ? sent.reason : '', why)
  }
  server.faults.busy = true
  await again(/busy/)
  server.faults.busy = false
  assert.equal((await sink.send(eventOf(), signal)).kind, 'sent')
  await server.kill()
  await again(/cannot be reached|not confirmed/)
  await server.start()
  let sent = await sink.send(eventOf(), signal)
  for (let i = 0; i < 50 && sent.kind === 'again'; i++) {
    await new Promise(resolve => setTimeout(resolve, 200))
    sent = await sink.send(eventOf(), signal)
  }
  assert.equal(sent.kind, 'sent')
})

test('where a hub is missing it is said, and used once it is made', async () => {
  server.remove(hub)
  await using sink = await sinkOf()
  const sent = await sink.send(eventOf(), signal)
  assert.match(sent.kind === 'again' ? sent.reason : '', /there is no hub/)
  server.make(hub, 1)
  assert.equal((await sink.send(eventOf(), signal)).kind, 'sent')
})

test('a lost answer is tried again after a while, and the event may be there twice', async () => {
  await using sink = await sinkOf()
  server.faults.loseAnswers = true
  const sent = await sink.send(eventOf(), signal)
  server.faults.loseAnswers = false
  assert.equal(sent.kind, 'again')
  assert.equal((await sink.send(eventOf(), signal)).kind, 'sent')
  assert.equal(server.kept(hub, 0).length + server.kept(hub, 1).length, 2)
})

test('whoever gives up waiting is told at once', async () => {
  await using sink = await sinkOf()
  server.faults.loseAnswers = true
  const stop = new AbortController()
  const sending = sink.send(eventOf(), stop.signal)
  setTimeout(() => stop.abort(new Error('enough')), 300)
  await assert.rejects(sending, /enough/)
  server.faults.loseAnswers = false
})
