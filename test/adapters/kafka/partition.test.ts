import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Emitted } from '../../../adapters/adapter.ts'
import { Partition } from '../../../adapters/kafka/partition.ts'
import type { KafkaRecord } from '../../../clients/kafka/group.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const stored: Emitted = { kind: 'stored' }
const refused: Emitted = { kind: 'refused', status: 400, reason: 'status 400' }

function record(offset: number, value = `v${offset}`, next = offset + 1): KafkaRecord {
  const place = { offset: BigInt(offset), next: BigInt(next), timestampMs: 1_000 }
  return { ...place, key: undefined, value: Buffer.from(value), headers: new Map() }
}

const records = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => record(from + i))

/** A partition whose sink answers when the test says so. */
function open(ordering: 'ordered' | 'unordered') {
  const clock = new ManualClock()
  const asked: { id: string; answer: (emitted: Emitted) => void }[] = []
  const refusals: bigint[] = []
  const errors: unknown[] = []
  let taken = 0
  const ask = (id: string, signal: AbortSignal) =>
    new Promise<Emitted>((resolve, reject) => {
      asked.push({ id, answer: resolve })
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  const partition = new Partition(
    { topic: 't', partition: 0 },
    {
      emit: (event, signal) => ask(event.attributes.id ?? '', signal),
      async emitInOrder(events, signal) {
        for (const [i, event] of events.entries()) {
          const emitted = await ask(event.attributes.id ?? '', signal)
          if (emitted.kind === 'refused') return { taken: i, refused: emitted }
        }
        return { taken: events.length, refused: undefined }
      },
      clock,
      random: () => 1,
      ordering,
      toEvent: ({ offset }) => ({ mode: 'binary', attributes: { id: String(offset) }, body: new Uint8Array() }),
      onTaken: () => void taken++,
      onChange: () => {},
      onRefused: (_, offset) => void refusals.push(offset),
      onBroken: error => void errors.push(error),
    },
  )
  const settle = async () => {
    for (let i = 0; i < 20; i++) await Promise.resolve()
  }
  /** Answers one event that waits for it, or the first. */
  const answer = async (emitted: Emitted, id?: string) => {
    const i = id === undefined ? 0 : asked.findIndex(one => one.id === id)
    const [one] = asked.splice(i, 1)
    assert.ok(one, `${id} was not asked for`)
    // Neither short nor long: what goes together stays one.
    await clock.advance(100)
    one.answer(emitted)
    await settle()
    return one.id
  }
  return { partition, clock, asked, refusals, errors, answer, settle, taken: () => taken }
}

const idsOf = (asked: readonly { id: string }[]) => asked.map(one => one.id)

test('in order, one event is sent at a time, and what is owed follows', async () => {
  const { partition, asked, answer } = open('ordered')
  partition.take(records(5, 8))
  assert.deepEqual(idsOf(asked), ['5'])
  assert.equal(partition.owed, undefined)
  await answer(stored)
  assert.equal(partition.owed, 6n)
  assert.deepEqual(idsOf(asked), ['6'])
  assert.equal(partition.held, 2)
})

test('without an order up to 50 are sent at once, and owed is what all before are taken of', async () => {
  const { partition, asked, answer } = open('unordered')
  partition.take(records(0, 60))
  assert.equal(asked.length, 50)
  await answer(stored, '1')
  assert.equal(partition.owed, undefined)
  await answer(stored, '2')
  await answer(stored, '0')
  assert.equal(partition.owed, 3n)
  assert.equal(asked.length, 50)
})

test('gaps between offsets are nothing that is owed, and markers behind the last record are committed with it', async () => {
  const { partition, answer } = open('unordered')
  partition.take([record(3), record(9), record(20, 'x', 23)])
  await answer(stored, '9')
  assert.equal(partition.owed, undefined)
  await answer(stored, '3')
  assert.equal(partition.owed, 10n)
  await answer(stored, '20')
  assert.equal(partition.owed, 23n)
})

test('what comes again after a rebalance is not sent twice', async () => {
  const { partition, asked, answer } = open('ordered')
  partition.take(records(0, 4))
  await answer(stored)
  await answer(stored)
  partition.confirm(1n)
  assert.equal(partition.take(records(1, 6)), true)
  assert.equal(partition.held, 4)
  assert.deepEqual(idsOf(asked), ['2'])
  while (asked.length > 0) await answer(stored)
  assert.equal(partition.owed, 6n)
})

test('a topic that was made anew, or a position that was set back, is seen, and nothing of it is taken for known', () => {
  const anew = open('ordered').partition
  anew.take(records(0, 4))
  assert.equal(anew.take([record(0, 'another')]), false)
  const back = open('ordered').partition
  back.take(records(5, 8))
  back.confirm(6n)
  assert.equal(back.take([record(0)]), false)
  back.confirm(8n)
  assert.equal(back.take([record(7)]), false)
  assert.equal(back.take([record(8)]), true)
})

test('in order, what is refused is offered again after a rest, and those behind it wait', async () => {
  const { partition, asked, answer, clock, refusals, settle } = open('ordered')
  partition.take(records(0, 3))
  await answer(stored)
  await answer(refused)
  assert.deepEqual(refusals, [1n])
  assert.match(partition.refused ?? '', /record t\/0\/1 is refused \(status 400\)/)
  assert.equal(asked.length, 0)
  partition.take(records(3, 6))
  assert.equal(asked.length, 0)
  for (let rests = 0; rests < 12; rests++) {
    await partition.idle(new AbortController().signal)
    await clock.advance(60_000)
    await settle()
    assert.deepEqual(idsOf(asked), ['1'], `rest ${rests}`)
    await answer(refused)
  }
  await clock.advance(60_000)
  await settle()
  await answer(stored)
  assert.equal(partition.refused, undefined)
  assert.equal(partition.owed, 2n)
  assert.deepEqual(idsOf(asked), ['2'])
})

test('without an order the others go on beside one that is refused', async () => {
  const { partition, asked, answer, clock, settle } = open('unordered')
  partition.take(records(0, 3))
  await answer(refused, '0')
  await answer(stored, '1')
  await answer(stored, '2')
  assert.ok(partition.refused)
  assert.equal(partition.owed, undefined)
  partition.take(records(3, 5))
  assert.deepEqual(idsOf(asked), ['3', '4'])
  await clock.advance(60_000)
  await settle()
  await answer(stored, '0')
  assert.equal(partition.refused, undefined)
  assert.equal(partition.owed, 3n)
})

test('a pause finishes what is being sent and starts nothing', async () => {
  const { partition, asked, answer } = open('ordered')
  partition.take(records(0, 3))
  partition.pause()
  const idle = partition.idle(new AbortController().signal)
  await answer(stored)
  await idle
  assert.equal(asked.length, 0)
  partition.carryOn()
  assert.deepEqual(idsOf(asked), ['1'])
})

test('giving up cuts off what is being sent, and that is no failure', async () => {
  const { partition, errors, settle, taken } = open('ordered')
  partition.take(records(0, 3))
  partition.giveUp()
  await settle()
  await partition.idle(new AbortController().signal)
  assert.deepEqual([errors.length, taken(), partition.owed], [0, 0, undefined])
})

test('reading is to stop where too much is held, and to go on when half of it is gone', async () => {
  const { partition, asked, answer } = open('unordered')
  let count = 0
  while (!partition.isFull) partition.take([record(count++)])
  assert.ok(count > 100 && count < 100_000)
  const half = Math.ceil(count / 2)
  for (let i = 0; i < half - 1; i++) await answer(stored)
  assert.equal(partition.isHalfEmpty, false)
  await answer(stored)
  assert.equal(partition.isHalfEmpty, true)
  assert.ok(asked.length > 0)
  const large = open('ordered').partition
  large.take([record(0, 'x'.repeat(2 ** 21))])
  assert.equal(large.isFull, true)
})

test('whatever is answered, in whatever order, nothing is owed beyond what is taken, and all is taken in the end', async () => {
  const moves = fc.array(
    fc.record({ pick: fc.nat(), refuses: fc.boolean(), confirm: fc.boolean(), again: fc.boolean() }),
    {
      maxLength: 60,
    },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<'ordered' | 'unordered'>('ordered', 'unordered'),
      fc.integer({ min: 1, max: 30 }),
      moves,
      async (ordering, count, list) => {
        const { partition, asked, answer, clock, settle } = open(ordering)
        const done = new Set<number>()
        let committed = 0
        partition.take(records(0, count))
        const check = () => {
          const owed = Number(partition.owed ?? committed)
          for (let offset = 0; offset < owed; offset++) assert.ok(done.has(offset), `${offset} is owed and not taken`)
        }
        for (const { pick, refuses, confirm, again } of list) {
          const one = asked[pick % Math.max(1, asked.length)]
          if (one !== undefined) {
            if (!refuses) assert.ok(!done.has(Number(one.id)), `${one.id} was sent twice`)
            const id = Number(await answer(refuses ? refused : stored, one.id))
            if (!refuses) done.add(id)
          }
          check()
          const { owed } = partition
          if (confirm && owed !== undefined) {
            partition.confirm(owed)
            committed = Number(owed)
          }
          if (again && committed < count) assert.equal(partition.take(records(committed, count)), true)
        }
        for (let rounds = 0; done.size < count && rounds < 200; rounds++) {
          await clock.advance(60_000)
          await settle()
          while (asked.length > 0) done.add(Number(await answer(stored)))
          check()
        }
        assert.equal(done.size, count)
        assert.equal(Number(partition.owed ?? committed), count)
        assert.equal(partition.held, 0)
      },
    ),
  )
})
