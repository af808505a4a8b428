import { isIdentityMissing, noIdentity } from '../azure-identity.ts'
import { shownWords, type TroubleOf, trouble } from '../trouble.ts'

export type Trouble = TroubleOf<'queue-missing' | 'throttled' | 'unreachable' | 'denied' | 'rejected'>

/** Somebody else has the message now, or it is gone: this holder has no say in it any more. */
export interface Lost {
  readonly kind: 'lost'
  readonly why: 'gone' | 'receipt-stale'
}

/** What the service and the network say through the SDK, in our words. */
export function troubleOf(error: unknown, url: string): Trouble | Lost {
  const { status, code } = factsOf(error)
  switch (code) {
    case 'MessageNotFound':
      return { kind: 'lost', why: 'gone' }
    case 'PopReceiptMismatch':
      return { kind: 'lost', why: 'receipt-stale' }
    case 'QueueNotFound':
    case 'QueueBeingDeleted':
    case 'QueueDisabled':
      return trouble('queue-missing', `there is no queue at ${url}; it is used as soon as somebody makes it`)
  }
  if (isIdentityMissing(error)) return noIdentity(error, url)
  if (status === undefined) return trouble('unreachable', `${url} cannot be reached: ${networkWords(error, code)}`)
  if (status === 401 || status === 403) {
    return trouble(
      'denied',
      `${url} refuses the credentials (${code ?? status}): check the key, its rights and the clock`,
    )
  }
  if (status === 429 || status === 503) return trouble('throttled', `${url} is busy (${code ?? status})`)
  // Answers of 404 without a code come from something that is no queue service.
  if (status >= 500 || status === 404) return trouble('unreachable', `${url} answers ${status}`)
  return trouble('rejected', `${url} rejects the request (${code ?? status})`)
}

function factsOf(error: unknown): { readonly status?: number; readonly code?: string } {
  if (typeof error !== 'object' || error === null) return {}
  const { statusCode, code } = error as { readonly statusCode?: unknown; readonly code?: unknown }
  return {
    ...(typeof statusCode === 'number' && { status: statusCode }),
    ...(typeof code === 'string' && code !== '' && { code }),
  }
}

function networkWords(error: unknown, code: string | undefined): string {
  return shownWords(error instanceof Error ? error.message : String(error)) || (code ?? 'no reason given')
}
