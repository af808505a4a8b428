import { containerAccessOf, hubAccessOf } from '../../clients/azure-event-hubs/access.ts'
import { openCheckpoints } from '../../clients/azure-event-hubs/checkpoints.ts'
import { openEventHub } from '../../clients/azure-event-hubs/hub.ts'
import type { AzureEventHubsSourceResource } from '../../crds/azure-event-hubs-source.ts'
import type { RunAdapter } from '../adapter.ts'
import { Member } from './member.ts'

/**
 * The events of an Azure event hub become events of ours, at least once, and in order in each partition. Adapters of the same
 * consumer group share the partitions; what is done is kept in a blob container.
 * @throws {EventHubsAccessError} where the credentials cannot be right.
 */
export const runEventHubs: RunAdapter<AzureEventHubsSourceResource> = async ({ source, credentials }, deps, signal) => {
  const { spec } = source
  const access = hubAccessOf(spec, credentials)
  const container = containerAccessOf(spec.checkpoint, access, credentials)
  await using hub = openEventHub(access, spec.consumerGroup, deps.clock)
  await new Member(hub, openCheckpoints(container, hub, deps.clock), spec, deps).run(signal)
}
