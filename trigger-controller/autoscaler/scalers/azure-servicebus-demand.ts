import { type BusAccess, busAccessOf, ServiceBusAccessError } from '../../../clients/azure-service-bus/access.ts'
import type { ScaleTrigger } from '../../../crds/scaled-object.ts'
import type { Demand } from '../target.ts'
import { pollMs, settingOf } from './parameters.ts'
import { metadataNumber, type ScalerContext } from './scaler.ts'

/** KEDA's azure-servicebus scaler: `messageCount` where it is not given. */
const MESSAGE_COUNT = 5

/**
 * `type: azure-servicebus`: metadata `queueName`, or `topicName` and `subscriptionName`; `messageCount`,
 * `activationMessageCount`, `connectionFromEnv`, or the connection string as parameter `connection` of a
 * TriggerAuthentication, which wins.
 */
export function azureServiceBusDemand(
  trigger: ScaleTrigger,
  name: string,
  index: number,
  context: ScalerContext,
): Demand {
  const broken = (reason: string): Demand => ({ kind: 'broken', name, reason })
  if (trigger.metadata.useRegex === 'true') return broken('useRegex is not supported here: name one queue')
  const count = metadataNumber(trigger, 'messageCount', 1)
  const activation = metadataNumber(trigger, 'activationMessageCount', 0)
  if ('reason' in count) return broken(count.reason)
  if ('reason' in activation) return broken(activation.reason)
  const access = accessOf(trigger, context)
  if ('reason' in access) return broken(access.reason)

  const { namespace, name: object } = context.object.metadata
  return {
    kind: 'queue',
    name,
    key: `scaledobject/${namespace}/${object}#${index}`,
    backlog: { system: 'azure-service-bus', access },
    pollMs: pollMs(context),
    wants: { target: count.value ?? MESSAGE_COUNT, activation: activation.value ?? 0, concurrency: 1 },
  }
}

function accessOf(trigger: ScaleTrigger, context: ScalerContext): BusAccess | { readonly reason: string } {
  const { queueName, topicName, subscriptionName } = trigger.metadata
  if (!queueName && !topicName) return { reason: 'neither metadata.queueName nor metadata.topicName is set' }
  if (queueName && topicName) return { reason: 'metadata.queueName and metadata.topicName are both set' }
  if (topicName && !subscriptionName) return { reason: 'metadata.topicName needs metadata.subscriptionName' }
  const connection = settingOf(trigger, 'connection', context)
  if (connection === undefined) {
    const words = 'set connectionFromEnv, or authenticationRef with the parameter connection'
    return { reason: `no connection: ${words}; an Azure identity is not supported here` }
  }
  if ('reason' in connection) return connection
  const names = {
    ...(queueName && { queueName }),
    ...(topicName && { topicName }),
    ...(subscriptionName && { subscriptionName }),
  }
  try {
    return busAccessOf({ auth: {}, ...names }, { connectionString: connection.value })
  } catch (error) {
    if (error instanceof ServiceBusAccessError) return { reason: error.message }
    throw error
  }
}
