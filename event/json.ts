import { isUtf8 } from 'node:buffer'

/** Values inside values inside an envelope; what is nested deeper is refused, so that no input can exhaust the stack. */
export const JSON_DEPTH_MAX = 64

/** One member of an object: its decoded name, and where it stands in the bytes. `end` is one past the value. */
export interface JsonMember {
  readonly name: string
  readonly kind: JsonKind
  readonly nameStart: number
  readonly start: number
  readonly end: number
}

export type JsonKind = 'string' | 'number' | 'boolean' | 'null' | 'object' | 'array'

export type JsonObject =
  | {
      readonly kind: 'object'
      readonly members: readonly JsonMember[]
      /** One past the opening brace. */
      readonly open: number
    }
  /** `reason` says what and at which byte, and quotes nothing of the input. */
  | { readonly kind: 'broken'; readonly reason: string }

/**
 * Finds the members of a JSON object (RFC 8259) without building its values, so that they can be cut out as they were
 * written. Strict to the last byte: the whole text is checked, a name that comes twice is refused. Never throws.
 */
export function scanObject(bytes: Uint8Array): JsonObject {
  const encoding = textFault(bytes)
  if (encoding !== undefined) return { kind: 'broken', reason: encoding }
  const cursor = new Cursor(bytes)
  try {
    cursor.space()
    const open = cursor.at + 1
    const members = cursor.members()
    cursor.end()
    return { kind: 'object', members, open }
  } catch (error) {
    if (error instanceof Broken) return { kind: 'broken', reason: error.message }
    throw error
  }
}

export interface JsonElement {
  readonly start: number
  /** One past the value. */
  readonly end: number
}

/** Finds the elements of a JSON array, at most `most`, as `scanObject` finds members. Never throws. */
export function scanArray(
  bytes: Uint8Array,
  most: number,
):
  | { readonly kind: 'array'; readonly elements: readonly JsonElement[] }
  | { readonly kind: 'broken'; readonly reason: string } {
  const encoding = textFault(bytes)
  if (encoding !== undefined) return { kind: 'broken', reason: encoding }
  const cursor = new Cursor(bytes)
  try {
    cursor.space()
    const elements = cursor.elements(most)
    cursor.end()
    return { kind: 'array', elements }
  } catch (error) {
    if (error instanceof Broken) return { kind: 'broken', reason: error.message }
    throw error
  }
}

/** Whether `bytes` are one JSON value that may stand in an envelope: valid UTF-8, no byte order mark, not too deep. */
export function isJson(bytes: Uint8Array): boolean {
  if (textFault(bytes) !== undefined) return false
  const cursor = new Cursor(bytes)
  try {
    cursor.space()
    cursor.value(1)
    cursor.end()
    return true
  } catch (error) {
    if (error instanceof Broken) return false
    throw error
  }
}

/** The text of a string value. `member.kind` is `string`. */
export function jsonString(bytes: Uint8Array, member: JsonMember): string {
  return decoded(bytes, member.start, member.end)
}

/** `bytes` as a Buffer over the same memory, for its text methods. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

class Broken extends Error {
  override readonly name = 'Broken'
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const LETTER_U = 0x75

/** By byte: 1 where it stands for itself inside a string. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
)
/** By byte: 1 where it may follow a backslash. */
const ESCAPABLE = new Uint8Array(256)
for (const letter of '"\\/bfnrtu') ESCAPABLE[letter.charCodeAt(0)] = 1

/** A position that only moves forward, over text that is known to be UTF-8. Every method throws `Broken`. */
class Cursor {
  at = 0
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  space(): void {
    const bytes = this.#bytes
    let at = this.at
    while (at < bytes.length) {
      const byte = bytes[at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
      at++
    }
    this.at = at
  }

  end(): void {
    this.space()
    if (this.at < this.#bytes.length) this.#fail('goes on after its end')
  }

  members(): JsonMember[] {
    const members: JsonMember[] = []
    const names = new Set<string>()
    this.#take(OPEN_BRACE)
    this.space()
    if (this.#tryTake(CLOSE_BRACE)) return members
    do {
      this.space()
      const nameStart = this.at
      this.#string()
      const name = decoded(this.#bytes, nameStart, this.at)
      if (names.has(name)) this.#fail('has a member twice, the second time')
      names.add(name)
      this.space()
      this.#take(COLON)
      this.space()
      const start = this.at
      const kind = this.value(1)
      members.push({ name, kind, nameStart, start, end: this.at })
      this.space()
    } while (this.#tryTake(COMMA))
    this.#take(CLOSE_BRACE)
    return members
  }

  elements(most: number): JsonElement[] {
    const elements: JsonElement[] = []
    this.#take(OPEN_BRACKET)
    this.space()
    if (this.#tryTake(CLOSE_BRACKET)) return elements
    do {
      if (elements.length === most) this.#fail(`has more than ${most} elements`)
      this.space()
      const start = this.at
      this.value(1)
      elements.push({ start, end: this.at })
      this.space()
    } while (this.#tryTake(COMMA))
    this.#take(CLOSE_BRACKET)
    return elements
  }

  /** @param depth how many values this one is inside of. */
  value(depth: number): JsonKind {
    switch (this.#bytes[this.at]) {
      case QUOTE:
        this.#string()
        return 'string'
      case OPEN_BRACE:
        this.#object(depth + 1)
        return 'object'
      case OPEN_BRACKET:
        this.#array(depth + 1)
        return 'array'
      case 0x74:
        return this.#word('true', 'boolean')
      case 0x66:
        return this.#word('false', 'boolean')
      case 0x6e:
        return this.#word('null', 'null')
      default:
        this.#number()
        return 'number'
    }
  }

  #object(depth: number): void {
    if (depth > JSON_DEPTH_MAX) this.#fail(`is nested deeper than ${JSON_DEPTH_MAX}`)
    this.at++
    this.space()
    if (this.#tryTake(CLOSE_BRACE)) return
    do {
      this.space()
      this.#string()
      this.space()
      this.#take(COLON)
      this.space()
      this.value(depth)
      this.space()
    } while (this.#tryTake(COMMA))
    this.#take(CLOSE_BRACE)
  }

  #array(depth: number): void {
    if (depth > JSON_DEPTH_MAX) this.#fail(`is nested deeper than ${JSON_DEPTH_MAX}`)
    this.at++
    this.space()
    if (this.#tryTake(CLOSE_BRACKET)) return
    do {
      this.space()
      this.value(depth)
      this.space()
    } while (this.#tryTake(COMMA))
    this.#take(CLOSE_BRACKET)
  }

  #string(): void {
    this.#take(QUOTE)
    const bytes = this.#bytes
    let at = this.at
    for (;;) {
      while (at < bytes.length && PLAIN[bytes[at] ?? 0] === 1) at++
      this.at = at
      const byte = bytes[at]
      if (byte === QUOTE) break
      if (byte !== BACKSLASH) this.#fail('has a string that does not end, or a control character in it,')
      const escaped = bytes[at + 1] ?? 0
      if (ESCAPABLE[escaped] !== 1) this.#fail('has an unknown escape')
      at += 2
      if (escaped === LETTER_U) {
        for (let digits = 0; digits < 4; digits++, at++) if (!isHex(bytes[at] ?? 0)) this.#fail('has an unknown escape')
      }
    }
    this.at++
  }

  #number(): void {
    this.#tryTake(MINUS)
    if (!this.#tryTake(ZERO)) this.#digits()
    if (this.#tryTake(0x2e)) this.#digits()
    if (this.#tryTake(0x65) || this.#tryTake(0x45)) {
      if (!this.#tryTake(0x2b)) this.#tryTake(MINUS)
      this.#digits()
    }
  }

  #digits(): void {
    const start = this.at
    for (let byte = this.#bytes[this.at] ?? 0; byte >= ZERO && byte <= NINE; byte = this.#bytes[this.at] ?? 0) this.at++
    if (this.at === start) this.#fail('has something unexpected')
  }

  #word(word: string, kind: JsonKind): JsonKind {
    for (let i = 0; i < word.length; i++) this.#take(word.charCodeAt(i))
    return kind
  }

  #take(byte: number): void {
    if (!this.#tryTake(byte)) this.#fail('has something unexpected')
  }

  #tryTake(byte: number): boolean {
    if (this.#bytes[this.at] !== byte) return false
    this.at++
    return true
  }

  #fail(what: string): never {
    throw new Broken(`the JSON ${what} at byte ${this.at}`)
  }
}

function textFault(bytes: Uint8Array): string | undefined {
  if (!isUtf8(bytes)) return 'the JSON is not UTF-8'
  // RFC 8259 §8.1 forbids it, and the receivers of an event that is passed on as it came would trip over it.
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'the JSON begins with a byte order mark'
  return undefined
}

/** The text of the string literal between `start` and `end`, quotes included. It has been scanned. */
function decoded(bytes: Uint8Array, start: number, end: number): string {
  const buffer = bufferOf(bytes)
  const text = buffer.toString('utf8', start + 1, end - 1)
  return text.includes('\\') ? JSON.parse(`"${text}"`) : text
}

function isHex(byte: number): boolean {
  const letter = byte | 0x20
  return (byte >= ZERO && byte <= NINE) || (letter >= 0x61 && letter <= 0x66)
}
