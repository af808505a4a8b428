import type { SinkResource } from '../crds/sinks.ts'
import type { EventSink, SinkDeps, SinkSpec } from './sink.ts'

/**
 * Opens the way out that a sink describes. Its code and its client load when its kind is first asked for.
 * @throws where its settings or credentials cannot be right.
 */
export async function openSink({ resource, credentials }: SinkSpec<SinkResource>, deps: SinkDeps): Promise<EventSink> {
  switch (resource.kind) {
    case 'AzureEventHubsSink': {
      const { openEventHubsSink } = await import('./azure-event-hubs/open.ts')
      return await openEventHubsSink({ resource, credentials }, deps)
    }
    case 'AzureServiceBusSink': {
      const { openServiceBusSink } = await import('./azure-service-bus/open.ts')
      return await openServiceBusSink({ resource, credentials }, deps)
    }
    case 'AzureStorageQueueSink': {
      const { openStorageQueueSink } = await import('./azure-storage-queue/open.ts')
      return await openStorageQueueSink({ resource, credentials }, deps)
    }
    case 'KafkaSink': {
      const { openKafkaSink } = await import('./kafka/open.ts')
      return await openKafkaSink({ resource, credentials }, deps)
    }
    case 'RabbitmqSink': {
      const { openRabbitmqSink } = await import('./rabbitmq/open.ts')
      return await openRabbitmqSink({ resource, credentials }, deps)
    }
    default:
      return resource satisfies never
  }
}
