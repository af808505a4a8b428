import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { BrokerView, EventView, ScaleView, SourceView, StateView, TriggerView } from '../../contract/api.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { openStandalone } from '../../standalone/standalone.ts'
import { BROKER_YAML, HANDLER, post, triggerYaml } from './dev-process.ts'
import { eventually, tempFolder } from './local.ts'

const ORPHAN = `---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: { name: orphan }
spec:
  broker: nowhere
  subscriber: { uri: "http://127.0.0.1:1/" }
`
const SOURCE = `---
apiVersion: sources.weir.dev/v1alpha1
kind: AzureStorageQueueSource
metadata: { name: queue }
spec:
  queueName: queue
  auth: { connectionString: { secretKeyRef: { name: nobody, key: x } } }
  sink: { ref: { apiVersion: eventing.knative.dev/v1, kind: Broker, name: default } }
`

async function openWorld(t: TestContext, yaml: string, memory = true) {
  const cwd = tempFolder(t)
  writeFileSync(join(cwd, 'my.yaml'), yaml)
  writeFileSync(join(cwd, 'handler.mjs'), HANDLER)
  const env = { PATH: process.env.PATH, XDG_RUNTIME_DIR: cwd }
  const outside = {
    clock: systemClock,
    random: Math.random,
    env,
    pid: process.pid,
    uid: process.getuid?.(),
    tempDir: cwd,
  }
  const config = { paths: ['my.yaml'], cwd, port: 0, consolePort: 0, dataDir: undefined, memory, broker: undefined }
  const fatal = (error: Error) => assert.fail(error)
  const world = await openStandalone(config, { outside, log: silentLog, tell: () => {}, fatal })
  t.after(() => world[Symbol.asyncDispose]())
  const get = async <T>(path: string) => (await (await fetch(world.console + path)).json()) as T
  return { world, get, url: `${world.ingress}/default/default` }
}

test('every document has the shape that the contract promises', async t => {
  const { get, url } = await openWorld(
    t,
    BROKER_YAML + triggerYaml('orders', 'handler.mjs', { scale: true, type: 'a' }) + ORPHAN + SOURCE,
  )
  assert.equal(await post(url, '1', 'a'), 202)
  assert.equal(await post(url, '2', 'unwanted'), 202)
  await eventually('the event is delivered', async () => {
    const triggers = await get<TriggerView[]>('/api/v1/triggers')
    return triggers.find(one => one.name === 'orders')?.delivered === 1
  })

  const [broker] = await get<BrokerView[]>('/api/v1/brokers')
  assert.deepEqual(broker, {
    namespace: 'default',
    name: 'default',
    url,
    ready: true,
    reason: '',
    triggers: 1,
    accepted: 2,
    unmatched: 1,
  })
  const [orders, orphan] = await get<TriggerView[]>('/api/v1/triggers')
  assert.deepEqual(orders && { ...orders, notice: null, rate: 0 }, {
    namespace: 'default',
    name: 'orders',
    broker: 'default',
    subscriber: 'http://orders.default.svc.cluster.local',
    ready: true,
    reason: '',
    backlog: 0,
    inFlight: 0,
    retrying: 0,
    parked: 0,
    delivered: 1,
    deadLettered: 0,
    failed: 0,
    rate: 0,
    replicas: { ready: 1, desired: 1, max: 4 },
    oldestAgeMs: null,
    lastError: null,
    notice: null,
    blocked: 0,
    stopped: null,
    stoppedForMs: null,
  })
  assert.equal(orphan?.ready, false)
  assert.match(orphan?.reason ?? '', /nowhere does not exist/)
  const [source] = await get<SourceView[]>('/api/v1/sources')
  assert.equal(source?.ready, false)
  assert.match(source?.reason ?? '', /nobody/)
  assert.equal(source?.lag, null)
  const [scale] = await get<ScaleView[]>('/api/v1/scale')
  assert.equal(scale?.by, 'Trigger/orders')
  assert.deepEqual({ ...scale?.replicas }, { ready: 1, desired: 1, min: 0, max: 4 })
  assert.match(scale?.explain ?? '', /^1: /)
})

test('events are the newest first, at most as many as asked for, and can be narrowed', async t => {
  const { world, get, url } = await openWorld(t, BROKER_YAML)
  for (let id = 1; id <= 5; id++) await post(url, id, id % 2 === 0 ? 'even' : 'odd')
  const ids = async (query: string) => (await get<EventView[]>(`/api/v1/events${query}`)).map(one => one.attributes.id)
  assert.deepEqual(await ids(''), ['5', '4', '3', '2', '1'])
  assert.deepEqual(await ids('?limit=2'), ['5', '4'])
  assert.deepEqual(await ids('?type=even&source=/test'), ['4', '2'])
  assert.deepEqual(await ids('?id=3'), ['3'])
  const [event] = await get<EventView[]>('/api/v1/events?limit=1')
  assert.equal(event?.namespace, 'default')
  assert.equal(event?.broker, 'default')
  assert.equal(event?.bytes, 2)
  assert.deepEqual(event?.deliveries, [], 'nobody wanted it')
  for (const limit of ['0', 'x', '1001', '1.5']) {
    const refused = await fetch(`${world.console}/api/v1/events?limit=${limit}`)
    assert.equal(refused.status, 400)
    assert.equal(((await refused.json()) as { code: string }).code, 'bad-limit')
  }
})

test('the stream begins with the state and goes on with what changes', async t => {
  const { world, url } = await openWorld(t, BROKER_YAML + triggerYaml('orders', 'handler.mjs'))
  const reader = new AbortController()
  t.after(() => reader.abort())
  const response = await fetch(`${world.console}/api/v1/stream`, { signal: reader.signal })
  const states: StateView[] = []
  const events: EventView[] = []
  void (async () => {
    let text = ''
    for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += part
      const messages = text.split('\n\n')
      text = messages.pop() ?? ''
      for (const message of messages) {
        const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(message) ?? []
        if (name === 'state') states.push(JSON.parse(data ?? ''))
        if (name === 'events') events.push(...JSON.parse(data ?? ''))
      }
    }
  })().catch(() => {})
  await eventually('the first state', () => states.length > 0)
  assert.equal(states[0]?.triggers[0]?.name, 'orders')
  await post(url, 'x')
  await eventually('the event', () => events.some(one => one.deliveries[0]?.state === 'delivered'))
  await eventually('the counters', () => states.at(-1)?.triggers[0]?.delivered === 1)
  assert.deepEqual(events.at(-1)?.deliveries[0]?.trigger, 'orders')
})

test('health, readiness and metrics are on the console port', async t => {
  const { world } = await openWorld(t, BROKER_YAML)
  for (const path of ['/healthz', '/livez', '/readyz'])
    assert.equal((await fetch(world.console + path)).status, 200, path)
  const metrics = await (await fetch(`${world.console}/metrics`)).text()
  assert.match(metrics, /^# TYPE weir_events_accepted_total counter$/m)
})
