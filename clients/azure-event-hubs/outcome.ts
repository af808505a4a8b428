import { isIdentityMissing, noIdentity } from '../azure-identity.ts'
import { shownWords, type TroubleOf, trouble } from '../trouble.ts'

export type Trouble = TroubleOf<'missing' | 'throttled' | 'unreachable' | 'denied' | 'out-of-range' | 'rejected'>

/** Another reader has the partition now. */
export interface Stolen {
  readonly kind: 'stolen'
}

/** What the client of Event Hubs says of `place`, the address of a hub, in our words. */
export function hubTroubleOf(error: unknown, place: string): Trouble | Stolen {
  const { code = '' } = factsOf(error)
  if (isIdentityMissing(error)) return noIdentity(error, place)
  switch (code) {
    case 'ReceiverDisconnectedError':
      return { kind: 'stolen' }
    case 'MessagingEntityNotFoundError':
    case 'NotFoundError':
      return trouble(
        'missing',
        `there is no hub or no consumer group at ${place}; it is used as soon as somebody makes it`,
      )
    case 'MessagingEntityDisabledError':
      return trouble('missing', `${place} is disabled; it is used as soon as somebody enables it`)
    case 'UnauthorizedError':
    case 'InvalidSignatureError':
    case 'AuthenticationRequiredError':
      return trouble('denied', `${place} refuses the credentials (${code}): check the key, its rights and the clock`)
    case 'ArgumentOutOfRangeError':
      return trouble('out-of-range', `${place} has no event at that position any more`)
    case 'ServerBusyError':
    case 'QuotaExceededError':
      return trouble('throttled', `${place} is busy or at its quota (${code})`)
    case 'MessageTooLargeError':
      return trouble('rejected', `${place} takes no event as large as this`)
  }
  if (isRejected(code)) return trouble('rejected', `${place} rejects the request (${code})`)
  return trouble('unreachable', `${place} cannot be reached: ${wordsOf(error, code)}`)
}

function isRejected(code: string): boolean {
  return /^(ArgumentError|InvalidOperationError|NotImplementedError|PreconditionFailedError|InvalidFieldError)$/.test(
    code,
  )
}

/** Somebody else has written there since it was read. */
export interface Overtaken {
  readonly kind: 'overtaken'
}

/** What the service of blobs says of `place`, the address of a container, in our words. */
export function blobTroubleOf(error: unknown, place: string): Trouble | Overtaken {
  const { status, code } = factsOf(error)
  if (isIdentityMissing(error)) return noIdentity(error, place)
  switch (code) {
    case 'ConditionNotMet':
    case 'BlobAlreadyExists':
    case 'BlobNotFound':
      return { kind: 'overtaken' }
    case 'ContainerNotFound':
    case 'ContainerBeingDeleted':
      return trouble('missing', `there is no container at ${place}`)
  }
  if (status === 412) return { kind: 'overtaken' }
  if (status === 401 || status === 403) {
    const words = 'check the key, its rights and the clock'
    return trouble('denied', `${place} refuses the credentials (${code ?? status}): ${words}`)
  }
  if (status === 429 || status === 503) return trouble('throttled', `${place} is busy (${code ?? status})`)
  if (status === undefined) return trouble('unreachable', `${place} cannot be reached: ${wordsOf(error, code)}`)
  if (status >= 500) return trouble('unreachable', `${place} answers ${status}`)
  return trouble('rejected', `${place} rejects the request (${code ?? status})`)
}

function factsOf(error: unknown): { readonly status?: number; readonly code?: string } {
  if (typeof error !== 'object' || error === null) return {}
  const { statusCode, code, name } = error as { statusCode?: unknown; code?: unknown; name?: unknown }
  const named = typeof code === 'string' && code !== '' ? code : name
  return {
    ...(typeof statusCode === 'number' && { status: statusCode }),
    ...(typeof named === 'string' && named !== '' && { code: named }),
  }
}

function wordsOf(error: unknown, code: string | undefined): string {
  return shownWords(error instanceof Error ? error.message : String(error)) || (code ?? 'no reason given')
}
