import type { Clock } from '../runtime/clock.ts'
import { buildAddressGuard } from './address-guard.ts'
import { Authorities } from './authorities.ts'
import type { BrokerConfig } from './config.ts'
import { type DispatchersDeps, openDispatchers } from './dispatch/dispatchers.ts'
import { postElsewhereWhenBusy } from './dispatch/when-busy.ts'
import { openPoster, type Poster } from './poster.ts'

export interface PostingDeps extends Pick<DispatchersDeps, 'log' | 'onFailure'> {
  readonly clock: Clock
}

/**
 * Opens what posts events, on this thread or on others, as the configuration says (decision 0010).
 * @throws {RangeError | AuthoritiesError} the addresses or the file of authorities cannot be used: said here, whoever uses them.
 */
export function openPosting(config: BrokerConfig, { clock, log, onFailure }: PostingDeps): Poster {
  const { addresses, caFile } = config
  const { count, from } = config.deliveryThreads
  const guard = buildAddressGuard(addresses)
  const authorities = new Authorities(clock, log, caFile)
  const openThreads = () => openDispatchers(count, { addresses, caFile, log, onFailure })
  if (count > 0 && from === 'start') return openThreads()
  const own = openPoster({ clock, guard, authorities })
  if (count === 0) return own
  const openOther = () => {
    log.info({ threads: count }, 'this thread has been busy for a while: deliveries have threads of their own now')
    return openThreads()
  }
  return postElsewhereWhenBusy(own, { clock, utilization: utilizationSince(), openOther })
}

/** Tells, each time, which share of the time since the last one this thread was not idle. */
function utilizationSince(): () => number {
  let before = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    return utilization
  }
}
