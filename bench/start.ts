import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Figure, median } from './figure.ts'
import { load } from './load.ts'
import { startWeir } from './process.ts'

const idleYaml = `apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: orders}
spec:
  broker: default
  subscriber: {uri: 'http://127.0.0.1:9/'}
`

/** A Deployment asleep. */
const sleeping = (command: string) => `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: orders
  annotations:
    autoscaling.eventing.knative.dev/min-scale: '0'
    autoscaling.eventing.knative.dev/max-scale: '4'
    autoscaling.eventing.knative.dev/lag-threshold: '1'
spec:
  broker: default
  subscriber: {ref: {apiVersion: v1, kind: Service, name: worker}}
---
apiVersion: v1
kind: Service
metadata: {name: worker}
spec: {selector: {app: worker}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      containers:
        - {name: worker, image: example.com/worker, command: ${command}}
`

/** From spawn to "ready", with a warm compile cache, and what the process holds when nothing happens. */
export async function startAndMemory(): Promise<Figure[]> {
  const readyMs: number[] = []
  let residentMb = 0
  for (let i = 0; i < 5; i++) {
    await using weir = await startWeir(idleYaml)
    if (i > 0) readyMs.push(weir.readyMs) // the first run warms the caches
    if (i < 4) continue
    await new Promise(resolve => setTimeout(resolve, 5000))
    residentMb = weir.residentMb()
  }
  return [
    {
      name: 'weir dev ready after start, warm',
      value: median(readyMs) / 1000,
      unit: 's',
      goal: 1,
      detail: `ms: ${readyMs.map(Math.round)}`,
    },
    { name: 'resident memory idle, with the console', value: residentMb, unit: 'MB', goal: 130, detail: '' },
  ]
}

/** From the first event to a sleeping Deployment until the first of its replicas runs: asking for them is a part of that. */
export async function wake(): Promise<Figure[]> {
  const tookMs: number[] = []
  const dir = mkdtempSync(join(tmpdir(), 'weir-wake-'))
  for (let i = 0; i < 5; i++) {
    const sign = join(dir, `started-${i}`)
    await using weir = await startWeir(sleeping(`[sh, -c, "touch ${sign}; sleep 600"]`))
    await new Promise(resolve => setTimeout(resolve, 1000))
    const sentMs = performance.now()
    await load({ port: weir.port, path: '/default/default', connections: 1, total: 1 })
    while (!existsSync(sign)) {
      if (performance.now() - sentMs > 30_000) throw new Error('no replica after 30 s')
      await new Promise(resolve => setTimeout(resolve, 1))
    }
    tookMs.push(performance.now() - sentMs)
  }
  rmSync(dir, { recursive: true, force: true })
  return [
    {
      name: 'first event to a replica started',
      value: median(tookMs),
      unit: 'ms',
      goal: 100,
      detail: `ms: ${tookMs.map(Math.round)}`,
    },
  ]
}
