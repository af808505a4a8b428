import { TroubleError, type TroubleOf, trouble } from '../trouble.ts'

export type Trouble = TroubleOf<'missing' | 'unreachable' | 'denied' | 'busy' | 'rejected'>

/** Something could not be read. */
export class KafkaError extends TroubleError<Trouble['what']> {
  override readonly name = 'KafkaError'
}

const REASON_MAX = 300

/** The group moves on without us for the moment (Kafka protocol: error codes 22, 25, 27). */
const REBALANCES = ['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS']

/**
 * What the brokers and the network say through the client library, in our words (Kafka protocol: error codes).
 * @param where the brokers, without credentials.
 */
export function troubleOf(error: unknown, where: string): Trouble {
  const cause = rootOf(error)
  const { name, type, message } = factsOf(cause)
  if (name === 'KafkaJSSASLAuthenticationError' || /SASL_AUTHENTICATION_FAILED|UNSUPPORTED_SASL/.test(type))
    return trouble('denied', `${where} refuses the login: check user, password and mechanism`)
  if (type.endsWith('AUTHORIZATION_FAILED'))
    return trouble('denied', `${where}: the user has no right to it (${type}): grant it in the brokers' ACLs`)
  if (type === 'UNKNOWN_TOPIC_OR_PARTITION')
    return trouble('missing', `${where}: a topic does not exist; it is used as soon as somebody makes it`)
  if (REBALANCES.includes(type)) return trouble('busy', `${where}: the consumer group is being rebalanced (${type})`)
  if (type === 'INCONSISTENT_GROUP_PROTOCOL')
    return trouble(
      'rejected',
      `${where}: other consumers of the group share it out in another way: use another \`consumerGroup\``,
    )
  if (type !== '') return trouble('rejected', `${where} rejects it: ${type}: ${shortened(message)}`)
  return trouble('unreachable', `${where} cannot be reached: ${shortened(message)}`)
}

/** The protocol's name of an error, or an empty text. */
export function errorTypeOf(error: unknown): string {
  return factsOf(rootOf(error)).type
}

/** The library wraps what happened in how often it tried. */
function rootOf(error: unknown): unknown {
  for (let at = error, depth = 0; depth < 10; depth++) {
    if (typeof at !== 'object' || at === null) return at
    const { type, cause, errors } = at as {
      readonly type?: unknown
      readonly cause?: unknown
      readonly errors?: unknown
    }
    const inner = Array.isArray(errors) ? errors[0] : cause
    if (typeof type === 'string' || inner === undefined || inner === null) return at
    at = inner
  }
  return error
}

function factsOf(error: unknown): { readonly name: string; readonly type: string; readonly message: string } {
  if (!(error instanceof Error)) return { name: '', type: '', message: String(error) }
  const { type } = error as { readonly type?: unknown }
  return { name: error.name, type: typeof type === 'string' ? type : '', message: error.message }
}

function shortened(words: string): string {
  const line = words.split('\n')[0] ?? ''
  return line === '' ? 'no reason given' : line.slice(0, REASON_MAX)
}
