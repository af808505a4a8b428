import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConsumeMessage } from 'amqplib'
import fc from 'fast-check'
import { Acks } from '../../../clients/rabbitmq/acks.ts'

const message = (deliveryTag: number) => ({ fields: { deliveryTag } }) as ConsumeMessage

/** A channel as the server sees it: which messages are held. */
function openChannel() {
  const held = new Set<number>()
  let frames = 0
  return {
    held,
    frames: () => frames,
    ack({ fields: { deliveryTag } }: ConsumeMessage, allUpTo = false) {
      frames++
      assert.ok(held.has(deliveryTag), 'an unknown tag ends the channel')
      for (const tag of [...held]) if (tag === deliveryTag || (allUpTo && tag < deliveryTag)) held.delete(tag)
    },
  }
}

test('in whatever order messages are acknowledged, the server lets go of exactly those', async () => {
  const step = fc.record({
    what: fc.constantFrom('deliver', 'deliver', 'ack', 'ack', 'reject', 'flush'),
    which: fc.nat(),
  })
  await fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), steps => {
      const channel = openChannel()
      const acks = new Acks(channel)
      const open = new Set<number>()
      const said = new Set<number>()
      let tag = 0
      for (const { what, which } of steps) {
        const one = [...open][which % Math.max(1, open.size)]
        if (what === 'deliver') {
          tag++
          open.add(tag)
          channel.held.add(tag)
          acks.hold(message(tag))
        } else if (what === 'ack' && one !== undefined) {
          open.delete(one)
          said.add(one)
          acks.ack(message(one))
        } else if (what === 'reject' && one !== undefined) {
          open.delete(one)
          acks.forget(message(one))
          channel.held.delete(one)
        } else if (what === 'flush') {
          acks.flush()
          assert.deepEqual([...channel.held], [...open])
        }
      }
      acks.flush()
      assert.deepEqual([...channel.held], [...open])
    }),
  )
})

test('messages that are acknowledged in one turn, the oldest among them, cost one frame', async () => {
  const channel = openChannel()
  const acks = new Acks(channel)
  for (let tag = 1; tag <= 100; tag++) {
    channel.held.add(tag)
    acks.hold(message(tag))
  }
  for (const tag of [3, 1, 2, 4]) acks.ack(message(tag))
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(channel.frames(), 1)
  assert.equal(channel.held.size, 96)
})

test('a channel that has ended takes nothing, and nobody is hurt', () => {
  const acks = new Acks({
    ack() {
      throw new Error('Channel closed')
    },
  })
  acks.hold(message(1))
  acks.ack(message(1))
  acks.flush()
})
