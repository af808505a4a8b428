import type { Bus } from '../../clients/azure-service-bus/bus.ts'
import type { BusMessage } from '../../clients/azure-service-bus/message.ts'
import type { AzureServiceBusSourceResource } from '../../crds/azure-service-bus-source.ts'
import { sleep } from '../../runtime/clock.ts'
import type { AdapterDeps } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import { Desk } from './desk.ts'
import { Lock } from './lock.ts'

/** Links that fail are made anew in this rhythm. */
export const TROUBLE: Backoff = { minMs: 500, maxMs: 30_000 }

/**
 * Takes messages until `signal` aborts, as many at once as the source's `parallelism`, in no order; then finishes what it
 * holds, and gives back what it could not finish in time. It throws only what is a mistake in this code.
 */
export async function takeMessages(
  bus: Bus,
  source: AzureServiceBusSourceResource,
  deps: AdapterDeps,
  signal: AbortSignal,
): Promise<void> {
  const desk = new Desk(bus.url, source, deps)
  const stop = AbortSignal.any([signal, desk.broken])
  stop.addEventListener('abort', () => desk.limitDrain(), { once: true })
  const take = async (message: BusMessage) => {
    using lock = new Lock(renewing => bus.renew(message, renewing), message.lockedUntilMs, desk.lockDeps)
    await desk.finish(message, lock, bus)
  }
  let failures = 0
  const onOpen = () => {
    failures = 0
    desk.open()
  }
  while (!stop.aborted) {
    const ended = await bus.listen({ max: source.spec.parallelism, onOpen, take }, stop)
    if (ended.kind === 'trouble') desk.trouble(ended)
    if (ended.kind === 'stopped' || ended.kind === 'silent') continue
    await sleep(deps.clock, backoffMs(failures++, TROUBLE, deps.random), stop).catch(() => {})
  }
  await desk.idle()
  desk.broken.throwIfAborted()
}
