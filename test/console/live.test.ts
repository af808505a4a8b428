import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Live, type Told, type Wire } from '../../console/live.ts'
import { keyOf } from '../../console/state.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'
import { event, trigger, world } from './scenery.ts'

/** A wire whose other end is in the test's hand. */
class Line implements Wire {
  readonly streams: { told: Told; closed: boolean }[] = []
  probes = 0
  answers = true
  hangs = false
  earlier: () => Promise<string> = async () => '[]'

  open(told: Told): () => void {
    const stream = { told, closed: false }
    this.streams.push(stream)
    return () => {
      stream.closed = true
    }
  }

  lastEvents(): Promise<string> {
    return this.earlier()
  }

  async alive(): Promise<boolean> {
    this.probes++
    if (this.hangs) await new Promise(() => {})
    return this.answers
  }

  get now(): Told {
    const stream = this.streams.at(-1)
    assert.ok(stream)
    return stream.told
  }
}

function start() {
  const clock = new ManualClock()
  const line = new Line()
  let drawn = 0
  const live = new Live(line, clock, () => drawn++)
  return { clock, line, live, drawn: () => drawn }
}

const state = (backlog: number) => JSON.stringify(world({ triggers: [trigger({ backlog })] }))

test('before the first word it is connecting, then live', () => {
  const { line, live } = start()
  assert.equal(live.picture.connection.kind, 'connecting')
  line.now.opened()
  line.now.state(state(3))
  assert.equal(live.picture.connection.kind, 'live')
  assert.equal(live.picture.state?.triggers[0]?.backlog, 3)
})

test('a Weir that stops is told with the time it was last seen, what it said stays, and the page comes back to it', async () => {
  const { clock, line, live } = start()
  line.now.opened()
  line.now.state(state(3))
  await clock.advance(7000)
  line.now.failed()
  assert.deepEqual(live.picture.connection, { kind: 'lost', seenMs: 0 })
  assert.equal(live.picture.state?.triggers[0]?.backlog, 3)

  await clock.advance(500)
  assert.equal(line.streams.length, 2)
  line.now.opened()
  line.now.state(state(4))
  assert.equal(live.picture.connection.kind, 'live')
  assert.equal(live.picture.state?.triggers[0]?.backlog, 4)
})

test('it asks again ever more rarely, but at least every few seconds, and never has two streams open', async () => {
  const { clock, line } = start()
  for (let attempt = 1; attempt <= 12; attempt++) {
    assert.equal(line.streams.length, attempt)
    assert.equal(line.streams.filter(({ closed }) => !closed).length, 1)
    line.now.failed()
    await clock.advance(5000)
  }
})

test('a connection that is never answered is given up', async () => {
  const { clock, line } = start()
  await clock.advance(5500)
  assert.equal(line.streams[0]?.closed, true)
  assert.equal(line.streams.length, 2)
})

test('a silent Weir is asked whether it lives, and silence alone is no alarm', async () => {
  const { clock, line, live } = start()
  line.now.opened()
  line.now.state(state(0))
  await clock.advance(60_000)
  assert.ok(line.probes >= 5)
  assert.equal(line.streams.length, 1)
  assert.deepEqual(live.picture.connection, { kind: 'live', updatedMs: 0 })
})

test('a Weir that hangs, and one that is gone without a word, are noticed', async () => {
  for (const how of ['hangs', 'gone'] as const) {
    const { clock, line, live } = start()
    line.now.opened()
    line.now.state(state(0))
    if (how === 'hangs') line.hangs = true
    else line.answers = false
    await clock.advance(14_000)
    assert.equal(live.picture.connection.kind, 'lost', how)
    assert.equal(line.streams[0]?.closed, true)
  }
})

test('what was asked for late does not overwrite what the stream has told since', async () => {
  const { line, live } = start()
  const asked = Promise.withResolvers<string>()
  line.earlier = () => asked.promise
  line.now.opened()
  line.now.events(JSON.stringify([event(2, { bytes: 200 })]))
  asked.resolve(JSON.stringify([event(2, { bytes: 1 }), event(1)]))
  await settle()
  assert.deepEqual(
    live.picture.events.map(({ seq, bytes }) => [seq, bytes]),
    [
      [2, 200],
      [1, 42],
    ],
  )
})

test('after a restart the events of the process before are gone, and a late answer to it is not shown', async () => {
  const { clock, line, live } = start()
  const asked = Promise.withResolvers<string>()
  line.earlier = () => asked.promise
  line.now.opened()
  line.now.events(JSON.stringify([event(900)]))
  line.now.failed()
  await clock.advance(1000)
  line.earlier = async () => JSON.stringify([event(1)])
  line.now.opened()
  asked.resolve(JSON.stringify([event(901)]))
  await settle()
  assert.deepEqual(
    live.picture.events.map(({ seq }) => seq),
    [1],
  )
})

test('words that it cannot read do not stop it; it says so until the next connection', async () => {
  const { clock, line, live } = start()
  line.now.opened()
  line.now.state(state(1))
  for (const odd of ['{', 'null', '[]', '{"brokers":[],"triggers":[],"sources":[]}']) line.now.state(odd)
  line.now.events('{}')
  assert.match(live.picture.trouble ?? '', /not a list/)
  assert.equal(live.picture.connection.kind, 'live')
  assert.equal(live.picture.state?.triggers[0]?.backlog, 1)
  line.now.failed()
  await clock.advance(1000)
  line.now.opened()
  assert.equal(live.picture.trouble, undefined)
})

test('events that cannot be asked for are trouble, not a lost connection', async () => {
  const { line, live } = start()
  line.earlier = async () => {
    throw new Error('Weir answered 500.')
  }
  line.now.opened()
  await settle()
  assert.equal(live.picture.trouble, 'Weir answered 500.')
  assert.equal(live.picture.connection.kind, 'live')
})

test('the backlog of the last minute has a sample a second, and a gap while Weir was away', async () => {
  const { clock, line, live } = start()
  line.now.opened()
  line.now.state(state(5))
  await clock.advance(2000)
  line.now.failed()
  await clock.advance(500)
  await clock.advance(1000)
  line.now.opened()
  line.now.state(state(6))
  await clock.advance(1000)
  assert.deepEqual(live.picture.backlogs.get(keyOf(trigger())), [5, 5, null, 6])
})

test('closed it does nothing any more', async () => {
  const { clock, line, live, drawn } = start()
  line.now.opened()
  live[Symbol.dispose]()
  live[Symbol.dispose]()
  const before = drawn()
  await clock.advance(120_000)
  assert.equal(drawn(), before)
  assert.equal(line.streams.length, 1)
  assert.equal(line.streams[0]?.closed, true)
  assert.equal(clock.pending, 0)
})
