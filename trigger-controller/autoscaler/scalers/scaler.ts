import type { TriggerId } from '../../../contract/ids.ts'
import type { ScaledObjectResource, ScaleTrigger } from '../../../crds/scaled-object.ts'
import { SCALERS } from '../../../crds/scaler-metadata.ts'
import type { DeploymentResource } from '../../../crds/workloads.ts'
import type { ScalingProfile } from '../../profile.ts'
import type { ScaleFacts } from '../../world.ts'
import type { Demand } from '../target.ts'
import { azureEventHubDemand } from './azure-eventhub-demand.ts'
import { azureQueueDemand } from './azure-queue-demand.ts'
import { azureServiceBusDemand } from './azure-servicebus-demand.ts'
import { kafkaDemand } from './kafka-demand.ts'
import { rabbitmqDemand } from './rabbitmq-demand.ts'
import { weirDemand } from './weir.ts'

/** What a trigger of a ScaledObject is read with. */
export interface ScalerContext {
  readonly object: ScaledObjectResource
  readonly deployment: DeploymentResource
  readonly facts: ScaleFacts
  readonly profile: ScalingProfile
  /** The Triggers that deliver to the target. */
  readonly receives: readonly TriggerId[]
}

/** One entry of `spec.triggers`, as something to read. A mistake in it is a demand that stays unknown. Pure. */
export function demandOf(trigger: ScaleTrigger, index: number, context: ScalerContext): Demand {
  const name = trigger.name ?? `${trigger.type}[${index}]`
  switch (trigger.type) {
    case 'weir':
      return weirDemand(trigger, name, context)
    case 'azure-eventhub':
      return azureEventHubDemand(trigger, name, index, context)
    case 'azure-servicebus':
      return azureServiceBusDemand(trigger, name, index, context)
    case 'azure-queue':
      return azureQueueDemand(trigger, name, index, context)
    case 'kafka':
      return kafkaDemand(trigger, name, index, context)
    case 'rabbitmq':
      return rabbitmqDemand(trigger, name, index, context)
    default: {
      const known = Object.keys(SCALERS).join(', ')
      return { kind: 'broken', name, reason: `there is no scaler ${JSON.stringify(trigger.type)}: known are ${known}` }
    }
  }
}

/** A number out of a trigger's metadata. @returns undefined where it is not given. */
export function metadataNumber(
  trigger: ScaleTrigger,
  key: string,
  least: number,
): { readonly value: number | undefined } | { readonly reason: string } {
  const text = trigger.metadata[key]
  if (text === undefined || text === '') return { value: undefined }
  const value = /^\d{1,12}(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (value >= least) return { value }
  return { reason: `${key} is ${JSON.stringify(text)}, which is not a number from ${least} on` }
}
