import { containerAccessOf, EventHubsAccessError, hubAccessOf } from '../../../clients/azure-event-hubs/access.ts'
import type { AzureEventHubsBacklog } from '../../../clients/azure-event-hubs/backlog.ts'
import type { ScaleTrigger } from '../../../crds/scaled-object.ts'
import type { Demand } from '../target.ts'
import { pollMs, settingOf } from './parameters.ts'
import { metadataNumber, type ScalerContext } from './scaler.ts'

/** KEDA's azure-eventhub scaler: `unprocessedEventThreshold` and `consumerGroup` where they are not given. */
const UNPROCESSED = 64
const GROUP = '$Default'

/**
 * `type: azure-eventhub`: metadata `connection`, `storageConnection`, `eventHubName`, `consumerGroup`, `blobContainer`,
 * `checkpointStrategy` blobMetadata, `unprocessedEventThreshold`, `activationUnprocessedEventThreshold`; both connections
 * also out of a TriggerAuthentication or the target's environment. As in KEDA no more is wanted than one for each partition.
 */
export function azureEventHubDemand(
  trigger: ScaleTrigger,
  name: string,
  index: number,
  context: ScalerContext,
): Demand {
  const broken = (reason: string): Demand => ({ kind: 'broken', name, reason })
  const { checkpointStrategy = '' } = trigger.metadata
  if (checkpointStrategy !== 'blobMetadata')
    return broken(`checkpointStrategy is ${JSON.stringify(checkpointStrategy)}: only blobMetadata is supported here`)
  const threshold = metadataNumber(trigger, 'unprocessedEventThreshold', 1)
  const activation = metadataNumber(trigger, 'activationUnprocessedEventThreshold', 0)
  if ('reason' in threshold) return broken(threshold.reason)
  if ('reason' in activation) return broken(activation.reason)
  const target = threshold.value ?? UNPROCESSED
  const backlog = backlogOf(trigger, target, context)
  if ('reason' in backlog) return broken(backlog.reason)

  const { namespace, name: object } = context.object.metadata
  return {
    kind: 'queue',
    name,
    key: `scaledobject/${namespace}/${object}#${index}`,
    backlog,
    pollMs: pollMs(context),
    wants: { target, activation: activation.value ?? 0, concurrency: 1 },
  }
}

function backlogOf(
  trigger: ScaleTrigger,
  perPartition: number,
  context: ScalerContext,
): AzureEventHubsBacklog | { readonly reason: string } {
  const settings: Record<string, string> = {}
  for (const name of ['connection', 'storageConnection', 'eventHubName', 'consumerGroup', 'blobContainer']) {
    const found = settingOf(trigger, name, context)
    if (found !== undefined && 'reason' in found) return found
    if (found !== undefined) settings[name] = found.value
  }
  const { connection, storageConnection, eventHubName, consumerGroup: group = GROUP, blobContainer } = settings
  for (const [name, value] of Object.entries({ connection, storageConnection }))
    if (value === undefined)
      return { reason: `no ${name}: set ${name}FromEnv, or authenticationRef with the parameter ${name}` }
  if (blobContainer === undefined) return { reason: 'metadata.blobContainer is not set' }
  try {
    const hub = hubAccessOf({ auth: {}, ...(eventHubName && { eventHubName }) }, { connectionString: connection ?? '' })
    const credentials = { checkpointConnectionString: storageConnection ?? '' }
    const container = containerAccessOf({ containerName: blobContainer }, hub, credentials)
    return { system: 'azure-event-hubs', hub, group, container, perPartition }
  } catch (error) {
    if (error instanceof EventHubsAccessError) return { reason: error.message }
    throw error
  }
}
