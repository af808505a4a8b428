import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Gate, hasLimits } from '../../broker/gate.ts'
import type { Limits } from '../../contract/routes.ts'
import { ManualClock } from '../support/manual-clock.ts'

const NONE: Limits = { total: undefined, perSecond: undefined, adaptive: false, circuit: undefined }
const circuit = { failures: 1, waitMs: 1000 }

function gateOf(limits: Partial<Limits>) {
  const clock = new ManualClock()
  const opened: number[] = []
  const gate = new Gate({ ...NONE, ...limits }, clock, () => opened.push(clock.monotonicMs()))
  return { clock, gate, opened }
}

test('only a Trigger that asks for a limit gets a gate', () => {
  assert.equal(hasLimits(NONE), false)
  for (const one of [{ total: 1 }, { perSecond: 0.1 }, { adaptive: true }, { circuit }]) {
    assert.equal(hasLimits({ ...NONE, ...one }), true)
  }
})

test('a gate that time will open asks for one timer, however often it is looked at, and leaves none when it stops', async () => {
  const { clock, gate, opened } = gateOf({ perSecond: 0.5, circuit })
  gate.began()
  for (let i = 0; i < 10; i++) assert.equal(gate.room(1), 0)
  assert.equal(clock.pending, 1)
  gate.ended(1, 1, { kind: 'fails' })
  for (let i = 0; i < 10; i++) assert.equal(gate.room(0), 0)
  assert.equal(clock.pending, 1)
  await clock.advance(2000)
  assert.deepEqual(opened, [1000])
  assert.equal(gate.room(0), 1)
  gate.ended(gate.began(), 1, { kind: 'fails' })
  assert.equal(gate.room(0), 0)
  assert.equal(clock.pending, 1)
  gate.stop()
  assert.equal(clock.pending, 0)
})

test('a fraction of a request per second is one in a while', async () => {
  const { clock, gate, opened } = gateOf({ perSecond: 0.25 })
  assert.equal(gate.room(0), 1)
  gate.began()
  assert.equal(gate.room(0), 0)
  await clock.advance(3999)
  assert.deepEqual(opened, [])
  await clock.advance(1)
  assert.deepEqual(opened, [4000])
  assert.equal(gate.room(0), 1)
})

test('a change of the circuit is news once', async () => {
  const { clock, gate } = gateOf({ circuit })
  const began = [gate.began(), gate.began()]
  assert.equal(gate.ended(began[0] ?? 0, 2, { kind: 'fails' }), 'opened')
  assert.equal(gate.ended(began[1] ?? 0, 1, { kind: 'fails' }), undefined)
  assert.deepEqual(gate.closed, { kind: 'circuit', forMs: 1000 })
  await clock.advance(1000)
  const probe = gate.began()
  assert.deepEqual(gate.closed, { kind: 'circuit', forMs: 0 })
  assert.equal(gate.ended(probe, 1, { kind: 'works' }), 'closed')
  assert.equal(gate.closed, undefined)
})

test('Retry-After closes the gate of whoever asked for it to be heeded, and of nobody else', () => {
  const lesson = { kind: 'too-much', retryAfterMs: 5000 } as const
  const heeding = gateOf({ adaptive: true })
  heeding.gate.ended(heeding.gate.began(), 1, lesson)
  assert.deepEqual(heeding.gate.closed, { kind: 'asked-to-wait', forMs: 5000 })
  heeding.gate.update({ ...NONE, total: 5 })
  assert.equal(heeding.gate.closed, undefined)
  const deaf = gateOf({ total: 5 })
  deaf.gate.ended(deaf.gate.began(), 1, lesson)
  assert.equal(deaf.gate.closed, undefined)
  assert.equal(deaf.gate.room(2), 3)
})
