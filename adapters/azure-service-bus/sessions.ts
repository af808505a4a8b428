import type { Bus, Session } from '../../clients/azure-service-bus/bus.ts'
import type { BusMessage } from '../../clients/azure-service-bus/message.ts'
import type { AzureServiceBusSourceResource } from '../../crds/azure-service-bus-source.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { AdapterDeps } from '../adapter.ts'
import { backoffMs } from '../backoff.ts'
import { Desk } from './desk.ts'
import { Lock } from './lock.ts'
import { TROUBLE } from './messages.ts'

/** A session without messages is kept so long, for the next one to come without a new lock … */
const IDLE_MS = 10_000
/** … and so long where no more sessions may be held: others wait for their turn. */
const IDLE_WHEN_FULL_MS = 1_000

/**
 * Takes sessions until `signal` aborts, as many at once as the source allows, and of each the messages one by one in their
 * order: none goes before the one ahead of it is done with. A message that comes again ends the session here, so that nothing
 * overtakes it. Otherwise as `takeMessages`.
 */
export async function takeSessions(
  bus: Bus,
  source: AzureServiceBusSourceResource,
  deps: AdapterDeps,
  signal: AbortSignal,
): Promise<void> {
  const desk = new Desk(bus.url, source, deps)
  const stop = AbortSignal.any([signal, desk.broken])
  const running = new Set<Promise<void>>()
  const full = () => running.size >= source.spec.sessions.maxConcurrent
  const stopped = new Promise<void>(resolve => stop.addEventListener('abort', () => resolve(), { once: true }))
  stop.addEventListener('abort', () => desk.limitDrain(), { once: true })
  let failures = 0
  while (!stop.aborted) {
    if (full()) {
      await Promise.race([stopped, ...running])
      continue
    }
    const next = await bus.nextSession(stop).catch(() => undefined)
    if (next === undefined) continue
    if (next.kind === 'trouble') {
      desk.trouble(next)
      await sleep(deps.clock, backoffMs(failures++, TROUBLE, deps.random), stop).catch(() => {})
      continue
    }
    failures = 0
    desk.open()
    if (next.kind === 'none') continue
    const run = takeSession(next.session, desk, deps.clock, full, stop).finally(() => running.delete(run))
    running.add(run)
  }
  await Promise.all(running)
  await desk.idle()
  desk.broken.throwIfAborted()
}

/** Never rejects. */
async function takeSession(
  session: Session,
  desk: Desk,
  clock: Clock,
  full: () => boolean,
  stop: AbortSignal,
): Promise<void> {
  await using held = session
  const lockOfSession = new Lock(renewing => held.renew(renewing), held.lockedUntilMs, desk.lockDeps)
  using _ = lockOfSession
  const over = new AbortController()
  const until = AbortSignal.any([stop, over.signal, lockOfSession.signal])
  let working: Promise<unknown> | undefined
  let lastMs = clock.monotonicMs()
  const take = async (message: BusMessage) => {
    // The one ahead of it comes again, or we stop: it stays where it is.
    if (until.aborted) return
    working = desk.finish(message, lockOfSession, held).then(finished => {
      if (finished === 'failed') over.abort()
    })
    await working
    working = undefined
    lastMs = clock.monotonicMs()
  }
  const look = () => {
    const idleMs = clock.monotonicMs() - lastMs
    if (working === undefined && idleMs >= (full() ? IDLE_WHEN_FULL_MS : IDLE_MS)) over.abort()
    cancel = clock.after(IDLE_WHEN_FULL_MS, look)
  }
  let cancel = clock.after(IDLE_WHEN_FULL_MS, look)
  await held.listen({ onOpen: () => {}, take }, until)
  cancel()
  await working
}
