import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Signature, Token } from '../../crds/webhook-source.ts'
import type { Said } from './request.ts'

/** Whether a request comes from whom it should. `reason` helps a person to mend it, and tells nothing of the secret. */
export type Checked = { readonly kind: 'known' } | { readonly kind: 'unknown'; readonly reason: string }

const KNOWN: Checked = { kind: 'known' }

/** A header may carry several signatures while a secret is renewed; not endlessly many. */
const MOST_SIGNATURES = 16

/**
 * Whether one of the signatures in the header is the HMAC of what was sent, by `secret`. Compared in constant time. With a
 * timestamp, only within its tolerance, so that what was overheard cannot be sent again later.
 */
export function checkSignature(
  signature: Signature,
  secret: string,
  said: Said,
  body: Uint8Array,
  nowMs: number,
): Checked {
  const found = said.header(signature.header).flatMap(text => signaturesIn(text, signature))
  if (found.length === 0) return unknown(`the header ${signature.header} with a signature is missing`)
  const time = signature.timestamp === undefined ? undefined : timestampOf(signature.timestamp, said)
  if (signature.timestamp !== undefined) {
    const tolerance = `${signature.timestamp.toleranceMs / 1000} s`
    if (time === undefined) return unknown(`the header ${signature.timestamp.header} has no time in seconds`)
    if (Math.abs(nowMs - time.ms) > signature.timestamp.toleranceMs)
      return unknown(`it was signed more than ${tolerance} ago, or by a clock that is that wrong`)
  }
  const hmac = createHmac(signature.algorithm, keyOf(secret, signature.secretEncoding))
  for (const part of signature.signed) {
    if (part.from === 'text') hmac.update(part.text)
    else if (part.from === 'timestamp') hmac.update(time?.text ?? '')
    else if (part.from === 'header') hmac.update(said.header(part.name)[0] ?? '')
    else if (part.from === 'query') hmac.update(said.query(part.name) ?? '')
    else hmac.update(body)
  }
  const right = hmac.digest()
  let fits = false
  for (const one of found) if (one.length === right.length && timingSafeEqual(one, right)) fits = true
  return fits ? KNOWN : unknown('the signature is not that of this body: compare the secrets of both sides')
}

/** Whether the request brings the text that only the sender knows. Compared in constant time. */
export function checkToken(token: Token, secret: string, said: Said): Checked {
  const given = token.from === 'query' ? said.query(token.name) : said.header(token.name)[0]
  if (given === undefined)
    return unknown(`the ${token.from === 'query' ? 'parameter' : 'header'} ${token.name} is missing`)
  // Of equal length whatever was sent, so that not even the length of the secret shows.
  const fits = timingSafeEqual(digest(given), digest(token.prefix + secret))
  return fits
    ? KNOWN
    : unknown(`the ${token.from === 'query' ? 'parameter' : 'header'} ${token.name} is not what was agreed`)
}

function signaturesIn(text: string, { prefix, encoding }: Signature): Buffer[] {
  const value = encoding === 'hex' ? '[0-9a-fA-F]+' : '[A-Za-z0-9+/_-]+={0,2}'
  // Alone, or in a list as Stripe (`t=1,v1=…`) and Standard Webhooks (`v1,… v1,…`) write them.
  const each = new RegExp(`(?:^|[\\s,;])${RegExp.escape(prefix)}(${value})(?=$|[\\s,;])`, 'g')
  const found = [...text.matchAll(each)].slice(0, MOST_SIGNATURES)
  return found.map(([, one = '']) => Buffer.from(one, encoding))
}

function timestampOf(
  { header, prefix }: NonNullable<Signature['timestamp']>,
  said: Said,
): { readonly text: string; readonly ms: number } | undefined {
  const each = new RegExp(`(?:^|[\\s,;])${RegExp.escape(prefix)}(\\d{1,13})(?=$|[\\s,;])`)
  const text = each.exec(said.header(header)[0] ?? '')?.[1]
  if (text === undefined) return undefined
  return { text, ms: text.length === 13 ? Number(text) : Number(text) * 1000 }
}

/** Standard Webhooks write their secrets in base64, behind `whsec_`. */
function keyOf(secret: string, encoding: Signature['secretEncoding']): Buffer {
  return encoding === 'text' ? Buffer.from(secret, 'utf8') : Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function unknown(reason: string): Checked {
  return { kind: 'unknown', reason }
}
