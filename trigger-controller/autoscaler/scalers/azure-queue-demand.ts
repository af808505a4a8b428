import type { ScaleTrigger } from '../../../crds/scaled-object.ts'
import type { Demand } from '../target.ts'
import { type Found, pollMs, settingOf } from './parameters.ts'
import { metadataNumber, type ScalerContext } from './scaler.ts'

/** KEDA's azure-queue scaler: `queueLength` where it is not given. */
const QUEUE_LENGTH = 5

/**
 * `type: azure-queue`: metadata `queueName`, `queueLength`, `activationQueueLength`, `queueLengthStrategy`,
 * `connectionFromEnv`, or the connection string as parameter `connection` of a TriggerAuthentication, which wins.
 */
export function azureQueueDemand(trigger: ScaleTrigger, name: string, index: number, context: ScalerContext): Demand {
  const broken = (reason: string): Demand => ({ kind: 'broken', name, reason })
  const { queueName, queueLengthStrategy: strategy = 'all' } = trigger.metadata
  if (queueName === undefined || queueName === '') return broken('metadata.queueName is not set')
  if (strategy !== 'all' && strategy !== 'visibleonly') {
    return broken(`queueLengthStrategy is ${JSON.stringify(strategy)}: all or visibleonly`)
  }
  const length = metadataNumber(trigger, 'queueLength', 1)
  const activation = metadataNumber(trigger, 'activationQueueLength', 0)
  if ('reason' in length) return broken(length.reason)
  if ('reason' in activation) return broken(activation.reason)
  const connection = connectionOf(trigger, context)
  if ('reason' in connection) return broken(connection.reason)

  const { namespace, name: object } = context.object.metadata
  return {
    kind: 'queue',
    name,
    key: `scaledobject/${namespace}/${object}#${index}`,
    backlog: { system: 'azure-queue', access: { connectionString: connection.value, queueName }, strategy },
    pollMs: pollMs(context),
    wants: { target: length.value ?? QUEUE_LENGTH, activation: activation.value ?? 0, concurrency: 1 },
  }
}

function connectionOf(trigger: ScaleTrigger, context: ScalerContext): Found {
  const found = settingOf(trigger, 'connection', context)
  if (found !== undefined) return found
  if (trigger.authenticationRef !== undefined) {
    const { kind, name } = trigger.authenticationRef
    return { reason: `${kind} ${context.object.metadata.namespace}/${name} has no parameter connection` }
  }
  if (trigger.metadata.accountName !== undefined) {
    return {
      reason: 'accountName alone means an Azure identity, which is not supported here: give a connection string',
    }
  }
  return { reason: 'no connection: set connectionFromEnv, or authenticationRef with the parameter connection' }
}
