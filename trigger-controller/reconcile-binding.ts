import type { WorkloadId } from '../contract/ids.ts'
import { resourceKey } from '../crds/resource.ts'
import { planBinding } from './plan-binding.ts'
import type { World } from './world.ts'

/** Tells the workloads of one binding what its YAML says. Idempotent. */
export async function reconcileBinding(id: WorkloadId, world: World, signal: AbortSignal): Promise<void> {
  const facts = await world.readBinding(id, signal)
  if (facts === undefined) return world.applyBinding(id, undefined, signal)
  const plan = planBinding(facts)
  await world.applyBinding(id, plan.bound ?? 'waiting', signal)
  await world.report(resourceKey(facts.binding), plan.status, signal)
}
