import type { Clock } from '../runtime/clock.ts'
import type { AzureEventHubsBacklog } from './azure-event-hubs/backlog.ts'
import type { AzureServiceBusBacklog } from './azure-service-bus/backlog.ts'
import type { AzureQueueBacklog } from './azure-storage-queue/backlog.ts'
import type { KafkaBacklog } from './kafka/backlog.ts'
import type { RabbitBacklog } from './rabbitmq/backlog.ts'

/** Where something waits in another system, and how to get there. Plain data: equal queries ask for the same. */
export type BacklogQuery =
  | AzureQueueBacklog
  | AzureServiceBusBacklog
  | AzureEventHubsBacklog
  | KafkaBacklog
  | RabbitBacklog

/** Reads how much waits in one place. */
export interface BacklogReader {
  /** Messages that wait or are being worked on. @throws where it cannot be known, in words without credentials: unknown is not zero. */
  count(signal: AbortSignal): Promise<number>
  /** Ends its connections. Never rejects. */
  close(): Promise<void>
}

/**
 * A reader of one place. Its client loads with the first of its kind.
 * @throws where the query cannot be right.
 */
export async function openBacklog(query: BacklogQuery, clock: Clock): Promise<BacklogReader> {
  switch (query.system) {
    case 'azure-event-hubs': {
      const { openAzureEventHubsBacklog } = await import('./azure-event-hubs/backlog.ts')
      return openAzureEventHubsBacklog(query, clock)
    }
    case 'azure-service-bus': {
      const { openAzureServiceBusBacklog } = await import('./azure-service-bus/backlog.ts')
      return openAzureServiceBusBacklog(query, clock)
    }
    case 'azure-queue': {
      const { openAzureQueueBacklog } = await import('./azure-storage-queue/backlog.ts')
      return openAzureQueueBacklog(query, clock)
    }
    case 'kafka': {
      const { openKafkaBacklog } = await import('./kafka/backlog.ts')
      return openKafkaBacklog(query, clock)
    }
    case 'rabbitmq': {
      const { openRabbitBacklog } = await import('./rabbitmq/backlog.ts')
      return openRabbitBacklog(query, clock)
    }
    default:
      return query satisfies never
  }
}
