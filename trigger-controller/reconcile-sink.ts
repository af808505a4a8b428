import type { WorkloadId } from '../contract/ids.ts'
import { resourceKey } from '../crds/resource.ts'
import { planSink, sinkStatus } from './plan-sink.ts'
import type { World } from './world.ts'

/**
 * Brings one sink in line with the YAML. Idempotent.
 * @returns whether its address came, changed or went: then whoever sends there looks again.
 */
export async function reconcileSink(id: WorkloadId, world: World, signal: AbortSignal): Promise<boolean> {
  const before = world.sinkAddress(id)
  const facts = await world.readSink(id, signal)
  const plan = facts && planSink(facts)
  const served = await world.applySink(id, plan?.workload, signal)
  if (facts !== undefined && plan !== undefined)
    await world.report(resourceKey(facts.sink), sinkStatus(facts, plan, served), signal)
  return world.sinkAddress(id) !== before
}
