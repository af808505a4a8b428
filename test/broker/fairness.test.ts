import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { workloadId } from '../../contract/ids.ts'
import type { TriggerRoute } from '../../contract/routes.ts'
import { FAST, openRunning, type Running, routes, trigger } from '../support/running-broker.ts'
import { eventually, openSubscriber, type Subscriber } from '../support/subscriber.ts'

const EVENTS = 150
const GAP_MS = 4
const ROUNDS = 3
/** What a machine that does other things adds to any measurement. */
const NOISE_MS = 10

interface Quiet extends Subscriber {
  /** When each event came first, by its id. */
  readonly arrivedMs: Map<string, number>
}

async function openQuiet(): Promise<Quiet> {
  const arrivedMs = new Map<string, number>()
  const subscriber = await openSubscriber(({ headers }, response) => {
    arrivedMs.set(String(headers['ce-id']), performance.now())
    response.writeHead(202).end()
  })
  return Object.assign(subscriber, { arrivedMs })
}

/** From the moment an event is sent until its subscriber has it, for each of a round's events at a usual pace. */
async function latencies(running: Running, quiet: Quiet, round: string): Promise<number[]> {
  const sentMs = new Map<string, number>()
  const posts: Promise<number>[] = []
  for (let i = 0; i < EVENTS; i++) {
    const id = `${round}-${i}`
    sentMs.set(id, performance.now())
    posts.push(running.post({ id }))
    await pause(GAP_MS)
  }
  for (const status of await Promise.all(posts)) assert.equal(status, 202)
  await eventually(() => [...sentMs.keys()].every(id => quiet.arrivedMs.has(id)))
  return Array.from(sentMs, ([id, atMs]) => (quiet.arrivedMs.get(id) ?? 0) - atMs)
}

function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

test('a Trigger that is slow, one that fails and one with much waiting leave the others’ p99 nearly as it is', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'weir-fair-'))
  await using quiet = await openQuiet()
  await using slow = await openSubscriber(() => {}) // never answers
  await using failing = await openSubscriber((_received, response) => response.writeHead(503).end())
  const nowhere = {
    kind: 'workload',
    address: '',
    workload: workloadId('Deployment', 'shop', 'none'),
    path: '/',
  } as const
  const one = trigger('quiet', quiet.origin, { concurrency: 100, filters: [{ exact: { type: 't' } }] })
  const noisy: TriggerRoute[] = [
    trigger('slow', slow.origin, { concurrency: 20, delivery: { ...FAST, timeoutMs: 600_000 } }),
    trigger('failing', failing.origin, {
      filters: [{ exact: { type: 't' } }],
      concurrency: 20,
      delivery: { ...FAST, retries: 3, backoffMs: 50 },
    }),
    trigger('waiting', nowhere),
  ]
  {
    await using running = await openRunning({ dataDir })
    const alone: number[] = []
    const beside: number[] = []
    await running.broker.apply(routes([one]))
    await latencies(running, quiet, 'warm')
    for (let round = 0; round < ROUNDS; round++) {
      await running.broker.apply(routes([one]))
      alone.push(p99(await latencies(running, quiet, `alone-${round}`)))
      await running.broker.apply(routes([one, ...noisy]))
      await fill(running, 10_000)
      beside.push(p99(await latencies(running, quiet, `beside-${round}`)))
      const tallies = running.broker.backlog.read()
      assert.ok((tallies.find(({ trigger }) => trigger === noisy[2]?.id)?.waiting ?? 0) >= 10_000)
      assert.ok((tallies.find(({ trigger }) => trigger === noisy[0]?.id)?.inFlight ?? 0) === 20)
    }
    const bound = 3 * Math.max(middle(alone), NOISE_MS)
    assert.ok(middle(beside) <= bound, `p99 alone ${alone} ms, beside the noisy ones ${beside} ms`)
  }
  await rm(dataDir, { recursive: true, force: true })
})

/** Gives the noisy Triggers `count` events more; the quiet one has no part in them. */
async function fill(running: Running, count: number): Promise<void> {
  const at = `${running.broker.origin}/shop/main`
  const headers = { 'content-type': 'application/cloudevents-batch+json' }
  for (let i = 0; i < count; i += 1000) {
    const events = Array.from({ length: 1000 }, (_, j) => ({
      specversion: '1.0',
      id: `f${i + j}`,
      source: '/f',
      type: 'fill',
    }))
    const response = await fetch(at, { method: 'POST', headers, body: JSON.stringify(events) })
    assert.equal(response.status, 202)
  }
}
