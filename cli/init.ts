import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { EXIT, Failure } from './failure.ts'
import { paintFor } from './style.ts'

const EVENTS_YAML = `# A Broker takes events, a Trigger sends those it wants to a subscriber.
# kubectl apply takes this file as it is, once the image exists.
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata:
  name: default
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: orders
  annotations:
    # From no replica at all to eight, and back: 10 waiting events are work for one.
    autoscaling.eventing.knative.dev/min-scale: "0"
    autoscaling.eventing.knative.dev/max-scale: "8"
    autoscaling.eventing.knative.dev/lag-threshold: "10"
spec:
  broker: default
  filters:
    - prefix:
        type: order.
  subscriber:
    ref:
      apiVersion: v1
      kind: Service
      name: orders
---
apiVersion: v1
kind: Service
metadata:
  name: orders
spec:
  selector:
    app: orders
  ports:
    - port: 80
      targetPort: 8080
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
spec:
  selector:
    matchLabels:
      app: orders
  template:
    metadata:
      labels:
        app: orders
    spec:
      containers:
        - name: orders
          image: example.com/orders:1 # on a laptop the command runs without it
          command: [node, handler.mjs]
          env:
            - name: PORT
              value: "8080" # on a laptop each replica gets a port of its own
`

const HANDLER = `import { createServer } from 'node:http'

// Each event is one POST: its attributes are ce-… headers, its data is the body.
// A 2xx answer means done; anything else, or none, and it comes again.
createServer(async (request, response) => {
  let data = ''
  for await (const chunk of request) data += chunk
  console.log(request.headers['ce-type'], request.headers['ce-id'], data)
  response.writeHead(data.includes('"fail"') ? 500 : 200).end()
}).listen(process.env.PORT)
`

const FILES = [
  { name: 'events.yaml', text: EVENTS_YAML, about: 'a Broker, a Trigger, a Service and a Deployment' },
  { name: 'handler.mjs', text: HANDLER, about: 'what receives the events: plain node:http' },
] as const

/** `weir init [DIR]`: a first Broker, Trigger and handler. Writes everything or nothing, and never over a file. */
export async function init(dir: string): Promise<number> {
  const root = resolve(dir)
  const there = FILES.filter(({ name }) => existsSync(join(root, name)))
  if (there.length > 0) {
    const names = there.map(({ name }) => join(dir, name)).join(' and ')
    throw new Failure(
      'failed',
      `${names} ${there.length === 1 ? 'is' : 'are'} there already and not touched`,
      'weir init NEW-DIR',
    )
  }
  try {
    await mkdir(root, { recursive: true })
    // `wx`: a file that came in between is not written over either.
    for (const { name, text } of FILES) await writeFile(join(root, name), text, { flag: 'wx' })
  } catch (error) {
    throw new Failure('failed', `cannot write to ${dir}: ${error instanceof Error ? error.message : String(error)}`)
  }
  const paint = paintFor(process.stdout)
  for (const { name, about } of FILES)
    process.stdout.write(`${paint('good', 'created')}  ${join(dir, name).padEnd(24)} ${paint('dim', about)}\n`)
  const here = relative(process.cwd(), root) === '' ? '' : `cd ${dir} && `
  process.stdout.write(`
next     ${here}weir dev -f events.yaml
         weir send order.created total:=42 --wait     (in a second terminal)
         weir send order.created note=fail            (the handler refuses it: see it come again)
         weir tail
`)
  return EXIT.done
}
