import { isUtf8 } from 'node:buffer'
import { hasForbiddenCharacter } from './attributes.ts'

/**
 * An attribute's value as an HTTP header carries it (CloudEvents HTTP binding §3.1.3.2): space, `"`, `%` and everything
 * outside U+0021–U+007E percent-encoded as UTF-8, with upper-case digits. Total: a surrogate without its pair becomes U+FFFD.
 */
export function encodeHeaderValue(value: string): string {
  if (!NEEDS_ENCODING.test(value)) return value
  let text = ''
  for (const byte of Buffer.from(value, 'utf8')) text += ENCODED[byte] ?? ''
  return text
}

/**
 * The value that a header's text stands for: quotes around the whole are undone with their backslashes, then one round of
 * percent-decoding. A `%` that two hexadecimal digits do not follow stands for itself. Undefined where that is not UTF-8, or
 * has a character that no attribute may have, such as a line break.
 *
 * HTTP libraries give the bytes of a header as Latin-1 characters. Bytes above 0x7F that a sender failed to encode are taken
 * for UTF-8, so they too are decoded from that. Text with characters above U+00FF has been decoded already.
 */
export function decodeHeaderValue(text: string): string | undefined {
  if (!NEEDS_DECODING.test(text)) return text
  const unquoted = QUOTED.test(text) ? text.slice(1, -1).replace(/\\(.)/gs, '$1') : text
  if (!unquoted.isWellFormed()) return undefined
  const bytes = Buffer.from(unquoted, WIDE.test(unquoted) ? 'utf8' : 'latin1')
  const length = percentDecode(bytes)
  const decoded = bytes.subarray(0, length)
  if (!isUtf8(decoded)) return undefined
  const value = decoded.toString('utf8')
  return hasForbiddenCharacter(value) ? undefined : value
}

const NEEDS_ENCODING = /[^!#$&-~]/
const NEEDS_DECODING = /[^ !#$&-~]/
const QUOTED = /^"(?:[^"\\]|\\.)*"$/s
const WIDE = /[^\0-\xff]/

const ENCODED = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  return NEEDS_ENCODING.test(character) ? `%${byte.toString(16).toUpperCase().padStart(2, '0')}` : character
})

/** Decodes in place and returns how many bytes are left. */
function percentDecode(bytes: Buffer): number {
  let length = 0
  for (let at = 0; at < bytes.length; at++, length++) {
    const high = bytes[at] === 0x25 ? hexDigit(bytes[at + 1]) : -1
    const low = high < 0 ? -1 : hexDigit(bytes[at + 2])
    if (low < 0) {
      bytes[length] = bytes[at] ?? 0
    } else {
      bytes[length] = high * 16 + low
      at += 2
    }
  }
  return length
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
