import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SourceView, TriggerView } from '../../contract/api.ts'
import { follow, NO_PROGRESS, summary } from '../../examples/hello-queue/progress.ts'
import { plainLine, tableLines } from '../../examples/hello-queue/table.ts'

function triggerOf(name: string, changes: Partial<TriggerView> = {}): TriggerView {
  return {
    ...{ namespace: 'default', name, broker: 'default', subscriber: '', ready: true, reason: '' },
    ...{ backlog: 0, inFlight: 0, retrying: 0, parked: 0, delivered: 0, deadLettered: 0, failed: 0, rate: 0 },
    ...{ replicas: { ready: 0, desired: 0, max: 8 }, oldestAgeMs: null, lastError: null, notice: null },
    ...{ blocked: 0, stopped: null, stoppedForMs: null },
    ...changes,
  }
}

function sourceOf(changes: Partial<SourceView> = {}): SourceView {
  return {
    ...{
      namespace: 'default',
      name: 'js-queue-items',
      kind: 'AzureStorageQueueSource',
      sink: '',
      address: null,
      ready: true,
    },
    ...{ reason: '', lag: 0, held: 0, emitted: 0, rate: 0, replicas: { ready: 0, desired: 0, max: 2 } },
    ...changes,
  }
}

const busy = {
  sources: [sourceOf({ lag: 812, held: 16, emitted: 188, rate: 61.4, replicas: { ready: 1, desired: 1, max: 2 } })],
  triggers: [
    triggerOf('audit', { delivered: 188, replicas: null }),
    triggerOf('worker', {
      backlog: 120,
      inFlight: 6,
      delivered: 62,
      rate: 29.6,
      replicas: { ready: 3, desired: 5, max: 8 },
    }),
  ],
}

test('the table has a row for the queue and for every Trigger, in columns', () => {
  assert.deepEqual(tableLines(busy, 12_345, 100), [
    '',
    '                        waiting  in flight  replicas  per second  done  parked',
    '  queue js-queue-items      812         16       1/1          61   188',
    '    → audit                   0          0         -           0   188       0',
    '    → worker                120          6       3/5          30    62       0  ███░░···',
    '',
    '  12 s',
  ])
})

test('no line of the table is wider than the terminal', () => {
  for (const line of tableLines(busy, 0, 40)) assert.ok(line.length <= 40)
})

test('on a pipe one line says it all, and a lag that is not known is no zero', () => {
  assert.equal(
    plainLine({ ...busy, sources: [sourceOf({ lag: null })] }, 1_500),
    '  1.5s | js-queue-items lag=? held=0 adapters=0/0 | audit backlog=0 inflight=0 replicas=- rate=0/s delivered=188 parked=0' +
      ' | worker backlog=120 inflight=6 replicas=3/5 rate=30/s delivered=62 parked=0',
  )
})

test('it is done when everything was delivered, nothing is owed and no replica is left', () => {
  const idle = { sources: [sourceOf()], triggers: [triggerOf('audit'), triggerOf('worker', { delivered: 10 })] }
  assert.equal(follow(NO_PROGRESS, idle, 10).done, true)
  assert.equal(follow(NO_PROGRESS, idle, 11).done, false)
  const leftovers = [
    { ...idle, sources: [sourceOf({ lag: 1 })] },
    { ...idle, sources: [sourceOf({ lag: null })] },
    { ...idle, sources: [sourceOf({ held: 1 })] },
    { ...idle, triggers: [triggerOf('worker', { delivered: 10, backlog: 1 })] },
    { ...idle, triggers: [triggerOf('worker', { delivered: 10, inFlight: 1 })] },
    { ...idle, triggers: [triggerOf('worker', { delivered: 10, retrying: 1 })] },
    { ...idle, triggers: [triggerOf('worker', { delivered: 10, replicas: { ready: 1, desired: 0, max: 8 } })] },
  ]
  for (const state of leftovers) assert.equal(follow(NO_PROGRESS, state, 10).done, false)
})

test('the summary keeps the most replicas there were', () => {
  const before = follow(NO_PROGRESS, busy, 1_000)
  const after = follow(before, { sources: [], triggers: [triggerOf('worker', { delivered: 1_000 })] }, 1_000)
  assert.equal(
    summary(after, 1_000, 27_400),
    '1000 messages, 1000 delivered to worker, 0 to audit, 0 parked; worker replicas 0 → 3 → 0; 27 s',
  )
})
