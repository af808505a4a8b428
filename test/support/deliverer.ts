import { type AddressPolicy, buildAddressGuard } from '../../broker/address-guard.ts'
import type { Deliver, DeliveryRequest } from '../../broker/attempt.ts'
import { Authorities } from '../../broker/authorities.ts'
import { type DispatchersDeps, openDispatchers } from '../../broker/dispatch/dispatchers.ts'
import { openPoster, type Poster, type PosterDeps } from '../../broker/poster.ts'
import { withTokens } from '../../broker/sink-token.ts'
import type { TokenSource } from '../../contract/tokens.ts'
import type { CloudEvent } from '../../event/event.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'

/** The client side of a broker. */
export interface Client extends AsyncDisposable {
  readonly deliver: Deliver
}

const LAPTOP: AddressPolicy = { loopback: 'allow', private: 'allow', allow: [] }

/** As on a laptop: real connections, to this machine too. */
export function openClient(over: Partial<PosterDeps> & { tokens?: TokenSource | undefined } = {}): Client {
  const deps = {
    clock: systemClock,
    guard: buildAddressGuard(LAPTOP),
    authorities: new Authorities(systemClock, silentLog, undefined),
    ...over,
  }
  return clientOf(openPoster(deps), deps)
}

/** The same, its requests made by `count` threads. */
export function openThreadedClient(count = 1, over: Partial<DispatchersDeps> = {}): Client {
  const onFailure = (error: Error) => {
    throw error
  }
  const poster = openDispatchers(count, { addresses: LAPTOP, caFile: undefined, log: silentLog, onFailure, ...over })
  return clientOf(poster, { clock: systemClock })
}

function clientOf(poster: Poster, { clock, tokens }: { clock: Clock; tokens?: TokenSource | undefined }): Client {
  return {
    deliver: withTokens(poster.post, tokens, clock),
    [Symbol.asyncDispose]: () => poster[Symbol.asyncDispose](),
  }
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
