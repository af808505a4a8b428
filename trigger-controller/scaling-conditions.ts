import { readScaleAnnotations } from '../crds/annotations.ts'
import type { Condition, Metadata } from '../crds/resource.ts'
import { planTargets } from './autoscaler/targets.ts'
import { isFalse, isTrue } from './conditions.ts'
import type { ScalingProfile } from './profile.ts'
import type { ScaleFacts } from './world.ts'

/** Whether anyone asks for scaling at all: if not, the plan of everybody's scaling need not be made. */
export function asksForScaling(resources: readonly { readonly metadata: Metadata }[]): boolean {
  return resources.some(one => readScaleAnnotations(one.metadata).kind === 'declared')
}

/**
 * What a Trigger or source that asks for scaling is told about it: `Scaled`, which does not count into Ready, because events
 * are delivered all the same. Nothing is told to those that do not ask.
 */
export function scalingConditions(facts: ScaleFacts, profile: ScalingProfile): (key: string) => readonly Condition[] {
  const { targets, refusals } = planTargets(facts, profile)
  return key => {
    const refused = refusals.filter(one => one.key === key)
    const [first] = refused
    if (first !== undefined) return [isFalse('Scaled', first.reason, refused.map(one => one.message).join('; '))]
    const owned = targets.find(one => one.owner === key)
    if (owned === undefined) return []
    const { min, max } = owned.limits
    return [isTrue('Scaled', 'ScaledHere', `${owned.kind} ${owned.namespace}/${owned.name}, ${min} to ${max} replicas`)]
  }
}
