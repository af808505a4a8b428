import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Figure, median } from './figure.ts'
import { load } from './load.ts'
import { startWeir } from './process.ts'
import { PATH, TYPE, yamlOf } from './yaml.ts'

const PER_SECOND = 200
const SECONDS = 10
const ROUNDS = 5
/** Events that wait for the noisy Trigger, none of which it ever takes. */
const NOISE = 50_000
/** How long its subscriber takes to say no. */
const REFUSE_MS = 5
const QUIET = 'bench.quiet'

/**
 * The way of an event through a Broker, from the first byte sent to the subscriber's receiving it: alone, and beside a Trigger
 * with a long backlog whose subscriber refuses everything, so that it works all the time at its full concurrency.
 */
export async function fairness(): Promise<Figure[]> {
  const arrived = new Map<string, number>()
  const quietServer = createServer((request, response) => {
    arrived.set(String(request.headers['ce-id']), performance.now())
    request.resume().on('end', () => response.writeHead(200, { 'content-length': 0 }).end())
  })
  const noisyServer = createServer((request, response) => {
    request
      .resume()
      .on('end', () => setTimeout(() => response.writeHead(503, { 'content-length': 0 }).end(), REFUSE_MS))
  })
  const [quietUrl, noisyUrl] = [await listening(quietServer), await listening(noisyServer)]
  const quiet = { name: 'quiet', type: QUIET, url: quietUrl }
  const yaml = (paused: boolean) =>
    yamlOf([quiet, { name: 'noisy', type: TYPE, url: noisyUrl, annotations: { 'weir.dev/paused': String(paused) } }])
  try {
    await using weir = await startWeir(yaml(true))
    const file = join(weir.dir, 'weir.yaml')
    await load({ port: weir.port, path: PATH, connections: 64, total: NOISE })
    const door = `http://127.0.0.1:${weir.port}${PATH}`
    const measure = async (paused: boolean) => {
      writeFileSync(file, yaml(paused))
      await sleep(2_000) // the edit takes effect, and what it sets off settles
      return await p99(door, arrived)
    }
    await measure(true) // warms up
    const [alones, besides]: [number[], number[]] = [[], []]
    for (let i = 0; i < ROUNDS; i++) {
      alones.push(await measure(true))
      besides.push(await measure(false))
    }
    const words = (rounds: readonly number[]) =>
      `${median(rounds).toFixed(1)} ms (${rounds.map(one => one.toFixed(1))})`
    return [
      {
        name: `p99 of a quiet Trigger's deliveries at ${PER_SECOND}/s beside a noisy one`,
        value: median(besides) / median(alones),
        unit: '× alone',
        goal: 1.5,
        detail: `${words(besides)}, alone ${words(alones)}`,
      },
    ]
  } finally {
    quietServer.close()
    quietServer.closeAllConnections()
    noisyServer.close()
    noisyServer.closeAllConnections()
  }
}

let ids = 0

/** Of the way from here to the quiet subscriber, ms. @throws when an event does not arrive within 30 s. */
async function p99(door: string, arrived: Map<string, number>): Promise<number> {
  const sent = new Map<string, number>()
  const startedMs = performance.now()
  const posts: Promise<void>[] = []
  while (performance.now() - startedMs < SECONDS * 1_000) {
    for (; sent.size < ((performance.now() - startedMs) * PER_SECOND) / 1_000; ) {
      const id = `q${ids++}`
      sent.set(id, performance.now())
      posts.push(post(door, id))
    }
    await sleep(1)
  }
  await Promise.all(posts)
  for (const untilMs = performance.now() + 30_000; [...sent.keys()].some(id => !arrived.has(id)); await sleep(20))
    if (performance.now() > untilMs) throw new Error('a quiet event did not arrive within 30 s')
  const took = [...sent].map(([id, atMs]) => (arrived.get(id) ?? atMs) - atMs).sort((a, b) => a - b)
  arrived.clear()
  return took[Math.floor(took.length * 0.99)] ?? 0
}

async function post(door: string, id: string): Promise<void> {
  const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/bench', 'ce-type': QUIET }
  const response = await fetch(door, { method: 'POST', headers, body: 'quiet' })
  await response.arrayBuffer()
  if (response.status !== 202) throw new Error(`the door answered ${response.status}`)
}

async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}
