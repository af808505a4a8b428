import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdapterState } from '../../adapters/adapter.ts'
import { workloadId } from '../../contract/ids.ts'
import { AdapterLoops } from '../../standalone/adapter-loops.ts'
import type { AdapterWorkload } from '../../trigger-controller/world.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'

const ID = workloadId('AzureStorageQueueSource', 'default', 'q')

function workload(sinkUrl: string, line = 1): AdapterWorkload {
  const where = { file: 'x.yaml', line, column: 1 }
  const metadata = { name: 'q', namespace: 'default', labels: {}, annotations: {} }
  const source = { kind: 'AzureStorageQueueSource', metadata, where, spec: {} } as unknown as AdapterWorkload['source']
  const sink = { url: sinkUrl, token: undefined, takesBatches: true }
  return { id: ID, source, sink, deadLetterSink: undefined, credentials: {} }
}

/** Every run of an adapter, ended by the test. */
function stage() {
  const clock = new ManualClock()
  const runs: {
    url: string
    report: (state: AdapterState) => void
    signal: AbortSignal
    end: PromiseWithResolvers<void>
  }[] = []
  const said: string[] = []
  const loops = new AdapterLoops({
    clock,
    run: ({ sink }, report, signal) => {
      const end = Promise.withResolvers<void>()
      runs.push({ url: sink.url, report, signal, end })
      return end.promise
    },
    say: text => said.push(text),
    changed: () => {},
  })
  return { clock, runs, said, loops }
}

test('as many loops run as replicas are asked for; those that go are drained', async () => {
  const { runs, loops } = stage()
  loops.apply(ID, workload('http://a'))
  assert.deepEqual(loops.replicas(ID), { desired: 1, ready: 0 })
  loops.scale(ID, 3)
  assert.equal(runs.length, 3)
  for (const run of runs) run.report({ ready: true, error: undefined, held: 2, emitted: 10 })
  assert.deepEqual(loops.state(ID), { ready: true, error: undefined, held: 6, emitted: 30 })
  loops.scale(ID, 1)
  assert.deepEqual(runs.map(run => run.signal.aborted).sort(), [false, true, true])
  assert.deepEqual(loops.replicas(ID), { desired: 1, ready: 1 })
  const drained = runs.find(run => run.signal.aborted)
  drained?.report({ ready: true, error: undefined, held: 0, emitted: 12 })
  assert.equal(loops.state(ID)?.emitted, 32, 'what a drain still brings in counts')
})

test('the same source again changes nothing; another one replaces the loops', () => {
  const { runs, loops } = stage()
  loops.apply(ID, workload('http://a'))
  runs[0]?.report({ ready: true, error: undefined, held: 0, emitted: 5 })
  loops.apply(ID, workload('http://a', 7))
  assert.equal(runs.length, 1)
  loops.apply(ID, workload('http://b'))
  assert.deepEqual(
    runs.map(run => [run.url, run.signal.aborted]),
    [
      ['http://a', true],
      ['http://b', false],
    ],
  )
  assert.equal(loops.state(ID)?.emitted, 5)
  loops.apply(ID, undefined)
  assert.equal(loops.state(ID), undefined)
})

test('an adapter that fails is started again with back-off, and its words are kept meanwhile', async () => {
  const { clock, runs, said, loops } = stage()
  loops.apply(ID, workload('http://a'))
  runs[0]?.report({ ready: true, error: undefined, held: 1, emitted: 4 })
  runs[0]?.end.reject(new Error('the queue has no name'))
  await settle()
  assert.match(said[0] ?? '', /AzureStorageQueueSource q stopped: the queue has no name; starting it again in 1 s/)
  assert.deepEqual(loops.state(ID), { ready: false, error: 'the queue has no name', held: 0, emitted: 4 })
  await clock.advance(999)
  assert.equal(runs.length, 1)
  await clock.advance(1)
  assert.equal(runs.length, 2)
  runs[1]?.report({ ready: true, error: undefined, held: 0, emitted: 3 })
  assert.equal(loops.state(ID)?.emitted, 7)
})

test('closing drains all loops, those that went before included, and starts none', async () => {
  const { runs, loops } = stage()
  loops.apply(ID, workload('http://a'))
  loops.scale(ID, 2)
  loops.scale(ID, 1)
  let closed = false
  const closing = loops.close().then(() => {
    closed = true
  })
  runs[0]?.end.resolve()
  await settle()
  assert.ok(!closed)
  runs[1]?.end.resolve()
  await closing
  loops.scale(ID, 5)
  loops.apply(ID, workload('http://c'))
  assert.equal(runs.length, 2)
})
