import { resourceKey } from '../../crds/resource.ts'
import type { ScaledObjectResource } from '../../crds/scaled-object.ts'
import { isFalse, isTrue, isUnknown } from '../conditions.ts'
import type { Status } from '../world.ts'
import type { ScalePlan } from './targets.ts'

/** What is told of a ScaledObject, in KEDA's words where it has them: Ready, Paused. Pure. */
export function scaledObjectStatus(object: ScaledObjectResource, plan: ScalePlan): { key: string; status: Status } {
  const key = resourceKey(object)
  const target = plan.targets.find(one => one.owner === key)
  if (target === undefined) {
    const refusals = plan.refusals.filter(one => one.key === key)
    const reason = refusals[0]?.reason ?? 'ScaledObjectCheckFailed'
    const message = refusals.map(one => one.message).join('; ') || 'it is not scaled'
    return { key, status: { conditions: [isFalse('Ready', reason, message)], extra: {} } }
  }
  const broken = target.demands.flatMap(one => (one.kind === 'broken' ? [`${one.name}: ${one.reason}`] : []))
  const message = broken.join('; ')
  const ready =
    broken.length === 0
      ? isTrue('Ready', 'ScaledObjectReady', `${target.kind} ${target.namespace}/${target.name} is scaled`)
      : broken.length < target.demands.length
        ? isUnknown('Ready', 'PartialTriggerError', message)
        : isFalse('Ready', 'TriggerError', message)
  const paused = target.paused
    ? isTrue('Paused', 'ScaledObjectPaused', 'the number of replicas is left as it is')
    : isFalse('Paused', 'ScaledObjectUnpaused', 'the number of replicas follows the triggers')
  return { key, status: { conditions: [ready, paused], extra: { scaleTargetKind: target.kind } } }
}
