import type { BrokerId } from '../contract/ids.ts'
import { type Condition, resourceKey } from '../crds/resource.ts'
import { isFalse, withReady } from './conditions.ts'
import { planBroker } from './plan-broker.ts'
import { orphanStatus } from './plan-trigger.ts'
import type { Profile } from './profile.ts'
import { asksForScaling, scalingConditions } from './scaling-conditions.ts'
import type { Status, World } from './world.ts'

/** Brings the routes of one Broker, and what is told of it and its Triggers, in line with the YAML. Idempotent. */
export async function reconcileBroker(
  id: BrokerId,
  world: World,
  profile: Profile,
  signal: AbortSignal,
): Promise<void> {
  const facts = await world.readBroker(id, signal)
  if (facts === undefined) {
    await world.applyBroker(id, undefined, signal)
    const scale = await world.readScale(signal)
    const orphans = scale.triggers.filter(one => `${one.metadata.namespace}/${one.spec.broker}` === id)
    for (const trigger of orphans) await world.report(resourceKey(trigger), orphanStatus(trigger), signal)
    return
  }
  const scaling = asksForScaling(facts.triggers)
    ? scalingConditions(await world.readScale(signal), profile.scaling)
    : () => []
  const plan = planBroker(facts, { servesEveryClass: profile.servesEveryClass, scaling })
  try {
    await world.applyBroker(id, plan.route, signal)
  } catch (error) {
    const key = resourceKey(facts.broker)
    const status = plan.statuses[key]
    if (status !== undefined) await world.report(key, notApplied(status, error), signal)
    throw error
  }
  for (const [key, status] of Object.entries(plan.statuses)) await world.report(key, status, signal)
}

/** The brokers did not take the routes: what is there goes on as before, and nobody is told that it changed. */
function notApplied(status: Status, error: unknown): Status {
  const reason = error instanceof Error ? error.message : String(error)
  const refused: Condition = isFalse(
    'IngressReady',
    'RoutesNotApplied',
    `the brokers did not take the routes: ${reason}`,
  )
  const rest = status.conditions.filter(one => one.type !== 'Ready' && one.type !== 'IngressReady')
  return { ...status, conditions: withReady([refused, ...rest]) }
}
