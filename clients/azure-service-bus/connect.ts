import type { ServiceBusClient } from '@azure/service-bus'
import { azureIdentity } from '../azure-identity.ts'
import type { BusAccess } from './access.ts'

/** How long the service may wait for a session on our behalf, and one step of the client may take. */
export const STEP_TIMEOUT_MS = 8_000

/** A client, not yet connected. Every step of it is tried once: whoever calls knows when to try again. */
export async function connectBus(access: BusAccess): Promise<ServiceBusClient> {
  const sdk = await import('@azure/service-bus')
  const options = { retryOptions: { maxRetries: 0, timeoutInMs: STEP_TIMEOUT_MS, retryDelayInMs: 500 } }
  if ('connectionString' in access) return new sdk.ServiceBusClient(access.connectionString, options)
  return new sdk.ServiceBusClient(access.namespace, await azureIdentity(access.clientId), options)
}
