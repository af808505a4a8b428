import type { AddressPolicy } from './address-guard.ts'

/**
 * PEM files of a certificate (its chain after it) and of its key without a passphrase. Both are looked at every few seconds,
 * so that a renewed pair is used without a restart.
 */
export interface TlsDoor {
  readonly certFile: string
  readonly keyFile: string
  /** 0 takes a free one. */
  readonly port: number
}

/** What one broker process is told at start. */
export interface BrokerConfig {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** A second door for TLS, beside the plain one. */
  readonly tls: TlsDoor | undefined
  /** Folder of the durable store. Undefined: a temporary folder that is removed on close. */
  readonly dataDir: string | undefined
  /** Every Broker is transient, as if annotated `weir.dev/store: memory`. */
  readonly memory: boolean
  readonly bodyMaxBytes: number
  /** Accepted and not yet settled in memory, all Triggers together; above it the door answers 503 with Retry-After. */
  readonly inFlightMaxBytes: number
  /** Delivered and unmatched events are kept this long, and up to this size, whichever ends first. */
  readonly retentionMs: number
  readonly retentionMaxBytes: number
  /** How long closing waits for requests in flight. */
  readonly drainMs: number
  /**
   * Threads that post events, so that the broker's own is left for what it alone can do: from its start, or from when it has
   * been busy for a while. None: it posts them itself.
   */
  readonly deliveryThreads: { readonly count: number; readonly from: 'start' | 'busy' }
  /** Where deliveries may go. */
  readonly addresses: AddressPolicy
  /** PEM file of authorities that sinks are trusted by, beside the system's; read again when it changes. */
  readonly caFile: string | undefined
}

export const BROKER_DEFAULTS: BrokerConfig = {
  host: '127.0.0.1',
  port: 8080,
  tls: undefined,
  dataDir: undefined,
  memory: false,
  bodyMaxBytes: 1 << 20,
  inFlightMaxBytes: 128 << 20,
  retentionMs: 24 * 3_600_000,
  retentionMaxBytes: 1 << 30,
  drainMs: 25_000,
  deliveryThreads: { count: 0, from: 'start' },
  addresses: { loopback: 'allow', private: 'allow', allow: [] },
  caFile: undefined,
}
