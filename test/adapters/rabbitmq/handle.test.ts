import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Emitted } from '../../../adapters/adapter.ts'
import type { DeadLetters } from '../../../adapters/rabbitmq/dead-letters.ts'
import { giveBack, handle } from '../../../adapters/rabbitmq/handle.ts'
import { HOLD_MAX_MS, Terms } from '../../../adapters/rabbitmq/terms.ts'
import type { RabbitDelivery } from '../../../clients/rabbitmq/consumer.ts'
import type { Published } from '../../../clients/rabbitmq/publisher.ts'
import type { CloudEvent } from '../../../event/event.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const REFUSED: Emitted = { kind: 'refused', status: 400, reason: 'answered 400' }
const event: CloudEvent = { mode: 'binary', attributes: { id: 'e-1' }, body: Buffer.alloc(0) }
const never = new AbortController().signal

function deliveryOf(deliveries = 0, copied: Published = { kind: 'confirmed' }) {
  const said: string[] = []
  const say = (word: string) => () => {
    said.push(word)
    return true
  }
  const nothing = { contentType: undefined, messageId: undefined, timestampMs: undefined, headers: {} }
  const delivery: RabbitDelivery = {
    message: { ...nothing, body: Buffer.alloc(0) },
    redelivered: deliveries > 0,
    deliveries,
    inStream: false,
    ack: say('ack'),
    reject: say('reject'),
    requeue: say('requeue'),
    async copyToEnd(id) {
      said.push(`copy ${id}`)
      return copied
    },
  }
  return { delivery, said }
}

function depsOf(emit: (attempt: number, signal: AbortSignal) => Promise<Emitted> | Emitted, deadLetters: DeadLetters) {
  const clock = new ManualClock()
  const told: string[] = []
  let attempts = 0
  return {
    clock,
    told,
    attempts: () => attempts,
    deps: {
      clock,
      random: () => 1,
      emit: async (_: CloudEvent, signal: AbortSignal) => emit(++attempts, signal),
      deadLetters: { look: async () => deadLetters },
      onTaken: () => void told.push('taken'),
      onHeld: (refused: { reason: string }, why: string) => void told.push(`${refused.reason}, ${why}`),
    },
  }
}

const hung = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
const lost: DeadLetters = { kind: 'lost', reason: 'no dead-letter exchange' }

for (const kind of ['stored', 'dead-lettered'] as const) {
  test(`a message whose event is ${kind} is acknowledged`, async () => {
    const { delivery, said } = deliveryOf()
    const { deps, told } = depsOf(() => ({ kind }), lost)
    assert.deepEqual(await handle(delivery, event, deps, never), { kind: 'acknowledged' })
    assert.deepEqual([said, told], [['ack'], ['taken']])
  })
}

test('a refused message is rejected only where its queue keeps what is rejected', async () => {
  const { delivery, said } = deliveryOf()
  const { deps } = depsOf(() => REFUSED, { kind: 'kept' })
  assert.deepEqual(await handle(delivery, event, deps, never), { kind: 'rejected', reason: 'answered 400' })
  assert.deepEqual(said, ['reject'])
})

test('elsewhere it is held, offered again ever more rarely, and acknowledged once it is taken', async () => {
  const { delivery, said } = deliveryOf()
  const { deps, told, clock, attempts } = depsOf(attempt => (attempt < 5 ? REFUSED : { kind: 'stored' }), lost)
  const handled = handle(delivery, event, deps, never)
  const seen: number[] = []
  for (let seconds = 0; seconds < 16; seconds++) {
    await clock.advance(0)
    seen.push(attempts())
    await clock.advance(1_000)
  }
  assert.deepEqual(await handled, { kind: 'acknowledged' })
  assert.deepEqual([...new Set(seen)], [1, 2, 3, 4, 5])
  assert.deepEqual([seen.indexOf(2), seen.indexOf(3), seen.indexOf(4), seen.indexOf(5)], [1, 3, 7, 15])
  assert.equal(told[0], 'answered 400, no dead-letter exchange')
  assert.deepEqual(said, ['ack'])
  assert.equal(clock.pending, 0)
})

test('no message is held for as long as the server allows: it goes back to its queue before', async () => {
  const { delivery, said } = deliveryOf()
  const { deps, clock } = depsOf((_, signal) => hung(signal), lost)
  const handled = handle(delivery, event, deps, new Terms(clock, [never]).signal())
  await clock.advance(HOLD_MAX_MS - 1)
  assert.deepEqual(said, [])
  await clock.advance(1)
  assert.deepEqual(await handled, { kind: 'given-back', how: 'requeued' })
  assert.deepEqual(said, ['requeue'])
  assert.ok(HOLD_MAX_MS < 30 * 60_000 - 5 * 60_000)
})

test('one that came back before goes to the end as a copy with the id of its event, so that no delivery limit loses it', async () => {
  const { delivery, said } = deliveryOf(2)
  assert.equal(await giveBack(delivery, event, new ManualClock()), 'copied')
  assert.deepEqual(said, ['copy e-1', 'ack'])
})

test('where the copy is not confirmed the message is not acknowledged', async () => {
  for (const copied of [
    { kind: 'unroutable', reason: 'x' },
    { kind: 'trouble', what: 'busy', reason: 'x' },
  ] as const) {
    const { delivery, said } = deliveryOf(2, copied)
    assert.equal(await giveBack(delivery, event, new ManualClock()), 'requeued')
    assert.deepEqual(said, ['copy e-1', 'requeue'])
  }
})

test('told to stop, it neither acknowledges nor gives back', async () => {
  const { delivery, said } = deliveryOf()
  const { deps, clock } = depsOf((_, signal) => hung(signal), lost)
  const stop = new AbortController()
  const handled = handle(delivery, event, deps, stop.signal)
  await clock.advance(1)
  stop.abort(new Error('stop'))
  await assert.rejects(handled, /stop/)
  assert.deepEqual(said, [])
  assert.equal(clock.pending, 0)
})
