import { type LookupAddress, lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import type { SecureContext } from 'node:tls'
import { buildConnector, Pool } from 'undici'
import type { AddressGuard } from './address-guard.ts'
import type { Authorities } from './authorities.ts'

const CONNECT_TIMEOUT_MS = 5000
const HEADERS_MAX_BYTES = 16 << 10
/**
 * A connection on which nothing moves is probed after this; Node then probes every second, ten times. So a peer that is
 * gone without a word is noticed within 70 s, however long its work may take.
 */
const PROBE_AFTER_MS = 60_000

/** What decides to whom connections are made. */
export interface ConnectDeps {
  readonly guard: AddressGuard
  readonly authorities: Authorities
}

/** The address is refused by the policy for addresses; nothing was connected to. */
export class AddressRefusedError extends Error {
  readonly code = 'ADDRESS_REFUSED'
}

/**
 * Opens the connections to one origin: HTTP/1.1, TLS 1.2 or newer, each address looked at when it is connected to.
 * @param caCerts PEM, trusted beside everybody whom `authorities` trust.
 */
export function openPool(origin: string, caCerts: string | undefined, deps: ConnectDeps): Pool {
  return new Pool(origin, {
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: HEADERS_MAX_BYTES,
    connect: openConnector(caCerts, deps),
    // One total deadline of our own instead: these two are coarse, and cost a timer per request.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
}

function openConnector(caCerts: string | undefined, { guard, authorities }: ConnectDeps): buildConnector.connector {
  const options = {
    allowH2: false,
    timeout: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelay: PROBE_AFTER_MS,
    lookup: guardedLookup(guard),
  }
  const plain = buildConnector(options)
  let secure = plain
  let trusted: SecureContext | undefined
  return (to, callback) => {
    try {
      refuseLiteral(to.hostname, guard)
      if (to.protocol !== 'https:') return plain(to, callback)
      const context = authorities.contextFor(caCerts)
      if (context !== trusted) {
        // `rejectUnauthorized` is said, because an environment variable could take it away.
        secure = buildConnector({ ...options, secureContext: context, rejectUnauthorized: true })
        trusted = context
      }
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error))
      queueMicrotask(() => callback(reason, null))
      return
    }
    secure(to, callback)
  }
}

/** Names go through the lookup; an address that is written out would not. */
function refuseLiteral(hostname: string, guard: AddressGuard): void {
  if (isIP(hostname) === 0) return
  const why = guard(hostname)
  if (why !== undefined) throw new AddressRefusedError(`${hostname} is refused: ${why}`)
}

/** What is connected to is one of the very addresses that were looked at: no second answer of DNS comes in between. */
function guardedLookup(guard: AddressGuard): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '')
      const refused = refusal(hostname, addresses, guard)
      if (refused !== undefined) return callback(refused, '')
      if (options.all === true) return callback(null, addresses)
      const [first] = addresses
      callback(null, first?.address ?? '', first?.family)
    })
  }
}

/** One bad address spoils the name: whoever controls it chooses which is used. */
export function refusal(
  hostname: string,
  addresses: readonly LookupAddress[],
  guard: AddressGuard,
): AddressRefusedError | undefined {
  for (const { address } of addresses) {
    const why = guard(address)
    if (why !== undefined) return new AddressRefusedError(`${hostname} is ${address}, which is refused: ${why}`)
  }
  return undefined
}
