import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EventView, SourceView } from '../../contract/api.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { PortTakenError } from '../../standalone/config.ts'
import { openStandalone } from '../../standalone/standalone.ts'
import type { Told } from '../../standalone/told.ts'
import { BROKER_YAML } from './dev-process.ts'
import { eventually, tempFolder } from './local.ts'

const TO_BROKER = 'sink: { ref: { apiVersion: eventing.knative.dev/v1, kind: Broker, name: default } }'
const TO_SERVICE = 'sink: { ref: { apiVersion: v1, kind: Service, name: echo }, uri: /deep?x=1 }'

const webhook = (sink: string) => `---
apiVersion: sources.weir.dev/v1alpha1
kind: WebhookSource
metadata: { name: hook }
spec: { ${sink} }
`
const PING = `---
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: { name: tick }
spec: { schedule: "* * * * * *", data: hello, ${TO_BROKER} }
`
/** Prints each request as a line. */
const SERVICE = `---
apiVersion: v1
kind: Service
metadata: { name: echo }
spec: { selector: { app: echo }, ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: echo }
spec:
  selector: { matchLabels: { app: echo } }
  template:
    metadata: { labels: { app: echo } }
    spec: { containers: [{ name: c, command: [node, echo.mjs] }] }
`
const ECHO = `
import { createServer } from 'node:http'
createServer(async (request, response) => {
  const parts = []
  for await (const part of request) parts.push(part)
  console.log('got', request.url, request.headers['ce-id'] ?? request.headers['x-id'], Buffer.concat(parts).toString())
  response.writeHead(202, { 'x-answer': 'yes' }).end('taken')
}).listen(Number(process.env.PORT), '127.0.0.1')
`

async function openWorld(t: TestContext, yaml: string, webhookPort = 0) {
  const cwd = tempFolder(t)
  writeFileSync(join(cwd, 'my.yaml'), yaml)
  writeFileSync(join(cwd, 'echo.mjs'), ECHO)
  const env = { PATH: process.env.PATH, XDG_RUNTIME_DIR: cwd }
  const fixed = { pid: process.pid, uid: process.getuid?.(), tempDir: cwd }
  const outside = { clock: systemClock, random: Math.random, env, ...fixed }
  const config = {
    paths: ['my.yaml'],
    cwd,
    port: 0,
    consolePort: 0,
    dataDir: undefined,
    memory: true,
    broker: undefined,
  }
  const told: Told[] = []
  const deps = {
    outside,
    log: silentLog,
    tell: (one: Told) => void told.push(one),
    fatal: (error: Error) => assert.fail(error),
  }
  const world = await openStandalone({ ...config, webhookPort }, deps)
  t.after(() => world[Symbol.asyncDispose]())
  const get = async <T>(path: string) => (await (await fetch(world.console + path)).json()) as T
  const printed = () => told.flatMap(one => (one.kind === 'output' ? [one.line] : []))
  return { world, get, printed, cwd }
}

/** GET with a Host of its own, which `fetch` does not allow. */
function statusFor(url: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: { host }, agent: false }, response => {
      resolve(response.resume().statusCode)
    })
    asked.on('error', reject).end()
  })
}

test('a webhook of the local world has an address that is told, and what comes there is an event of the Broker', async t => {
  const { get } = await openWorld(t, BROKER_YAML + webhook(TO_BROKER))
  let address: string | null = null
  await eventually('it is ready', async () => {
    const [source] = await get<SourceView[]>('/api/v1/sources')
    address = source?.address ?? null
    return source?.ready === true
  })
  assert.match(String(address), /^http:\/\/127\.0\.0\.1:\d+\/webhooks\/default\/hook$/)
  const answer = await fetch(String(address), { method: 'POST', headers: { 'webhook-id': 'm1' }, body: '{"a":1}' })
  assert.equal(answer.status, 202)
  const events = await get<EventView[]>('/api/v1/events')
  assert.deepEqual(
    events.map(one => one.attributes.id),
    ['m1'],
  )
})

test('a PingSource of the local world ticks', async t => {
  const { get } = await openWorld(t, BROKER_YAML + PING)
  await eventually('an event is there', async () => {
    const events = await get<EventView[]>('/api/v1/events')
    return events.some(one => one.attributes.type === 'dev.knative.sources.ping')
  })
})

test('a Service is reached through its door, whichever replica stands behind it', async t => {
  const { get, printed } = await openWorld(t, BROKER_YAML + webhook(TO_SERVICE) + SERVICE)
  let source: SourceView | undefined
  await eventually('it is ready', async () => {
    source = (await get<SourceView[]>('/api/v1/sources'))[0]
    return source?.ready === true
  })
  assert.match(source?.sink ?? '', /^http:\/\/127\.0\.0\.1:\d+\/services\/default\/echo\/deep\?x=1$/)
  const answer = await fetch(source?.address ?? '', { method: 'POST', headers: { 'webhook-id': 'm1' }, body: 'é' })
  assert.equal(answer.status, 202, await answer.text())
  await eventually('the replica has it', () => printed().includes('got /deep?x=1 m1 é'))
  const direct = await fetch(source?.sink ?? '', { method: 'POST', headers: { 'x-id': 'd' }, body: 'x' })
  assert.deepEqual([direct.status, direct.headers.get('x-answer'), await direct.text()], [202, 'yes', 'taken'])
  assert.equal(await statusFor(source?.sink ?? '', 'evil.example'), 421)
  assert.equal(await statusFor(source?.address ?? '', 'tunnel.example'), 405)
})

test('while the YAML of a webhook is edited its sender is never told that there is none', async t => {
  const { get, cwd } = await openWorld(t, BROKER_YAML + webhook(TO_BROKER))
  let address = ''
  await eventually('it is ready', async () => {
    const [source] = await get<SourceView[]>('/api/v1/sources')
    address = source?.address ?? ''
    return source?.ready === true
  })
  const types = new Set<string | undefined>()
  const statuses = new Set<number>()
  for (let edit = 1; edit <= 3; edit++) {
    const yaml = webhook(`event: { type: "t${edit}" }, ${TO_BROKER}`)
    writeFileSync(join(cwd, 'my.yaml'), BROKER_YAML + yaml)
    await eventually(`edit ${edit} holds`, async () => {
      statuses.add((await fetch(address, { method: 'POST', body: '{}' })).status)
      const [newest] = await get<EventView[]>('/api/v1/events?limit=1')
      types.add(newest?.attributes.type)
      return newest?.attributes.type === `t${edit}`
    })
  }
  assert.deepEqual([...types], ['dev.weir.sources.webhook', 't1', 't2', 't3'])
  statuses.delete(503)
  assert.deepEqual([...statuses], [202])
})

test('a port for webhooks that was asked for and is taken is said at the start', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  t.after(() => other.close())
  await new Promise(resolve => other.once('listening', resolve))
  const address = other.address()
  assert.ok(typeof address === 'object' && address !== null)
  await assert.rejects(openWorld(t, BROKER_YAML, address.port), PortTakenError)
})
