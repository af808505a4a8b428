/**
 * Why a call to another system came to nothing. It may work later: all of these are worth another try, some only after a
 * person acted. Each client has its own words for `what`.
 */
export interface TroubleOf<What extends string> {
  readonly kind: 'trouble'
  readonly what: What
  /** In words, with what to do. Quotes no credentials. */
  readonly reason: string
}

export function trouble<const What extends string>(what: What, reason: string): TroubleOf<What> {
  return { kind: 'trouble', what, reason }
}

/** A server that has not answered in time. Whether it did what it was asked is unknown. */
export function noAnswer(place: string, timeoutMs: number): TroubleOf<'unreachable'> {
  return trouble('unreachable', `${place} has not answered within ${timeoutMs / 1000} s`)
}

/** A trouble where a number is promised, which then is unknown, and not zero. */
export class TroubleError<What extends string> extends Error {
  override readonly name: string = 'TroubleError'
  readonly code: What

  constructor({ what, reason }: TroubleOf<What>) {
    super(reason)
    this.code = what
  }
}

const SHOWN_MAX = 200

/** The first line of what a library says, without what may be a signature or a key; empty where it says nothing. */
export function shownWords(message: string): string {
  const [line = ''] = message.split('\n')
  return line.replace(/\?\S*|\b(sig|SharedAccessKey|SharedAccessSignature)=\S*/gi, '…').slice(0, SHOWN_MAX)
}
