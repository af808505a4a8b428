import { resourceKey } from '../crds/resource.ts'
import { planPolicy } from './plan-access.ts'
import type { World } from './world.ts'

/** Tells of one EventPolicy what became of it. What it lets pass is in the routes of the Brokers that it protects. */
export async function reconcilePolicy(id: string, world: World, signal: AbortSignal): Promise<void> {
  const facts = await world.readPolicy(id, signal)
  if (facts !== undefined) await world.report(resourceKey(facts.policy), planPolicy(facts), signal)
}
