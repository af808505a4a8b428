import { Failure } from './failure.ts'

/** Data of an event, out of what was typed. */
export interface Payload {
  readonly body: Uint8Array
  /** Undefined where there is no data. */
  readonly contentType: string | undefined
}

/**
 * The data that `k=v` (text) and `k:=json` words spell: one JSON object. `a.b=v` makes an object within it.
 * @throws {Failure} for a word that is neither, and for one that contradicts another.
 */
export function payloadOfWords(words: readonly string[]): Payload {
  if (words.length === 0) return { body: new Uint8Array(), contentType: undefined }
  const data: Tree = new Map()
  for (const word of words) {
    const [, path = '', operator, text = ''] = /^([^=:]+)(:?=)([\s\S]*)$/.exec(word) ?? []
    if (operator === undefined)
      throw new Failure(
        'wrongInput',
        `${JSON.stringify(word)} is neither NAME=TEXT nor NAME:=JSON`,
        'weir send TYPE total:=42 customer=ada',
      )
    put(data, path.split('.'), operator === '=' ? text : jsonOf(word, text), word)
  }
  return { body: Buffer.from(JSON.stringify(data, writeMap)), contentType: 'application/json' }
}

type Tree = Map<string, unknown>

function put(tree: Tree, path: readonly string[], value: unknown, word: string): void {
  const [name = '', ...rest] = path
  if (name === '') throw new Failure('wrongInput', `${JSON.stringify(word)} has an empty name in it`)
  if (rest.length === 0) {
    if (tree.has(name)) throw new Failure('wrongInput', `${JSON.stringify(word)} sets what another word has set`)
    tree.set(name, value)
    return
  }
  const inner = tree.get(name) ?? new Map()
  if (!(inner instanceof Map)) throw new Failure('wrongInput', `${JSON.stringify(word)} sets what another word has set`)
  tree.set(name, inner)
  put(inner, rest, value, word)
}

function writeMap(_: string, value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value
}

function jsonOf(word: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Failure('wrongInput', `what follows := in ${JSON.stringify(word)} is no JSON`, 'NAME=TEXT, if it is text')
  }
}

const TYPES: Readonly<Record<string, string>> = {
  '.json': 'application/json',
  '.xml': 'application/xml',
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.avro': 'application/avro',
  '.pb': 'application/protobuf',
}

/** What the bytes of a file or of an argument are, by `extension` (`.json`, or '') and by what they look like. */
export function contentTypeOf(bytes: Uint8Array, extension: string): string {
  const named = Object.hasOwn(TYPES, extension) ? TYPES[extension] : undefined
  if (named !== undefined) return named
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return isJson(text) ? 'application/json' : 'text/plain; charset=utf-8'
  } catch {
    return 'application/octet-stream'
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Attributes out of `NAME=VALUE` words. @throws {Failure} */
export function attributesOfWords(words: readonly string[]): Readonly<Record<string, string>> {
  const attributes: [string, string][] = words.map(word => {
    const [, name, value = ''] = /^([^=]+)=([\s\S]*)$/.exec(word) ?? []
    if (name === undefined)
      throw new Failure('wrongInput', `--attribute ${JSON.stringify(word)} is not NAME=VALUE`, '-a subject=invoice/7')
    if (!/^[a-z0-9]+$/.test(name) || name === 'data')
      throw new Failure(
        'wrongInput',
        `${JSON.stringify(name)} is no attribute name: lower-case letters and digits only`,
      )
    return [name, value]
  })
  return Object.fromEntries(attributes)
}
