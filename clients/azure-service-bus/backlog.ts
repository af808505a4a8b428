import type { Clock } from '../../runtime/clock.ts'
import { inTime } from '../../runtime/in-time.ts'
import { azureIdentity } from '../azure-identity.ts'
import type { BacklogReader } from '../backlog.ts'
import { noAnswer, TroubleError, trouble } from '../trouble.ts'
import { type BusAccess, isEmulator, urlOf } from './access.ts'
import { openBus } from './bus.ts'
import { CALL_TIMEOUT_MS } from './listen.ts'
import { troubleOf } from './outcome.ts'

/** The active messages of a queue or subscription, locked ones included. */
export interface AzureServiceBusBacklog {
  readonly system: 'azure-service-bus'
  readonly access: BusAccess
}

/** Where only looking at messages can tell, more than these are not looked at. */
export const PEEK_COUNT_MAX = 1_000

/**
 * Counts as KEDA's azure-servicebus scaler does, by the administration of the namespace. That wants the right to manage:
 * without it, and at an emulator, messages are peeked at, `PEEK_COUNT_MAX` at most.
 */
export function openAzureServiceBusBacklog({ access }: AzureServiceBusBacklog, clock: Clock): BacklogReader {
  const bus = openBus(access, clock)
  let administered = !isEmulator(access)
  return {
    async count(signal) {
      if (administered) {
        const count = await activeCount(access, clock, signal)
        if (count !== undefined) return count
        administered = false
      }
      return await bus.peekCount(PEEK_COUNT_MAX, signal)
    },
    async close() {
      await bus[Symbol.asyncDispose]()
    },
  }
}

/** @returns undefined where the credentials do not allow it. @throws {TroubleError} */
async function activeCount(access: BusAccess, clock: Clock, signal: AbortSignal): Promise<number | undefined> {
  const url = urlOf(access)
  const [queue, subscription] = access.entity.split('/Subscriptions/')
  try {
    const ask = async (abortSignal: AbortSignal) => {
      const { ServiceBusAdministrationClient: Administration } = await import('@azure/service-bus')
      const client =
        'connectionString' in access
          ? new Administration(access.connectionString)
          : new Administration(access.namespace, await azureIdentity(access.clientId))
      const facts =
        subscription === undefined
          ? await client.getQueueRuntimeProperties(queue ?? '', { abortSignal })
          : await client.getSubscriptionRuntimeProperties(queue ?? '', subscription, { abortSignal })
      return { kind: 'count' as const, count: facts.activeMessageCount }
    }
    const answer = await inTime(clock, CALL_TIMEOUT_MS, signal, ask, noAnswer(url, CALL_TIMEOUT_MS))
    if (answer.kind === 'count') return answer.count
    throw new TroubleError(answer)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof TroubleError) throw error
    if (isForbidden(error)) return undefined
    const found = troubleOf(error, url)
    throw new TroubleError(found.kind === 'trouble' ? found : trouble('rejected', `${url} cannot be counted`))
  }
}

function isForbidden(error: unknown): boolean {
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : undefined
  return status === 401 || status === 403
}
