import type { WorkloadId } from '../../contract/ids.ts'
import { readScaleAnnotations } from '../../crds/annotations.ts'
import { resourceKey } from '../../crds/resource.ts'
import type { ScalingProfile } from '../profile.ts'
import type { ScaleFacts } from '../world.ts'
import {
  type Declared,
  deliveries,
  inOrder,
  ofScaledObject,
  ofSource,
  ofTrigger,
  sourceWorkload,
  watchIn,
  watchOf,
} from './claims.ts'
import type { QueueWatch, Refusal, ScaleTarget } from './target.ts'

export interface ScalePlan {
  readonly targets: readonly ScaleTarget[]
  readonly refusals: readonly Refusal[]
  /** The upstream of every source, scaled or not: people want to see how much waits there. */
  readonly lags: readonly { readonly workload: WorkloadId; readonly watch: QueueWatch }[]
}

/** Who is scaled, by what. Pure. A workload has one owner; a second one is refused and told who came first. */
export function planTargets(facts: ScaleFacts, profile: ScalingProfile): ScalePlan {
  const targets = new Map<WorkloadId, ScaleTarget>()
  const refusals: Refusal[] = []
  const claim = (target: ScaleTarget) => {
    const owner = targets.get(target.workload)
    if (owner === undefined) targets.set(target.workload, target)
    else if (!sameWish(owner, target)) refusals.push(refused(target, owner))
  }
  const delivering = deliveries(facts)

  for (const object of inOrder(facts.scaledObjects)) {
    const target = ofScaledObject(object, facts, delivering, profile)
    if ('message' in target) refusals.push(target)
    else claim(target)
  }
  for (const trigger of inOrder(facts.triggers)) {
    const declared = readScaleAnnotations(trigger.metadata)
    if (declared.kind !== 'declared') continue
    refusals.push(...mistakes(resourceKey(trigger), declared))
    const target = ofTrigger(trigger, declared, facts, delivering, profile)
    if ('message' in target) refusals.push(target)
    else claim(target)
  }
  const lags: ScalePlan['lags'][number][] = []
  for (const source of inOrder(facts.sources)) {
    const declared = readScaleAnnotations(source.metadata)
    if (declared.kind === 'declared') refusals.push(...mistakes(resourceKey(source), declared))
    const watched = watchOf(source, declared, facts, profile)
    if ('key' in watched) lags.push({ workload: sourceWorkload(source), watch: watchIn(watched) })
    if (declared.kind === 'declared') claim(ofSource(source, declared, watched, facts, profile))
  }
  return { targets: [...targets.values()], refusals, lags }
}

/** Two Triggers of one workload that ask for the same bounds are of one mind. */
function sameWish(one: ScaleTarget, other: ScaleTarget): boolean {
  const bothTriggers = one.owner.startsWith('Trigger/') && other.owner.startsWith('Trigger/')
  const { min, max, cooldownMs } = one.limits
  return bothTriggers && min === other.limits.min && max === other.limits.max && cooldownMs === other.limits.cooldownMs
}

function refused(target: ScaleTarget, owner: ScaleTarget): Refusal {
  const what = `${target.kind} ${target.namespace}/${target.name}`
  return {
    key: target.owner,
    reason: 'ScaledByAnother',
    message: `${what} is scaled by ${owner.by} already, which keeps it: take the scaling away from one of the two`,
  }
}

function mistakes(key: string, declared: Declared): Refusal[] {
  return declared.mistakes.map(message => ({ key, reason: 'InvalidAnnotation', message }))
}
