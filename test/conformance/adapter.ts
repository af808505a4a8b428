import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { AdapterState } from '../../adapters/adapter.ts'
import { type AdapterJob, runAdapter } from '../../adapters/registry.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { accept, openSink, type Sink, status } from '../adapters/sink.ts'
import { SHIPPED, startBroker } from '../reliability/child-broker.ts'
import { routes, trigger } from '../support/running-broker.ts'
import { storePlace } from '../support/sqlite-store.ts'

/** One place that messages come from, empty and alone. Real: a server, not a stand-in. */
export interface Upstream {
  /** Puts messages there. @returns the ids that their events will have, in order. */
  put(texts: readonly string[]): Promise<string[]>
  /** An adapter of it, with every default. A lease of it is no longer than `leaseMs`. */
  job(sinkUrl: string, deadLetterUrl?: string): AdapterJob
  /** Messages there that no adapter has acknowledged, held ones included. */
  owed(): Promise<number>
  /** Texts of the messages that its own system put aside because nobody will ever take them; undefined where it has no such place. */
  readonly aside: (() => Promise<string[]>) | undefined
  /**
   * Takes one message as a consumer that is not ours would, one that an adapter holds not included.
   * @returns the id its event would have; undefined where there is none to take.
   */
  readonly steal: (() => Promise<string | undefined>) | undefined
  /** Takes the place away, and makes it again, empty. */
  remove(): Promise<void>
  make(): Promise<void>
  /** Kills the server as a crash would, and starts it again with what it had kept. Undefined where it keeps nothing. */
  readonly crash: { kill(): Promise<void>; start(): Promise<void> } | undefined
}

export interface AdapterUnderTest {
  readonly name: string
  /** How long a message stays hidden from others at the adapter that `job` describes; undefined: as long as it is connected. */
  readonly leaseMs: number | undefined
  /** Messages that are held at once by one adapter at most: what may come twice when it is killed. */
  readonly parallelism: number
  /** Messages that follow another in order are not delivered before it: where one cannot be, those behind it wait. */
  readonly ordered: boolean
  open(): Promise<Upstream>
}

/** An adapter in this process. */
function startAdapter(job: AdapterJob, drainMs = 5_000) {
  const stop = new AbortController()
  const states: AdapterState[] = []
  const report = (state: AdapterState) => void states.push(state)
  const deps = { clock: systemClock, random: Math.random, log: silentLog, report, drainMs }
  const ended = runAdapter(job, deps, stop.signal)
  return {
    states,
    last: () => states.at(-1),
    stop: () => {
      stop.abort(new Error('the test is over'))
      return ended
    },
    [Symbol.asyncDispose]: () => {
      stop.abort(new Error('the test is over'))
      return ended
    },
  }
}

const PROCESS = fileURLToPath(new URL('./adapter-process.ts', import.meta.url))

/** An adapter in a process of its own. */
function startProcess(job: AdapterJob): ChildProcess {
  return spawn(process.execPath, [PROCESS, JSON.stringify(job)], { stdio: ['pipe', 'ignore', 'inherit'] })
}

function exited(child: ChildProcess): Promise<unknown> {
  return child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise(resolve => child.once('exit', resolve))
}

/** A port that nobody listens on now. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** Asks until it is so. A server cannot be told to say when. */
async function eventually(what: string, holds: () => Promise<boolean> | boolean, withinMs = 30_000): Promise<void> {
  const untilMs = performance.now() + withinMs
  while (!(await holds())) {
    assert.ok(performance.now() < untilMs, `not within ${withinMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `message ${i + 1}`)

function missing(ids: readonly string[], sink: Sink): string[] {
  return ids.filter(id => !sink.stored.has(id))
}

/** The promises of every adapter of a queue, against the real thing (`adapters/adapter.ts`). */
export function adapterConformance({ name, leaseMs, ordered, open }: AdapterUnderTest): void {
  test(`${name}: every message becomes one event, and is acknowledged`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    const ids = await upstream.put(numbered(100))
    await using adapter = startAdapter(upstream.job(sink.url))
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
    assert.deepEqual(missing(ids, sink), [])
    assert.equal(sink.seen.length, 100)
    assert.deepEqual(sink.seen.map(one => one.body.toString()).sort(), numbered(100).sort())
    await eventually('all is told', () => adapter.last()?.held === 0 && adapter.last()?.emitted === 100)
  })

  test(`${name}: killed at random moments, it loses nothing`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    const ids = await upstream.put(numbered(300))
    // Some of each life's events stay unanswered: however fast it is, it is killed in the midst of its work.
    let answered = 0
    sink.answer = (response, seen, attempt) => {
      if (answered++ < 60) setTimeout(() => accept(response, seen, attempt), 100 * Math.random())
    }
    for (let life = 1; life <= 3; life++) {
      answered = 0
      const before = sink.seen.length
      const child = startProcess(upstream.job(sink.url))
      await sink.until(() => sink.seen.length > before)
      await new Promise(resolve => setTimeout(resolve, 250 * Math.random()))
      child.kill('SIGKILL')
      await exited(child)
    }
    assert.ok(missing(ids, sink).length > 0, 'it was killed too late to prove anything')
    sink.answer = accept
    const child = startProcess(upstream.job(sink.url))
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0, 60_000)
    child.kill('SIGTERM')
    await exited(child)
    assert.equal(child.exitCode, 0)
    assert.deepEqual(missing(ids, sink), [])
    if (upstream.aside !== undefined) assert.deepEqual(await upstream.aside(), [])
  })

  test(`${name}: a Broker that is killed at random moments costs no message, in batches too`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    await using place = await storePlace()
    const ids = await upstream.put(numbered(300))
    const port = await freePort()
    const wanted = routes([trigger('all', sink.url, { concurrency: 100 })])
    const start = () => startBroker(place.dir, { base: SHIPPED, routes: wanted, config: { port } })
    const job = upstream.job(`http://127.0.0.1:${port}/shop/main`)
    let broker = await start()
    try {
      await using _ = startAdapter({ ...job, sink: { ...job.sink, takesBatches: true } })
      for (let life = 1; life <= 2; life++) {
        const before = sink.seen.length
        await sink.until(() => sink.seen.length > before)
        await new Promise(resolve => setTimeout(resolve, 100 * Math.random()))
        await broker.kill()
        ids.push(...(await upstream.put(numbered(50))))
        broker = await start()
      }
      await eventually('nothing is owed', async () => (await upstream.owed()) === 0, 60_000)
      await eventually('nothing is missing', () => missing(ids, sink).length === 0, 60_000)
    } finally {
      await broker.kill()
    }
  })

  test(`${name}: a storm of 503 and broken connections delays events and loses none`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    const ids = await upstream.put(numbered(50))
    sink.answer = (response, _, attempt) => {
      if (attempt === 1) response.writeHead(503, { 'retry-after': '0' }).end()
      else if (attempt === 2) response.destroy()
      else response.writeHead(202).end()
    }
    await using adapter = startAdapter(upstream.job(sink.url))
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
    assert.deepEqual(missing(ids, sink), [])
    assert.deepEqual(
      [...sink.stored.values()].filter(times => times > 1),
      [],
    )
    assert.ok(adapter.states.some(state => /503/.test(state.error ?? '')))
    await eventually('the trouble is over', () => adapter.last()?.error === undefined)
  })

  test(`${name}: the one message that is refused is the one in the dead-letter sink`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    await using dead = await openSink()
    const ids = await upstream.put(numbered(20))
    sink.answer = (response, seen, attempt) => (seen.id === ids[7] ? status(400) : accept)(response, seen, attempt)
    await using adapter = startAdapter(upstream.job(sink.url, dead.url))
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
    assert.deepEqual([...dead.stored.keys()], [ids[7]])
    assert.equal(dead.seen[0]?.headers['ce-knativeerrorcode'], '400')
    assert.equal(dead.seen[0]?.body.toString(), 'message 8')
    assert.deepEqual(missing(ids, sink), [ids[7]])
    await eventually('all is told', () => adapter.last()?.emitted === 20)
  })

  test(`${name}: what is refused and has no dead-letter sink is put aside or held, and never lost`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    const ids = await upstream.put(numbered(20))
    sink.answer = (response, seen, attempt) => (seen.id === ids[7] ? status(400) : accept)(response, seen, attempt)
    await using adapter = startAdapter(upstream.job(sink.url))
    if (upstream.aside !== undefined) {
      await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
      assert.deepEqual(await upstream.aside(), ['message 8'])
      assert.deepEqual(missing(ids, sink), [ids[7]])
      assert.equal(sink.seen.filter(one => one.id === ids[7]).length, 1)
      return
    }
    await eventually('it is said', () => /400/.test(adapter.last()?.error ?? ''))
    if (!ordered) await eventually('the others go on', () => missing(ids, sink).length === 1)
    assert.ok((await upstream.owed()) > 0)
    sink.answer = accept
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0, 120_000)
    assert.deepEqual(missing(ids, sink), [])
  })

  test(`${name}: with a dead-letter sink, what the sink does not take in as many attempts as are allowed goes there`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    await using dead = await openSink()
    const ids = await upstream.put(numbered(10))
    sink.answer = (response, seen, attempt) => (seen.id === ids[3] ? status(503) : accept)(response, seen, attempt)
    const job = upstream.job(sink.url, dead.url)
    const delivery = { retry: 2, backoffPolicy: 'linear', backoffDelayMs: 10 } as const
    await using _ = startAdapter({
      ...job,
      source: { ...job.source, spec: { ...job.source.spec, delivery } } as AdapterJob['source'],
    })
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
    assert.deepEqual([...dead.stored.keys()], [ids[3]])
    assert.equal(sink.seen.filter(one => one.id === ids[3]).length, 3)
    assert.deepEqual(missing(ids, sink), [ids[3]])
  })

  test(`${name}: a sink slower than any lease gets every event once`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    const ids = await upstream.put(numbered(10))
    const slowMs = 2.5 * (leaseMs ?? 1000)
    sink.answer = (response, seen, attempt) => void setTimeout(() => accept(response, seen, attempt), slowMs)
    await using _one = startAdapter(upstream.job(sink.url))
    await using _two = startAdapter(upstream.job(sink.url))
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0, 120_000)
    assert.deepEqual(missing(ids, sink), [])
    assert.equal(sink.seen.length, 10)
  })

  test(`${name}: a drain under load leaves nothing that was delivered, and gives the rest back`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    const ids = await upstream.put(numbered(200))
    sink.answer = (response, seen, attempt) => void setTimeout(() => accept(response, seen, attempt), 50)
    const first = startAdapter(upstream.job(sink.url))
    await sink.until(() => sink.stored.size >= 30)
    await first.stop()
    assert.equal(first.last()?.held, 0)
    assert.ok(missing(ids, sink).length > 0)
    assert.equal(await upstream.owed(), 200 - sink.stored.size)
    await using _second = startAdapter(upstream.job(sink.url))
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
    assert.equal(sink.seen.length, 200)
  })

  test(`${name}: what a drain cannot finish is free for others at once`, async () => {
    const upstream = await open()
    await using sink = await openSink(() => {})
    const ids = await upstream.put(numbered(5))
    const hung = startAdapter(upstream.job(sink.url), 500)
    await sink.until(() => sink.seen.length >= (ordered ? 1 : 5))
    await hung.stop()
    assert.equal(await upstream.owed(), 5)
    if (upstream.steal !== undefined) {
      const taken = [await upstream.steal(), await upstream.steal(), await upstream.steal()]
      assert.ok(taken.every(id => id !== undefined && ids.includes(id)))
      assert.equal(await upstream.owed(), 2)
      return
    }
    await using other = await openSink()
    await using _ = startAdapter(upstream.job(other.url))
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
    assert.deepEqual(missing(ids, other), [])
  })

  test(`${name}: a place that is missing is said, and read once it is made`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    await upstream.remove()
    await using adapter = startAdapter(upstream.job(sink.url))
    await eventually('it is said', () => adapter.last()?.error !== undefined)
    assert.equal(adapter.last()?.ready, false)
    await upstream.make()
    const ids = await upstream.put(numbered(3))
    await sink.until(() => missing(ids, sink).length === 0)
    await eventually('all is told', () => adapter.last()?.ready === true && adapter.last()?.error === undefined)

    await upstream.remove()
    await eventually('it is said that it is gone', () => adapter.last()?.error !== undefined, 60_000)
    await upstream.make()
    // Places may begin at the same position again, so the texts tell.
    await upstream.put(['anew 1', 'anew 2'])
    const texts = () => sink.seen.map(one => one.body.toString())
    await eventually('it is read anew', () => texts().includes('anew 1') && texts().includes('anew 2'), 60_000)
  })

  test(`${name}: beside a consumer that is not ours, each message goes to one of the two`, async () => {
    const upstream = await open()
    if (upstream.steal === undefined) return // Each consumer of a log has its own position: there is nothing to compete for.
    await using sink = await openSink()
    const ids = await upstream.put(numbered(100))
    const stolen = new Set<string>()
    await using _ = startAdapter(upstream.job(sink.url))
    for (let i = 0; i < 20; i++) {
      const id = await upstream.steal?.()
      if (id !== undefined) stolen.add(id)
    }
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
    assert.deepEqual(
      ids.filter(id => sink.stored.has(id) === stolen.has(id)),
      [],
    )
  })

  test(`${name}: two adapters that come and go share the messages without loss`, async () => {
    const upstream = await open()
    await using sink = await openSink()
    sink.answer = (response, seen, attempt) => void setTimeout(() => accept(response, seen, attempt), 20)
    const ids = await upstream.put(numbered(200))
    await using _stays = startAdapter(upstream.job(sink.url))
    for (const share of [40, 80, 120]) {
      const guest = startAdapter(upstream.job(sink.url))
      await sink.until(() => sink.stored.size >= share)
      await guest.stop()
    }
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
    assert.deepEqual(missing(ids, sink), [])
    assert.equal(sink.seen.length, 200)
  })

  test(`${name}: an upstream that crashes and comes back loses nothing, and nobody has to start anything again`, async () => {
    const upstream = await open()
    if (upstream.crash === undefined) return // It keeps nothing that could be lost or found again.
    await using sink = await openSink()
    sink.answer = (response, seen, attempt) => void setTimeout(() => accept(response, seen, attempt), 20)
    const ids = await upstream.put(numbered(150))
    await using adapter = startAdapter(upstream.job(sink.url))
    await sink.until(() => sink.stored.size >= 30)
    await upstream.crash.kill()
    await eventually('it is said', () => adapter.last()?.error !== undefined)
    await upstream.crash.start()
    ids.push(...(await upstream.put(['after the crash'])))
    await eventually('nothing is missing', () => missing(ids, sink).length === 0, 120_000)
    await eventually('nothing is owed', async () => (await upstream.owed()) === 0, 60_000)
    await eventually('the trouble is over', () => adapter.last()?.error === undefined)
  })

  for (const [what, text] of [
    ['an empty message', ''],
    ['a message of 40,000 characters', 'x'.repeat(40_000)],
    ['letters of every kind', 'é ü 漢字 🎉 \t "quoted" \\'],
  ] as const) {
    test(`${name}: ${what} arrives as it was put`, async () => {
      const upstream = await open()
      await using sink = await openSink()
      const [id] = await upstream.put([text])
      await using _ = startAdapter(upstream.job(sink.url))
      await eventually('nothing is owed', async () => (await upstream.owed()) === 0)
      assert.deepEqual(
        sink.seen.map(one => [one.id, one.body.toString()]),
        [[id, text]],
      )
    })
  }
}
