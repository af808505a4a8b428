import { triggerId } from '../../../contract/ids.ts'
import { readKnobs } from '../../../crds/annotations.ts'
import type { ScaleTrigger } from '../../../crds/scaled-object.ts'
import { CONCURRENCY_PER_REPLICA } from '../../profile.ts'
import type { Demand } from '../target.ts'
import { metadataNumber, type ScalerContext } from './scaler.ts'

/** `type: weir`: the backlog of a Trigger in the same namespace. Metadata `trigger`, `lagThreshold`, `activationLagThreshold`. */
export function weirDemand(trigger: ScaleTrigger, name: string, context: ScalerContext): Demand {
  const { namespace } = context.object.metadata
  const of = trigger.metadata.trigger ?? ''
  const found = context.facts.triggers.find(one => one.metadata.name === of && one.metadata.namespace === namespace)
  if (found === undefined) {
    const reason = of === '' ? 'metadata.trigger is not set' : `Trigger ${namespace}/${of} does not exist`
    return { kind: 'broken', name, reason }
  }
  const lag = metadataNumber(trigger, 'lagThreshold', 1)
  const activation = metadataNumber(trigger, 'activationLagThreshold', 0)
  if ('reason' in lag) return { kind: 'broken', name, reason: lag.reason }
  if ('reason' in activation) return { kind: 'broken', name, reason: activation.reason }
  const id = triggerId(namespace, of)
  return {
    kind: 'trigger',
    name: `Trigger/${of}`,
    trigger: id,
    delivers: context.receives.includes(id),
    wants: {
      target: lag.value,
      activation: activation.value ?? 0,
      concurrency: readKnobs(found.metadata).concurrency ?? CONCURRENCY_PER_REPLICA,
    },
  }
}
