import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StopSignal } from '../../runtime/outside.ts'
import { FORCED, type Program, run } from '../../runtime/run.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'

/** A program whose opening and closing the test turns by hand, and the process around it. */
function stage() {
  const clock = new ManualClock()
  const listeners = new Set<(signal: StopSignal) => void>()
  const opening = Promise.withResolvers<void>()
  const closing = Promise.withResolvers<void>()
  const steps: string[] = []
  let fail: (error: Error) => void = () => {}
  const opened = {
    async [Symbol.asyncDispose]() {
      steps.push('closing')
      await closing.promise
      steps.push('closed')
    },
  }
  const program: Program<AsyncDisposable> = {
    async open(fatal) {
      fail = fatal
      await opening.promise
      return opened
    },
    running: () => steps.push('running'),
    stopping: (_, why) => steps.push(why.kind === 'signal' ? why.signal : why.error.message),
    force: given => steps.push(given === undefined ? 'forced before open' : 'forced'),
    deadlineMs: 60_000,
  }
  const outside = {
    clock,
    onSignal: (listener: (signal: StopSignal) => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const signal = (name: StopSignal) => {
    for (const listener of listeners) listener(name)
  }
  return { clock, opening, closing, steps, listeners, signal, fail: (e: Error) => fail(e), code: run(program, outside) }
}

test('a signal closes what is open, and the exit code is 0', async () => {
  const on = stage()
  on.opening.resolve()
  await settle()
  on.signal('SIGINT')
  await settle()
  on.closing.resolve()
  assert.equal(await on.code, 0)
  assert.deepEqual(on.steps, ['running', 'SIGINT', 'closing', 'closed'])
  assert.equal(on.listeners.size, 0)
  assert.equal(on.clock.pending, 0)
})

test('a second signal forces', async () => {
  const on = stage()
  on.opening.resolve()
  await settle()
  on.signal('SIGTERM')
  await settle()
  on.signal('SIGINT')
  assert.equal(await on.code, FORCED)
  assert.deepEqual(on.steps, ['running', 'SIGTERM', 'closing', 'forced'])
})

test('a failure closes too, and the exit code is 1', async () => {
  const on = stage()
  on.opening.resolve()
  await settle()
  on.fail(new Error('disk gone'))
  on.closing.resolve()
  assert.equal(await on.code, 1)
  assert.deepEqual(on.steps, ['running', 'disk gone', 'closing', 'closed'])
})

test('closing that does not end is forced at the deadline', async () => {
  const on = stage()
  on.opening.resolve()
  await settle()
  on.signal('SIGTERM')
  await on.clock.advance(59_999)
  assert.deepEqual(on.steps, ['running', 'SIGTERM', 'closing'])
  await on.clock.advance(1)
  assert.equal(await on.code, 1)
  assert.equal(on.steps.at(-1), 'forced')
})

test('a signal during the start is obeyed, and two of them do not wait for it', async () => {
  const patient = stage()
  patient.signal('SIGTERM')
  patient.opening.resolve()
  patient.closing.resolve()
  assert.equal(await patient.code, 0)
  assert.deepEqual(patient.steps, ['SIGTERM', 'closing', 'closed'])

  const insisting = stage()
  insisting.signal('SIGINT')
  insisting.signal('SIGINT')
  assert.equal(await insisting.code, FORCED)
  assert.deepEqual(insisting.steps, ['forced before open'])
})
