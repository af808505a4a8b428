import type { Template } from '../../crds/template.ts'

/** What a request says, as templates and signatures ask for it. */
export interface Said {
  /** All values of a header, by its name in lower case. */
  readonly header: (name: string) => readonly string[]
  readonly query: (name: string) => string | undefined
  /** Its body, or one element of it, as JSON; undefined where it is none. */
  readonly json: unknown
}

/** An attribute longer than this is none: headers have an end. */
const ATTRIBUTE_MAX = 2_048

export function saidBy(rawHeaders: readonly string[], query: string, json: unknown): Said {
  const parameters = new URLSearchParams(query)
  return {
    header: name => {
      const values: string[] = []
      for (let i = 0; i + 1 < rawHeaders.length; i += 2)
        if (rawHeaders[i]?.toLowerCase() === name) values.push(rawHeaders[i + 1] ?? '')
      return values
    },
    query: name => parameters.get(name) ?? undefined,
    json,
  }
}

/** The JSON of `bytes`; undefined where they are none. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  } catch {
    return undefined
  }
}

/**
 * The first of `templates` of which `said` has every place, filled, if it may stand in an attribute. Undefined: none.
 * `allowed` says what else it must be.
 */
export function fillFirst(
  templates: readonly Template[],
  said: Said,
  allowed: (text: string) => boolean,
): string | undefined {
  for (const template of templates) {
    const text = fill(template, said)
    if (text !== undefined && text !== '' && text.length <= ATTRIBUTE_MAX && allowed(text)) return text
  }
  return undefined
}

function fill(template: Template, said: Said): string | undefined {
  let filled = ''
  for (const part of template) {
    const text = part.from === 'text' ? part.text : valueAt(part, said)
    if (text === undefined || text === '') return undefined
    filled += text
  }
  return filled
}

function valueAt(part: Exclude<Template[number], { from: 'text' }>, said: Said): string | undefined {
  switch (part.from) {
    case 'header':
      return said.header(part.name)[0]
    case 'query':
      return said.query(part.name)
    case 'body':
      return scalarAt(said.json, part.path)
    case 'timestamp':
      return undefined
    default:
      return part satisfies never
  }
}

/** A text, a number or a boolean of the JSON. */
function scalarAt(json: unknown, path: readonly (string | number)[]): string | undefined {
  let value = json
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Readonly<Record<string | number, unknown>>)[step]
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined
}
