import { type TroubleOf, trouble } from '../trouble.ts'

export type Trouble = TroubleOf<'missing' | 'unreachable' | 'denied' | 'busy' | 'rejected'>

const REASON_MAX = 300
/** The codes of a certificate from an authority that is not known; any other fault of it is no matter of trust. */
const UNKNOWN_AUTHORITY = /SELF_SIGNED_CERT|^UNABLE_TO_(?:GET_ISSUER|VERIFY)/

/**
 * What the server and the network say through the client library, in our words (AMQP 0-9-1 §1.2: reply codes).
 * @param url of the server, without credentials.
 */
export function troubleOf(error: unknown, url: string): Trouble {
  const code = codeOf(error)
  const words = wordsOf(error)
  if (code === 404) return trouble('missing', `${url}: ${notFound(words)}; it is used as soon as somebody makes it`)
  if (code === 403 || /ACCESS[-_]REFUSED/.test(words))
    return trouble(
      'denied',
      `${url} refuses the credentials or the access: check the user, the password and its rights`,
    )
  // The library tells no more of a server that ends the connection while it is opened.
  if (code === 530 || words.startsWith('Expected ConnectionOpenOk; got <ConnectionClose'))
    return trouble('denied', `${url}: there is no such virtual host, or the user may not use it`)
  if (code === 405) return trouble('busy', `${url}: another connection has it for itself (${shortened(words)})`)
  if (code === 320) return trouble('unreachable', `${url} closed the connection (${shortened(words)})`)
  if (typeof code === 'string' && UNKNOWN_AUTHORITY.test(code))
    return trouble(
      'unreachable',
      `${url}: its certificate is not trusted (${shortened(words)}): put its authority into the Secret as \`ca.crt\``,
    )
  if (typeof code === 'number') return trouble('rejected', `${url} rejects it: ${shortened(words)}`)
  return trouble('unreachable', `${url} cannot be reached: ${shortened(words)}`)
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}

function wordsOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join(', ')
  return error instanceof Error ? error.message : String(error)
}

/** `…; 404 (NOT-FOUND) with message "NOT_FOUND - no queue 'x' in vhost '/'"` says what is missing in its message. */
function notFound(words: string): string {
  return /"NOT_FOUND - (?<what>.+)"/s.exec(words)?.groups?.what?.slice(0, REASON_MAX) ?? shortened(words)
}

function shortened(words: string): string {
  const line = (words.split('\n')[0] ?? '').replace(/:\/\/[^/\s@]*@/g, '://…@')
  const said = /with message "(?<said>.+)"/.exec(line)?.groups?.said ?? line
  return said === '' ? 'no reason given' : said.slice(0, REASON_MAX)
}
