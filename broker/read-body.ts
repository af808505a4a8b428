import type { IncomingMessage } from 'node:http'
import type { Budget } from './budget.ts'

export type Body =
  | { readonly kind: 'read'; readonly bytes: Buffer }
  /** The rest is read and thrown away, so that the answer arrives and the connection goes on. */
  | { readonly kind: 'too-large' }
  /** Nothing of it was kept. */
  | { readonly kind: 'overloaded' }
  /** The peer went away. */
  | { readonly kind: 'gone' }

/** Above this share of a piece of memory, a body keeps the piece; below, it is copied out so that it does not pin the rest. */
const PINNED_SHARE = 0.25

/**
 * Reads a body of at most `maxBytes`, holding in `budget` what has arrived (announcing much and sending nothing takes no
 * room from others) until it is handed over. Calls `done` once, never throws. Where Content-Length tells that a body does
 * not fit, nothing of it is kept.
 */
export function readBody(request: IncomingMessage, maxBytes: number, budget: Budget, done: (body: Body) => void): void {
  const declared = declaredBytes(request)
  const tooLarge = declared !== undefined && declared > maxBytes
  if (tooLarge || !budget.fits(declared ?? 0)) {
    done({ kind: tooLarge ? 'too-large' : 'overloaded' })
    request.resume()
    return
  }

  const chunks: Buffer[] = []
  let bytes = 0
  let held = 0
  let over = false
  const finish = (body: Body) => {
    if (over) return
    over = true
    budget.give(held)
    done(body)
  }
  const refuse = (kind: 'too-large' | 'overloaded') => {
    chunks.length = 0
    finish({ kind })
  }
  // The listeners stay: after the end there is nothing more to hear, and after a refusal the rest is thrown away by them.
  request.on('data', (chunk: Buffer) => {
    if (over) return
    bytes += chunk.byteLength
    if (bytes > maxBytes) refuse('too-large')
    else if (!budget.take(chunk.byteLength)) refuse('overloaded')
    else {
      held = bytes
      chunks.push(chunk)
    }
  })
  request.on('end', () => finish({ kind: 'read', bytes: joined(chunks, bytes) }))
  request.on('close', () => finish(GONE))
}

const GONE: Body = { kind: 'gone' }

/** Undefined for a chunked body. The parser lets one valid Content-Length through, or none. */
function declaredBytes(request: IncomingMessage): number | undefined {
  const text = rawHeader(request, 'content-length')
  if (text !== undefined) return Number(text)
  return rawHeader(request, 'transfer-encoding') === undefined ? 0 : undefined
}

/**
 * The first value of a header by its name in lower case. For one or two of them this costs a tenth of `request.headers`,
 * which makes an object of all.
 */
export function rawHeader({ rawHeaders }: IncomingMessage, name: string): string | undefined {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const header = rawHeaders[i]
    if (header?.length === name.length && (header === name || header.toLowerCase() === name)) return rawHeaders[i + 1]
  }
  return undefined
}

function joined(chunks: readonly Buffer[], bytes: number): Buffer {
  const [first] = chunks
  if (first === undefined) return Buffer.alloc(0)
  if (chunks.length > 1) return Buffer.concat(chunks, bytes)
  return bytes < first.buffer.byteLength * PINNED_SHARE ? Buffer.from(first) : first
}
