import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { QueueClient, QueueSASPermissions } from '@azure/storage-queue'
import type { AdapterState } from '../../../adapters/adapter.ts'
import { type AdapterJob, runAdapter } from '../../../adapters/registry.ts'
import { openStorageQueue, type StorageQueue } from '../../../clients/azure-storage-queue/queue.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { adapterConformance, type Upstream } from '../../conformance/adapter.ts'
import { type Azurite, openAzurite } from '../../servers/azurite.ts'
import { openSink } from '../sink.ts'
import { sourceOf } from './source.ts'

let azurite: Azurite
let queues = 0
before(async () => {
  azurite = await openAzurite()
})
after(() => azurite[Symbol.asyncDispose]())

const signal = new AbortController().signal
const LEASE_MS = 2_000

class Queue implements Upstream {
  /** Azurite keeps what it has in memory. */
  readonly crash = undefined
  readonly queue: StorageQueue
  readonly #sdk: QueueClient

  constructor(name: string) {
    const { connectionString } = azurite
    this.queue = openStorageQueue({ connectionString, queueName: name }, systemClock)
    this.#sdk = new QueueClient(connectionString, name)
  }

  job(sinkUrl: string, deadLetterUrl?: string, changes: Parameters<typeof sourceOf>[0] = {}): AdapterJob {
    const pollInterval = { minMs: 20, maxMs: 200 }
    const spec = { queueName: this.queue.name, visibilityTimeoutMs: LEASE_MS, pollInterval, ...changes }
    return {
      source: sourceOf(spec),
      credentials: { connectionString: azurite.connectionString },
      sink: { url: sinkUrl, takesBatches: false },
      deadLetterSink: deadLetterUrl === undefined ? undefined : { url: deadLetterUrl },
    }
  }

  /** Base64, as the portal and Azure Functions put it. */
  async put(texts: readonly string[]): Promise<string[]> {
    const ids: string[] = []
    for (const text of texts) {
      const sent = await this.#sdk.sendMessage(Buffer.from(text).toString('base64'))
      ids.push(sent.messageId)
    }
    return ids
  }

  owed(): Promise<number> {
    return this.queue.approximateCount(signal)
  }

  async aside(): Promise<string[]> {
    const received = await this.queue.sibling(`${this.queue.name}-poison`).receive(32, 1_000, signal)
    return received.kind === 'messages' ? received.messages.map(one => textOf(one.text)) : []
  }

  async steal(): Promise<string | undefined> {
    const received = await this.queue.receive(1, 30_000, signal)
    const [message] = received.kind === 'messages' ? received.messages : []
    if (message !== undefined) await this.queue.delete(message, signal)
    return message?.id
  }

  async remove(): Promise<void> {
    await this.#sdk.delete()
  }

  async make(): Promise<void> {
    assert.deepEqual(await this.queue.create(signal), { kind: 'created' })
  }
}

function textOf(text: string): string {
  return Buffer.from(text, 'base64').toString()
}

async function openQueue(): Promise<Queue> {
  const queue = new Queue(`queue-${++queues}`)
  await queue.make()
  return queue
}

adapterConformance({ name: 'Azure Storage queue', leaseMs: LEASE_MS, parallelism: 16, ordered: false, open: openQueue })

test('texts of every kind arrive as they were put, and what is not base64 where it has to be goes to poison', async () => {
  const upstream = await openQueue()
  await using sink = await openSink()
  const texts = ['', 'größer 🎈', '{"n":12345678901234567890}', 'one\r\ntwo', '<a>&amp;</a>', 'aGVsbG8', 'hello']
  for (const text of texts) await upstream.queue.put(text, signal)
  const deps = { clock: systemClock, random: Math.random, log: silentLog, report: () => {}, drainMs: 1_000 }
  const stop = new AbortController()
  const asText = runAdapter(upstream.job(sink.url, undefined, { encoding: 'text' }), deps, stop.signal)
  await sink.until(() => sink.stored.size === texts.length)
  stop.abort()
  await asText
  assert.deepEqual(sink.seen.map(one => one.body.toString()).sort(), [...texts].sort())
  assert.equal(await upstream.owed(), 0)

  await upstream.queue.put('aGVsbG8', signal)
  await upstream.queue.put('aGVsbG8=', signal)
  const again = new AbortController()
  const asBase64 = runAdapter(upstream.job(sink.url, undefined, { encoding: 'base64' }), deps, again.signal)
  while ((await upstream.owed()) > 0) await sink.until(() => sink.stored.size > texts.length)
  again.abort()
  await asBase64
  assert.equal(sink.seen.at(-1)?.body.toString(), 'hello')
  const poison = await upstream.queue.sibling(`${upstream.queue.name}-poison`).receive(32, 1_000, signal)
  assert.deepEqual(poison.kind === 'messages' && poison.messages.map(one => one.text), ['aGVsbG8'])
})

test('a CloudEvent that Event Grid wrote arrives in structured mode with its own id', async () => {
  const upstream = await openQueue()
  await using sink = await openSink()
  const event = '{"specversion":"1.0","id":"e-1","source":"/s","type":"Blob.Created","data":{"n":1.0}}'
  await upstream.put([event])
  const stop = new AbortController()
  const deps = { clock: systemClock, random: Math.random, log: silentLog, report: () => {}, drainMs: 1_000 }
  const ended = runAdapter(upstream.job(sink.url, undefined, { extensions: { team: 'shop' } }), deps, stop.signal)
  await sink.until(() => sink.stored.has('e-1'))
  stop.abort()
  await ended
  assert.match(String(sink.seen[0]?.headers['content-type']), /^application\/cloudevents\+json/)
  assert.deepEqual(JSON.parse(String(sink.seen[0]?.body)), { ...JSON.parse(event), azdequeuecount: 1, team: 'shop' })
})

const gridEvent = (id: string) =>
  `{"id":"${id}","topic":"/t","subject":"s","eventType":"Made","eventTime":"2026-01-01T00:00:00Z","data":{}}`

test('a list becomes many events, and its message goes only when all of them are taken', async () => {
  const upstream = await openQueue()
  await using sink = await openSink()
  sink.answer = (response, seen, attempt) => response.writeHead(seen.id === 'g-2' && attempt < 3 ? 503 : 202).end()
  await upstream.put([`[${gridEvent('g-1')},${gridEvent('g-2')},${gridEvent('g-3')}]`])
  const stop = new AbortController()
  const deps = { clock: systemClock, random: Math.random, log: silentLog, report: () => {}, drainMs: 1_000 }
  const ended = runAdapter(upstream.job(sink.url), deps, stop.signal)
  await sink.until(() => sink.seen.length >= 3)
  assert.equal(await upstream.owed(), 1)
  await sink.until(() => sink.stored.size === 3)
  while ((await upstream.owed()) > 0) await new Promise(resolve => setTimeout(resolve, 20))
  stop.abort()
  await ended
  assert.deepEqual(
    [...sink.stored],
    [
      ['g-1', 1],
      ['g-2', 1],
      ['g-3', 1],
    ],
  )
})

test('of a list with an event that is refused the others are taken, and its message is put aside whole', async () => {
  const upstream = await openQueue()
  await using sink = await openSink()
  sink.answer = (response, seen) => response.writeHead(seen.id === 'g-2' ? 400 : 202).end()
  const list = `[${gridEvent('g-1')},${gridEvent('g-2')},${gridEvent('g-3')}]`
  await upstream.put([list])
  const stop = new AbortController()
  const deps = { clock: systemClock, random: Math.random, log: silentLog, report: () => {}, drainMs: 1_000 }
  const ended = runAdapter(upstream.job(sink.url), deps, stop.signal)
  await sink.until(() => sink.stored.has('g-3'))
  while ((await upstream.owed()) > 0) await new Promise(resolve => setTimeout(resolve, 20))
  stop.abort()
  await ended
  assert.deepEqual([...sink.stored.keys()], ['g-1', 'g-3'])
  assert.deepEqual(await upstream.aside(), [list])
})

test('a token of the shared access signature opens the queue, and one that is wrong is denied in words without it', async () => {
  const upstream = await openQueue()
  await using sink = await openSink()
  const permissions = QueueSASPermissions.parse('rp')
  const expiresOn = new Date(Date.now() + 600_000)
  const address = await new QueueClient(azurite.connectionString, upstream.queue.name).generateSasUrl({
    permissions,
    expiresOn,
  })
  const queueUrl = `${azurite.url}/${upstream.queue.name}`
  const job = (sasToken: string): AdapterJob => ({
    ...upstream.job(sink.url, undefined, { queueUrl, auth: { sasToken: { secretKeyRef: { name: 's', key: 'k' } } } }),
    credentials: { sasToken },
  })
  const run = (sasToken: string) => {
    const stop = new AbortController()
    const states: AdapterState[] = []
    const report = (state: AdapterState) => void states.push(state)
    const deps = { clock: systemClock, random: Math.random, log: silentLog, report, drainMs: 1_000 }
    const ended = runAdapter(job(sasToken), deps, stop.signal)
    const end = async () => {
      stop.abort()
      await ended
    }
    return { states, stop: end }
  }
  const right = run(address.split('?')[1] ?? '')
  const [id = ''] = await upstream.put(['hello'])
  await sink.until(() => sink.stored.has(id))
  await right.stop()
  const wrong = run('sv=2024-11-04&sp=rp&sig=d3Jvbmc%3D')
  while (wrong.states.at(-1)?.error === undefined) await new Promise(resolve => setTimeout(resolve, 20))
  await wrong.stop()
  assert.match(wrong.states.find(one => one.error)?.error ?? '', /refuses the credentials/)
  assert.doesNotMatch(JSON.stringify(wrong.states), /d3Jvbmc/)
})
