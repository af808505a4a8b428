import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from './local.ts'

const ENTRY = fileURLToPath(new URL('./dev-main.ts', import.meta.url))

/** `weir dev` as a process of its own, on free ports. */
export interface DevProcess {
  readonly child: ChildProcess
  /** Everything printed so far, both streams. */
  text(): string
  readonly ingress: string
  readonly console: string
  /** The exit code, once it has ended by itself. */
  readonly code: Promise<number | null>
}

export interface DevSetup {
  readonly cwd: string
  readonly args: readonly string[]
  /** No file may grow beyond this many blocks of 512 bytes: writes then fail as on a broken disk. */
  readonly fileBlocks?: number
}

/** Starts it and waits until it says that it is ready. It is gone after the test, whatever happens. */
export async function startDev(t: TestContext, setup: DevSetup): Promise<DevProcess> {
  const dev = spawnDev(t, ['--port', '0', '--console-port', '0', ...setup.args], setup)
  await eventually(`it is ready:\n${dev.text()}`, () => /^ready in /m.test(dev.text()) || dev.child.exitCode !== null)
  const address = (name: string) => new RegExp(`^ +${name} +(http://[^/\\s]+)`, 'm').exec(dev.text())?.[1] ?? ''
  return { ...dev, ingress: address('Ingress'), console: address('Console') }
}

/** Starts it with these arguments and nothing else. */
export function spawnDev(
  t: TestContext,
  args: readonly string[],
  { cwd, fileBlocks }: Omit<DevSetup, 'args'>,
): DevProcess {
  const limited = fileBlocks === undefined ? '' : `ulimit -f ${fileBlocks}; `
  const child = spawn('/bin/sh', ['-c', `${limited}exec "$@"`, 'sh', process.execPath, ENTRY, ...args], {
    cwd,
    env: { ...process.env, XDG_RUNTIME_DIR: cwd },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
  }
  const code = once(child, 'close').then(([given]) => given as number | null)
  return { child, text: () => text, ingress: '', console: '', code }
}

/** Posts one event. The status of the answer. */
export function post(url: string, id: string | number, type = 'test', data = '{}'): Promise<number> {
  const headers = {
    'ce-specversion': '1.0',
    'ce-id': String(id),
    'ce-type': type,
    'ce-source': '/test',
    'content-type': 'application/json',
  }
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: 'POST', headers, agent: false }, response => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
    })
    asked.on('error', reject).end(data)
  })
}

/** A Trigger, its Service, and the Deployment that runs `script` (a file) for it. */
export function triggerYaml(name: string, script: string, more: { type?: string; scale?: boolean } = {}): string {
  const filter = more.type === undefined ? '' : `  filters: [{ exact: { type: ${more.type} } }]\n`
  const scale = more.scale === true ? '  annotations: { autoscaling.eventing.knative.dev/max-scale: "4" }\n' : ''
  return `---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: ${name}
${scale}spec:
  broker: default
${filter}  subscriber: { ref: { apiVersion: v1, kind: Service, name: ${name} } }
---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 5
      containers: [{ name: main, command: [node, ${script}] }]
`
}

export const BROKER_YAML = `---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: { name: default }
`

/** Says each id it gets, once it has answered. */
export const HANDLER = `import { createServer } from 'node:http'
createServer((request, response) => {
  request.resume().on('end', () => {
    response.writeHead(204).end()
    console.log('got', request.headers['ce-id'], 'pid', process.pid)
  })
}).listen(process.env.PORT)
`

/** The ids that a replica of `name` said it got, in order. */
export function gotBy(text: string, name: string): string[] {
  return [...text.matchAll(new RegExp(`^${name}-\\d+ \\| got (\\S+)`, 'gm'))].map(match => match[1] ?? '')
}

/** The processes that handled events for `name`. */
export function pidsOf(text: string, name: string): number[] {
  const found = [...text.matchAll(new RegExp(`^${name}-\\d+ \\| got \\S+ pid (\\d+)`, 'gm'))]
  return [...new Set(found.map(match => Number(match[1])))]
}
