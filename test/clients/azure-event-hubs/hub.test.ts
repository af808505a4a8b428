import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type HubEvent, openEventHub } from '../../../clients/azure-event-hubs/hub.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { type EventHubsServer, openEventHubs } from '../../servers/event-hubs.ts'

let server: EventHubsServer
before(async () => {
  server = await openEventHubs()
})
after(() => server[Symbol.asyncDispose]())

const earliest = { kind: 'earliest' } as const

/** Reads a partition with `take` until `stop` is called. */
function reading(hub: string, take: (events: readonly HubEvent[]) => Promise<void>) {
  const client = openEventHub({ connectionString: server.connectionString, hub }, '$Default', systemClock)
  const stop = new AbortController()
  const ended = client.read({ partition: '0', from: earliest, epoch: 1, take }, stop.signal)
  const end = async () => {
    stop.abort()
    await ended
    await client[Symbol.asyncDispose]()
  }
  return { ended, stop: end, [Symbol.asyncDispose]: end }
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  const untilMs = performance.now() + 30_000
  while (!holds()) {
    assert.ok(performance.now() < untilMs, `not within 30 s: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

for (const broken of [false, true]) {
  test(`however often it asked before${broken ? ', and after a break' : ''}, no more than a batch comes ahead`, async () => {
    const hub = `credit-${broken}`
    server.make(hub, 1)
    const seen: number[] = []
    let hold: Promise<void> | undefined
    const released = Promise.withResolvers<void>()
    await using _ = reading(hub, async events => {
      seen.push(...events.map(one => one.sequence))
      await hold
    })
    if (broken) {
      server.put(hub, 0, 'before')
      await eventually('it reads', () => seen.length === 1)
      server.drop()
    }
    for (let i = 0; i < 20; i++) {
      const count = seen.length
      server.put(hub, 0, `${i}`)
      await eventually('it comes', () => seen.length > count)
      assert.ok(server.credit(hub, 0) <= 100, `${server.credit(hub, 0)}`)
    }
    hold = released.promise
    for (let i = 0; i < 3_000; i++) server.put(hub, 0, 'x')
    await eventually('it has fetched what it may', () => server.credit(hub, 0) === 0)
    assert.ok(seen.length < 200)
    released.resolve()
    const last = server.kept(hub, 0).length - 1
    await eventually('all come', () => seen.at(-1) === last)
    assert.equal(new Set(seen).size, last + 1)
  })
}

test('a body that no sender should write is text or JSON, and a missing one nothing', async () => {
  server.make('bodies', 1)
  const bodies: unknown[] = ['text', { n: 1 }, 7]
  for (const body of bodies) server.put('bodies', 0, '', { body } as object)
  const seen: string[] = []
  await using _ = reading('bodies', async events => {
    seen.push(...events.map(one => Buffer.from(one.body).toString()))
  })
  await eventually('they come', () => seen.length === bodies.length)
})

test('what the taker throws ends the reading with it', async () => {
  server.make('thrown', 1)
  server.put('thrown', 0, 'a')
  const client = openEventHub({ connectionString: server.connectionString, hub: 'thrown' }, '$Default', systemClock)
  const take = async () => {
    throw new Error('a mistake')
  }
  const read = client.read({ partition: '0', from: earliest, epoch: 1, take }, new AbortController().signal)
  await assert.rejects(read, /a mistake/)
  await client[Symbol.asyncDispose]()
})

test('a client that is closed under its readers ends them', async () => {
  server.make('closed', 1)
  server.put('closed', 0, 'a')
  const client = openEventHub({ connectionString: server.connectionString, hub: 'closed' }, '$Default', systemClock)
  const came = Promise.withResolvers<void>()
  const take = async () => came.resolve()
  const read = client.read({ partition: '0', from: earliest, epoch: 1, take }, new AbortController().signal)
  await came.promise
  await client[Symbol.asyncDispose]()
  assert.equal((await read).kind, 'trouble')
})
