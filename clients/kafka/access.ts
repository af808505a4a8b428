/** Which brokers, and what opens them. Held in memory only: never logged, never reported. Plain data. */
export interface KafkaAccess {
  /** `host:port`, one at least. */
  readonly brokers: readonly string[]
  readonly tls: KafkaTls | undefined
  readonly sasl: KafkaSasl | undefined
}

export interface KafkaTls {
  /** PEM, each; what the system trusts where `ca` is not given. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly passphrase?: string
  /** Whoever answers is believed. For tests of one's own. */
  readonly insecure?: boolean
}

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

/** The credentials cannot be what they claim to be. The message names parts, and never quotes secrets. */
export class KafkaAccessError extends Error {
  override readonly name = 'KafkaAccessError'
  readonly code = 'kafka-access'
}

/**
 * How the brokers of a source are reached. Pure.
 * @param net which of TLS and SASL are switched on.
 * @param credentials `ca`, `cert`, `key`, `user`, `password`, `mechanism`, out of Secrets.
 * @throws {KafkaAccessError} where something is missing or not supported.
 */
export function kafkaAccessOf(
  brokers: readonly string[],
  net: { readonly tls: boolean; readonly sasl: boolean },
  credentials: Readonly<Record<string, string>>,
): KafkaAccess {
  if (brokers.length === 0) throw new KafkaAccessError('no broker is named: set `bootstrapServers`')
  return {
    brokers,
    tls: net.tls ? tlsOf(credentials) : undefined,
    sasl: net.sasl ? saslOf(credentials) : undefined,
  }
}

/**
 * How the brokers of a sink are reached, out of a Secret as Knative's Kafka resources have it. Pure.
 * @param credentials `protocol` and what that asks for; empty: in plain text, without a login.
 * @throws {KafkaAccessError} where something is missing or not supported.
 */
export function kafkaAccessOfSecret(
  brokers: readonly string[],
  credentials: Readonly<Record<string, string>>,
): KafkaAccess {
  const protocol = credentials.protocol?.trim().toUpperCase() ?? 'PLAINTEXT'
  if (!['PLAINTEXT', 'SASL_PLAINTEXT', 'SSL', 'SASL_SSL'].includes(protocol))
    throw new KafkaAccessError('`protocol` must be PLAINTEXT, SASL_PLAINTEXT, SSL or SASL_SSL')
  return kafkaAccessOf(brokers, { tls: protocol.endsWith('SSL'), sasl: protocol.startsWith('SASL') }, credentials)
}

function tlsOf({ ca, cert, key }: Readonly<Record<string, string>>): KafkaTls {
  if ((cert === undefined) !== (key === undefined))
    throw new KafkaAccessError('a client certificate needs its key, and a key its certificate')
  for (const [name, pem] of Object.entries({ ca, cert, key }))
    if (pem !== undefined && !pem.includes('-----BEGIN '))
      throw new KafkaAccessError(`\`${name}\` is not PEM: it has no line \`-----BEGIN …\``)
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
}

function saslOf({ user, password, mechanism }: Readonly<Record<string, string>>): KafkaSasl {
  if (user === undefined) throw new KafkaAccessError('no user: the Secret has no value for it')
  if (password === undefined) throw new KafkaAccessError('no password: the Secret has no value for it')
  return { mechanism: mechanismOf(mechanism), username: user, password }
}

const MECHANISMS: Readonly<Record<string, KafkaSasl['mechanism']>> = {
  PLAIN: 'plain',
  'SCRAM-SHA-256': 'scram-sha-256',
  'SCRAM-SHA-512': 'scram-sha-512',
}

function mechanismOf(given = 'PLAIN'): KafkaSasl['mechanism'] {
  const name = given.trim().toUpperCase()
  const mechanism = Object.hasOwn(MECHANISMS, name) ? MECHANISMS[name] : undefined
  if (mechanism !== undefined) return mechanism
  throw new KafkaAccessError('the SASL mechanism is not supported: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512')
}

/** `kafka://a:9092,b:9092`: safe to show. */
export function shownBrokers({ brokers }: Pick<KafkaAccess, 'brokers'>): string {
  return `kafka://${brokers.join(',')}`
}
