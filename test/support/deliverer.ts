import { buildAddressGuard } from '../../broker/address-guard.ts'
import type { DeliveryRequest } from '../../broker/attempt.ts'
import { Authorities } from '../../broker/authorities.ts'
import { type DeliverDeps, type Deliverer, openDeliver } from '../../broker/deliver.ts'
import type { CloudEvent } from '../../event/event.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'

/** The client side of a broker, as on a laptop: real connections, to this machine too. */
export function openClient(over: Partial<DeliverDeps> = {}): Deliverer {
  return openDeliver({
    clock: systemClock,
    guard: buildAddressGuard({ loopback: 'allow', private: 'allow', allow: [] }),
    authorities: new Authorities(systemClock, silentLog, undefined),
    ...over,
  })
}

export const plainEvent: CloudEvent = {
  mode: 'binary',
  attributes: { specversion: '1.0', id: '1', source: '/s', type: 't', datacontenttype: 'text/plain' },
  body: Buffer.from('hello'),
}

/** One small event for `url`. */
export function requestTo(url: string, over: Partial<DeliveryRequest> = {}): DeliveryRequest {
  return {
    url,
    event: plainEvent,
    timeoutMs: 5000,
    format: undefined,
    namespace: 'shop',
    wantsReply: true,
    batch: undefined,
    hops: 255,
    ...over,
  }
}
