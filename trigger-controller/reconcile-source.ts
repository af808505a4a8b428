import type { WorkloadId } from '../contract/ids.ts'
import { resourceKey } from '../crds/resource.ts'
import { planSource } from './plan-source.ts'
import type { Profile } from './profile.ts'
import { asksForScaling, scalingConditions } from './scaling-conditions.ts'
import type { World } from './world.ts'

/** Brings the adapter of one source in line with the YAML. Idempotent. */
export async function reconcileSource(
  id: WorkloadId,
  world: World,
  profile: Profile,
  signal: AbortSignal,
): Promise<void> {
  const facts = await world.readSource(id, signal)
  if (facts === undefined) return world.applyAdapter(id, undefined, signal)
  const scaling = asksForScaling([facts.source])
    ? scalingConditions(await world.readScale(signal), profile.scaling)
    : () => []
  const key = resourceKey(facts.source)
  const plan = planSource(facts, scaling(key))
  await world.applyAdapter(id, plan.adapter, signal)
  await world.report(key, plan.status, signal)
}
