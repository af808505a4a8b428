import { shownWords, type TroubleOf, trouble } from '../trouble.ts'

export type Trouble = TroubleOf<'missing' | 'throttled' | 'unreachable' | 'denied' | 'rejected' | 'too-large'>

/** The lock of the message or of its session is lost, or the message is settled: this holder has no say in it any more. */
export interface Lost {
  readonly kind: 'lost'
}

/** What the client of Service Bus says of `place`, the address of an entity, in our words. */
export function troubleOf(error: unknown, place: string): Trouble | Lost {
  const { code, message } = factsOf(error)
  switch (code) {
    case 'MessageLockLost':
    case 'SessionLockLost':
    case 'MessageNotFound':
      return { kind: 'lost' }
    case 'MessagingEntityNotFound':
      return trouble('missing', `there is nothing at ${place}; it is used as soon as somebody makes it`)
    case 'MessagingEntityDisabled':
      return trouble('missing', `${place} is disabled; it is used as soon as somebody enables it`)
    case 'UnauthorizedAccess':
    case 'CredentialUnavailableError':
    case 'AuthenticationError':
      return trouble('denied', `${place} refuses the credentials (${code}): check the key, its rights and the clock`)
    case 'ServiceBusy':
    case 'QuotaExceeded':
      return trouble('throttled', `${place} is busy or full (${code})`)
    case 'MessageSizeExceeded':
      return trouble('too-large', `${place} takes no message as large as this`)
  }
  if (/already been settled|already settled/i.test(message)) return { kind: 'lost' }
  if (/requires sessions/i.test(message))
    return trouble('rejected', `${place} requires sessions: set \`sessions.enabled\``)
  if (/does not require sessions/i.test(message))
    return trouble('rejected', `${place} has no sessions: leave \`sessions\` out`)
  if (/^(InvalidOperationError|ArgumentError|PreconditionFailedError|SessionId)|SessionId was not set/.test(message))
    return trouble('rejected', `${place} rejects the request: ${shownWords(message)}`)
  return trouble('unreachable', `${place} cannot be reached: ${shownWords(message) || code || 'no reason given'}`)
}

function factsOf(error: unknown): { readonly code: string | undefined; readonly message: string } {
  if (typeof error !== 'object' || error === null) return { code: undefined, message: String(error) }
  const { code, name, message } = error as { code?: unknown; name?: unknown; message?: unknown }
  return {
    code: typeof code === 'string' && code !== 'GeneralError' ? code : typeof name === 'string' ? name : undefined,
    message: typeof message === 'string' ? message : '',
  }
}
