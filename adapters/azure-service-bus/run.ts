import { busAccessOf } from '../../clients/azure-service-bus/access.ts'
import { openBus } from '../../clients/azure-service-bus/bus.ts'
import type { AzureServiceBusSourceResource } from '../../crds/azure-service-bus-source.ts'
import type { RunAdapter } from '../adapter.ts'
import { takeMessages } from './messages.ts'
import { takeSessions } from './sessions.ts'

/**
 * The messages of a queue or subscription of Azure Service Bus become events, at least once; those of a session in their
 * order. A message is completed when somebody has taken its event, and stays locked until then, however long that takes.
 * @throws {ServiceBusAccessError} where the credentials cannot be right.
 */
export const runServiceBus: RunAdapter<AzureServiceBusSourceResource> = async (
  { source, credentials },
  deps,
  signal,
) => {
  await using bus = openBus(busAccessOf(source.spec, credentials), deps.clock)
  const take = source.spec.sessions.enabled ? takeSessions : takeMessages
  await take(bus, source, deps, signal)
}
