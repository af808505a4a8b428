import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TriggerBacklog } from '../../../contract/backlog.ts'
import { triggerId, workloadId } from '../../../contract/ids.ts'
import { History } from '../../../trigger-controller/autoscaler/observe.ts'
import type { ScaleTarget } from '../../../trigger-controller/autoscaler/target.ts'
import { CLUSTER } from '../../../trigger-controller/profile.ts'
import { MemoryBacklog } from '../../support/memory-world.ts'

const orders = triggerId('shop', 'orders')
const target: ScaleTarget = {
  workload: workloadId('Deployment', 'shop', 'worker'),
  kind: 'Deployment',
  namespace: 'shop',
  name: 'worker',
  by: 'Trigger/orders',
  owner: 'Trigger/shop/orders',
  limits: { min: 0, max: 10, cooldownMs: 30_000, profile: CLUSTER.scaling },
  paused: false,
  demands: [
    {
      kind: 'trigger',
      name: 'orders',
      trigger: orders,
      delivers: true,
      wants: { target: undefined, activation: 0, concurrency: 10 },
    },
  ],
  downstream: [],
}

/** What is seen after two minutes in which ten events a second came. */
function seen(more: Partial<TriggerBacklog>) {
  const source = new MemoryBacklog()
  const history = new History(CLUSTER.scaling, 1, 0)
  const at = (second: number) => {
    source.set(orders, { accepted: second * 10, waiting: second * 10, nextDueInMs: 1000, ...more })
    const backlog = new Map(source.read().map(one => [one.trigger, one]))
    return history.see(target, 1, { backlog, queue: () => undefined }, second * 1000)
  }
  for (let second = 0; second < 120; second++) at(second)
  return at(120)
}

test('a Trigger that is paused needs nobody, whatever waits, comes or is due; what is in flight still counts', () => {
  const paused = seen({ stopped: { by: 'pause', forMs: undefined }, inFlight: 2 })
  const [work] = paused.work
  assert(work?.kind === 'trigger')
  const { serviceMs, ...flow } = work.flow
  assert.deepEqual(flow, { waiting: 0, inFlight: 2, nextDueInMs: undefined, stableRate: 0, panicRate: 0 })
  assert.equal(paused.idleMs, 0)
  assert.equal(seen({ stopped: { by: 'pause', forMs: undefined } }).idleMs, 120_000)
})

test('a Trigger whose circuit is open still counts: its replicas are what has to come back', () => {
  for (const stopped of [undefined, { by: 'circuit' as const, forMs: 5000 }]) {
    const { work, idleMs } = seen({ stopped })
    assert(work[0]?.kind === 'trigger')
    assert.equal(work[0].flow.waiting, 1200)
    assert.equal(work[0].flow.stableRate, 10)
    assert.equal(idleMs, 0)
  }
})
