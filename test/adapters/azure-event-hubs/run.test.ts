import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { EventHubConsumerClient, earliestEventPosition } from '@azure/event-hubs'
import { ContainerClient } from '@azure/storage-blob'
import type { AdapterState } from '../../../adapters/adapter.ts'
import { type AdapterJob, runAdapter } from '../../../adapters/registry.ts'
import { openBacklog } from '../../../clients/backlog.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { type Azurite, openAzurite } from '../../servers/azurite.ts'
import { type EventHubsServer, openEventHubs } from '../../servers/event-hubs.ts'
import { accept, openSink, status } from '../sink.ts'
import { sourceOf } from './source.ts'

let server: EventHubsServer
let blobs: Azurite
let hub: string
let hubs = 0
before(async () => {
  server = await openEventHubs()
  blobs = await openAzurite(0, 'blob')
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await blobs[Symbol.asyncDispose]()
})
beforeEach(() => {
  hub = `hub-${++hubs}`
  server.make(hub, 2)
})

const signal = new AbortController().signal
type Changes = Parameters<typeof sourceOf>[0]

function jobOf(sinkUrl: string, changes: Changes = {}): AdapterJob {
  const checkpoint = { ...sourceOf().spec.checkpoint, containerName: hub, intervalMs: 100 }
  return {
    source: sourceOf({ eventHubName: hub, ownershipTimeoutMs: 3_000, checkpoint, ...changes }),
    credentials: { connectionString: server.connectionString, checkpointConnectionString: blobs.connectionString },
    sink: { url: sinkUrl, takesBatches: false },
  }
}

function start(job: AdapterJob) {
  const stop = new AbortController()
  const states: AdapterState[] = []
  const report = (state: AdapterState) => void states.push(state)
  const deps = { clock: systemClock, random: Math.random, log: silentLog, report, drainMs: 5_000 }
  const ended = runAdapter(job, deps, stop.signal)
  const end = async () => {
    stop.abort(new Error('the test is over'))
    await ended
  }
  return { states, last: () => states.at(-1), stop: end, [Symbol.asyncDispose]: end }
}

async function eventually(what: string, holds: () => Promise<boolean> | boolean, withinMs = 30_000): Promise<void> {
  const untilMs = performance.now() + withinMs
  while (!(await holds())) {
    assert.ok(performance.now() < untilMs, `not within ${withinMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

function put(partition: number, ...texts: readonly string[]): string[] {
  return texts.map(text => `partition:${partition}/sequencenumber:${server.put(hub, partition, text)}`)
}

function container() {
  return new ContainerClient(blobs.connectionString, hub)
}

async function lag(): Promise<number> {
  const access = {
    hub: { connectionString: server.connectionString, hub },
    container: { connectionString: blobs.connectionString, container: hub },
  }
  const reader = await openBacklog({ system: 'azure-event-hubs', group: '$Default', ...access }, systemClock)
  try {
    return await reader.count(signal)
  } finally {
    await reader.close()
  }
}

test('latest is pinned before it is ready: what came before is not delivered, what comes while nobody reads is', async () => {
  await using sink = await openSink()
  put(0, 'before')
  const initialPosition = { kind: 'latest' } as const
  const first = start(jobOf(sink.url, { initialPosition }))
  await eventually('it is ready', () => first.last()?.ready === true)
  assert.equal(await lag(), 0)
  await first.stop()
  const ids = [...put(0, 'while away'), ...put(1, 'there too')]
  assert.equal(await lag(), 2)
  await using _second = start(jobOf(sink.url, { initialPosition }))
  await sink.until(() => sink.stored.size === 2)
  assert.deepEqual(sink.seen.map(one => one.id).toSorted(), ids.toSorted())
  await eventually('nothing is owed', async () => (await lag()) === 0)
})

test('a time is where reading begins', async () => {
  await using sink = await openSink()
  put(0, 'old')
  await new Promise(resolve => setTimeout(resolve, 50))
  const timeMs = Date.now()
  const [id] = put(0, 'new')
  await using _ = start(jobOf(sink.url, { initialPosition: { kind: 'time', timeMs } }))
  await eventually('nothing is owed', async () => (await lag()) === 0)
  assert.deepEqual([...sink.stored.keys()], [id])
})

test('in each partition the order is kept, whatever the sink answers', async () => {
  await using sink = await openSink()
  sink.answer = (response, seen, attempt) =>
    (Math.random() < 0.3 ? status(503, { 'retry-after': '0' }) : accept)(response, seen, attempt)
  const ids = [0, 1].map(partition => put(partition, ...Array.from({ length: 60 }, (_, i) => `${i}`)))
  await using _ = start(jobOf(sink.url))
  await sink.until(() => sink.stored.size === 120)
  const taken = [...sink.stored.keys()]
  for (const [partition, expected] of ids.entries())
    assert.deepEqual(
      taken.filter(id => id.startsWith(`partition:${partition}/`)),
      expected,
    )
})

test('checkpoints are laid out as the official clients have them, and ownership is given up at the end', async () => {
  await using sink = await openSink()
  put(1, 'a', 'b')
  const adapter = start(jobOf(sink.url, { consumerGroup: 'Billing' }))
  await sink.until(() => sink.stored.size === 2)
  await adapter.stop()
  const found: Record<string, Record<string, string> | undefined> = {}
  for await (const { name, metadata } of container().listBlobsFlat({ includeMetadata: true })) found[name] = metadata
  const prefix = `127.0.0.1:${server.port}/${hub}/billing`
  const places = [0, 1].map(partition => found[`${prefix}/checkpoint/${partition}`])
  assert.deepEqual(
    places.map(one => [one?.sequencenumber, one?.offset]),
    [
      ['-1', '-1'],
      ['1', '100'],
    ],
  )
  assert.equal(found[`${prefix}/ownership/1`]?.ownerid, '')
  assert.deepEqual(
    Object.keys(found).filter(name => name.includes('member')),
    [],
  )
})

test('each owner opens its reader with a higher epoch than the one before, so that an older one cannot come back', async () => {
  await using sink = await openSink()
  const name = `127.0.0.1:${server.port}/${hub}/$default/ownership/0`
  const epoch = async () => (await container().getBlobClient(name).getProperties()).metadata?.epoch
  for (const expected of ['1', '2', '3']) {
    const [id = ''] = put(0, expected)
    const adapter = start(jobOf(sink.url))
    await sink.until(() => sink.stored.has(id))
    await adapter.stop()
    assert.equal(await epoch(), expected)
  }
})

test('no checkpoint passes an event that is held: it comes again after a stop, and those behind it too', async () => {
  await using sink = await openSink()
  const ids = put(0, ...Array.from({ length: 20 }, (_, i) => `${i}`))
  sink.answer = (response, seen) => response.writeHead(seen.id === ids[5] ? 400 : 202).end()
  const first = start(jobOf(sink.url))
  await eventually('it is told', () => first.last()?.error?.includes('partition 0, sequence number 5 is held') === true)
  await first.stop()
  assert.deepEqual([...sink.stored.keys()], ids.slice(0, 5))
  assert.equal(await lag(), 15)
  sink.answer = accept
  await using _ = start(jobOf(sink.url))
  await eventually('nothing is owed', async () => (await lag()) === 0)
  assert.deepEqual([...sink.stored.keys()], ids)
  assert.ok([...sink.stored.values()].every(count => count === 1))
})

test('a checkpoint that another client wrote, with an offset alone, is where it goes on', async () => {
  await using sink = await openSink()
  const [, , third] = put(0, 'a', 'b', 'c')
  await container().create()
  const blob = container().getBlockBlobClient(`127.0.0.1:${server.port}/${hub}/$default/checkpoint/0`)
  await blob.upload('', 0, { metadata: { offset: '100' } })
  await using _ = start(jobOf(sink.url))
  await eventually('nothing is owed', async () => (await lag()) === 0)
  assert.deepEqual([...sink.stored.keys()], [third])
})

test('an owner that another reader has cut off stops, and reads again when it may, without a gap', async () => {
  await using sink = await openSink()
  const ids = put(0, 'a')
  await using adapter = start(jobOf(sink.url))
  await sink.until(() => sink.stored.size === 1)
  const rival = new EventHubConsumerClient('$Default', server.connectionString, hub)
  const handlers = { processEvents: async () => {}, processError: async () => {} }
  const reading = rival.subscribe('0', handlers, { ownerLevel: 50, startPosition: earliestEventPosition })
  await eventually('it is cut off', () => server.stolen() > 0)
  const before = server.stolen()
  ids.push(...put(0, 'b'))
  await new Promise(resolve => setTimeout(resolve, 500))
  assert.deepEqual(sink.seen.length, 1)
  assert.equal(server.stolen(), before)
  await reading.close()
  await rival.close()
  await sink.until(() => sink.stored.size === 2)
  assert.deepEqual([...sink.stored.keys()], ids)
  await eventually('nothing is wrong', () => adapter.last()?.error === undefined)
})

test('what another member claims is left at once, and what it has in hand is not kept as done', async () => {
  await using sink = await openSink(() => {})
  put(0, 'a')
  const adapter = start(jobOf(sink.url))
  await sink.until(() => sink.seen.length === 1)
  const blob = container().getBlockBlobClient(`127.0.0.1:${server.port}/${hub}/$default/ownership/0`)
  await blob.upload('', 0, { metadata: { ownerid: 'another', epoch: '7' } })
  await eventually('it is left', () => adapter.last()?.held === 0)
  await adapter.stop()
  assert.equal(await lag(), 1)
  assert.equal((await blob.getProperties()).metadata?.ownerid, 'another')
})

test('a container that is taken away is made again, and no event is lost', async () => {
  await using sink = await openSink()
  const ids = put(0, 'a', 'b')
  await using _ = start(jobOf(sink.url))
  await sink.until(() => sink.stored.size === 2)
  await container().delete()
  ids.push(...put(0, 'c'), ...put(1, 'd'))
  await sink.until(() => ids.every(id => sink.stored.has(id)))
  await eventually('nothing is owed', async () => (await lag()) === 0)
})

test('whoever deletes a checkpoint has its partition read from the beginning, while it runs', async () => {
  await using sink = await openSink()
  const [first = '', second = ''] = put(0, 'a', 'b')
  await using adapter = start(jobOf(sink.url))
  await eventually('nothing is owed', async () => (await lag()) === 0)
  await container().deleteBlob(`127.0.0.1:${server.port}/${hub}/$default/checkpoint/0`)
  const [third = ''] = put(0, 'c')
  await sink.until(() => [first, second].every(id => sink.stored.get(id) === 2) && sink.stored.has(third))
  await eventually('nothing is owed', async () => (await lag()) === 0)
  assert.equal(adapter.last()?.error, undefined)
})

test('a hub that is made anew is read from its beginning, the checkpoint of the old one notwithstanding', async () => {
  await using sink = await openSink()
  put(0, 'a', 'b', 'c')
  const first = start(jobOf(sink.url))
  await sink.until(() => sink.stored.size === 3)
  await first.stop()
  server.remove(hub)
  server.make(hub, 2)
  put(0, 'new')
  await using _ = start(jobOf(sink.url))
  await sink.until(() => sink.seen.some(one => one.body.toString() === 'new'))
  await eventually('nothing is owed', async () => (await lag()) === 0)
})

test('what retention takes is gone, and the rest is delivered', async () => {
  await using sink = await openSink()
  put(0, 'a')
  const first = start(jobOf(sink.url))
  await sink.until(() => sink.stored.size === 1)
  await first.stop()
  const ids = put(0, 'b', 'c', 'd')
  server.cut(hub, 0, 2)
  assert.equal(await lag(), 2)
  await using _ = start(jobOf(sink.url))
  await eventually('nothing is owed', async () => (await lag()) === 0)
  assert.deepEqual([...sink.stored.keys()].slice(1), ids.slice(1))
})

test('credentials that are refused are told, without them, and used again once they are taken', async () => {
  await using sink = await openSink()
  server.faults.refuseTokens = true
  await using adapter = start(jobOf(sink.url))
  await eventually('it is told', () => adapter.last()?.error?.includes('refuses the credentials') === true)
  assert.equal(adapter.last()?.ready, false)
  assert.doesNotMatch(JSON.stringify(adapter.states), /SAS_KEY_VALUE|AccountKey=/)
  server.faults.refuseTokens = false
  const [id = ''] = put(0, 'a')
  await sink.until(() => sink.stored.has(id))
  await eventually('the trouble is over', () => adapter.last()?.error === undefined && adapter.last()?.ready === true)
})

test('where the blobs are gone nothing is lost, and it goes on when they are back', async () => {
  await using sink = await openSink()
  const own = await openAzurite(0, 'blob')
  const port = Number(new URL(own.url).port)
  const job = jobOf(sink.url)
  const credentials = { ...job.credentials, checkpointConnectionString: own.connectionString }
  await using adapter = start({ ...job, credentials })
  const ids = put(0, 'a')
  await sink.until(() => sink.stored.size === 1)
  await own.kill()
  ids.push(...put(0, 'b'), ...put(1, 'c'))
  await eventually('it is told', () => adapter.last()?.error?.includes('cannot be reached') === true)
  await using _again = await openAzurite(port, 'blob')
  await sink.until(() => ids.every(id => sink.stored.has(id)))
  await eventually('the trouble is over', () => adapter.last()?.error === undefined)
})

test('a hub that hangs is noticed, told, and read on when it answers again', async () => {
  await using sink = await openSink()
  const ids = put(0, 'a')
  await using adapter = start(jobOf(sink.url))
  await sink.until(() => sink.stored.size === 1)
  server.faults.hang = true
  await eventually('it is told', () => adapter.last()?.error?.includes('has not answered') === true, 90_000)
  server.faults.hang = false
  ids.push(...put(0, 'b'), ...put(1, 'c'))
  await sink.until(() => ids.every(id => sink.stored.has(id)))
  await eventually('the trouble is over', () => adapter.last()?.error === undefined)
})
