import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { EventView, SourceView } from '../../contract/api.ts'
import { workloadId } from '../../contract/ids.ts'
import { parseManifest } from '../../crds/manifest.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { Bindings } from '../../standalone/bindings.ts'
import { openStandalone } from '../../standalone/standalone.ts'
import type { Told } from '../../standalone/told.ts'
import { BROKER_YAML } from './dev-process.ts'
import { eventually, tempFolder } from './local.ts'

const BROKER = 'sink: { ref: { apiVersion: eventing.knative.dev/v1, kind: Broker, name: default } }'
const SERVICE = 'sink: { ref: { apiVersion: v1, kind: Service, name: echo } }'
const EXTENSIONS = 'ceOverrides: { extensions: { team: blue } }'

/** Sends one event when it starts, with what it was told to add, and stays. */
const SENDER = `
console.log('K_SINK=' + process.env.K_SINK, 'K_CE_OVERRIDES=' + process.env.K_CE_OVERRIDES)
const { extensions = {} } = JSON.parse(process.env.K_CE_OVERRIDES || '{}')
const headers = { 'ce-specversion': '1.0', 'ce-id': 'from-' + process.pid, 'ce-source': '/sender', 'ce-type': 'sent' }
for (const [name, value] of Object.entries(extensions)) headers['ce-' + name] = value
for (;;) {
  const answer = await fetch(process.env.K_SINK, { method: 'POST', headers, body: 'x' }).catch(() => undefined)
  if (answer?.ok) break
  await new Promise(resolve => setTimeout(resolve, 50))
}
console.log('sent')
setInterval(() => {}, 1000)
`
const ECHO = `
import { createServer } from 'node:http'
createServer((request, response) => {
  console.log('got', request.url, request.headers['ce-team'])
  request.resume().on('end', () => response.writeHead(202).end())
}).listen(Number(process.env.PORT), '127.0.0.1')
`
const pods = (name: string, file: string) => `---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, labels: { app: ${name} } }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec: { containers: [{ name: c, command: [node, ${file}], env: [{ name: K_SINK, value: http://own }] }] }
`
const ECHO_SERVICE = `---
apiVersion: v1
kind: Service
metadata: { name: echo }
spec: { selector: { app: echo }, ports: [{ port: 80 }] }
`
const ECHO_YAML = pods('echo', 'echo.mjs') + ECHO_SERVICE
const binding = (sink: string, subject = 'name: sender') => `---
apiVersion: sources.knative.dev/v1
kind: SinkBinding
metadata: { name: binding }
spec:
  subject: { apiVersion: apps/v1, kind: Deployment, ${subject} }
  ${sink}
  ${EXTENSIONS}
`
const container = (sink: string) => `---
apiVersion: sources.knative.dev/v1
kind: ContainerSource
metadata: { name: maker }
spec:
  template: { spec: { containers: [{ name: c, command: [node, sender.mjs] }] } }
  ${sink}
  ${EXTENSIONS}
`

async function openWorld(t: TestContext, yaml: string) {
  const cwd = tempFolder(t)
  writeFileSync(join(cwd, 'my.yaml'), yaml)
  writeFileSync(join(cwd, 'sender.mjs'), SENDER)
  writeFileSync(join(cwd, 'echo.mjs'), ECHO)
  const env = { PATH: process.env.PATH, XDG_RUNTIME_DIR: cwd }
  const fixed = { pid: process.pid, uid: process.getuid?.(), tempDir: cwd }
  const outside = { clock: systemClock, random: Math.random, env, ...fixed }
  const ports = { port: 0, consolePort: 0, webhookPort: 0 }
  const config = { paths: ['my.yaml'], cwd, ...ports, dataDir: undefined, memory: true, broker: undefined }
  const lines: string[] = []
  const tell = (one: Told) => void (one.kind === 'output' && lines.push(one.line))
  const fatal = (error: Error) => assert.fail(error)
  const world = await openStandalone(config, { outside, log: silentLog, tell, fatal })
  t.after(() => world[Symbol.asyncDispose]())
  const get = async <T>(path: string) => (await (await fetch(world.console + path)).json()) as T
  const source = async (kind: string) => (await get<SourceView[]>('/api/v1/sources')).find(one => one.kind === kind)
  return { world, get, source, lines, write: (text: string) => writeFileSync(join(cwd, 'my.yaml'), text) }
}

test('the process of a ContainerSource is told its sink, and sends to it', async t => {
  const { get, source, lines } = await openWorld(t, BROKER_YAML + container(BROKER))
  await eventually('its event is there', async () => (await get<EventView[]>('/api/v1/events')).length > 0, 30_000)
  const [event] = await get<EventView[]>('/api/v1/events')
  assert.deepEqual([event?.attributes.type, event?.attributes.team], ['sent', 'blue'])
  assert.match(
    lines[0] ?? '',
    /^K_SINK=http:\/\/127\.0\.0\.1:\d+\/default\/default K_CE_OVERRIDES=\{"extensions":\{"team":"blue"\}\}$/,
  )
  await eventually('it is ready', async () => (await source('ContainerSource'))?.ready === true)
  assert.equal((await source('ContainerSource'))?.replicas.desired, 1)
})

test('a Deployment that is bound starts with its sink, once, and its own K_SINK counts for nothing', async t => {
  const { source, lines } = await openWorld(t, BROKER_YAML + pods('sender', 'sender.mjs') + binding(BROKER))
  await eventually('it has sent', () => lines.includes('sent'), 30_000)
  const started = lines.filter(line => line.startsWith('K_SINK='))
  assert.equal(started.length, 1)
  assert.match(started[0] ?? '', /^K_SINK=http:\/\/127\.0\.0\.1:\d+\/default\/default /)
  const view = await source('SinkBinding')
  assert.deepEqual([view?.ready, view?.replicas], [true, { ready: 1, desired: 1, max: 1 }])
})

test('a sink that changes starts the processes again, and a Service is reached by its door', async t => {
  const deployments = BROKER_YAML + ECHO_YAML + pods('sender', 'sender.mjs')
  const bySelector = 'selector: { matchLabels: { app: sender } }'
  const { source, lines, write } = await openWorld(t, deployments + binding(BROKER, bySelector))
  await eventually('it has sent', () => lines.includes('sent'), 30_000)
  write(deployments + binding(SERVICE, bySelector))
  await eventually('the Service has it', () => lines.includes('got / blue'), 30_000)
  assert.match((await source('SinkBinding'))?.sink ?? '', /^http:\/\/127\.0\.0\.1:\d+\/services\/default\/echo$/)
  write(deployments)
  await eventually('the binding is taken back', () => lines.some(line => line.startsWith('K_SINK=http://own ')), 30_000)
})

test('a sink that is not there is said, and a ContainerSource runs once it comes', async t => {
  const { source, lines, write } = await openWorld(t, BROKER_YAML + container(SERVICE) + pods('echo', 'echo.mjs'))
  await eventually('it is said', async () =>
    /Service default\/echo does not exist/.test((await source('ContainerSource'))?.reason ?? ''),
  )
  assert.equal(
    lines.some(line => line.startsWith('K_SINK=')),
    false,
  )
  write(BROKER_YAML + container(SERVICE) + ECHO_YAML)
  await eventually('the Service has it', () => lines.includes('got / blue'), 30_000)
})

test('a Deployment that does not run yet waits until its bindings have been looked at, and one that runs goes on', () => {
  const { resources } = parseManifest(pods('sender', 'x') + binding(BROKER), 'a.yaml')
  const [deployment, one] = resources
  assert.ok(deployment?.kind === 'Deployment' && one?.kind === 'SinkBinding')
  const bindings = new Bindings()
  const bind = (isThere: boolean) => bindings.bind([deployment], [one], () => isThere)
  assert.deepEqual(bind(false), [])
  assert.deepEqual(bind(true), [deployment])
  const id = workloadId('SinkBinding', 'default', 'binding')
  bindings.set(id, 'waiting')
  assert.deepEqual(bind(false), [deployment])
  bindings.set(id, { id, binding: one, env: { K_SINK: 'http://a/$(PORT)' } })
  assert.deepEqual(bind(false)[0]?.spec.container.env, [{ name: 'K_SINK', value: 'http://a/$$(PORT)' }])
  bindings.set(id, 'waiting')
  assert.equal(bind(false)[0]?.spec.container.env[0]?.name, 'K_SINK', 'what was bound stays')
  bindings.set(id, undefined)
  assert.deepEqual(bind(true), [deployment])
})
