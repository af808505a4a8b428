/** A text with places that a request fills in. */
export type Template = readonly TemplatePart[]

export type TemplatePart =
  | { readonly from: 'text'; readonly text: string }
  /** A header field or a parameter of the query, by its name; header names in lower case. */
  | { readonly from: 'header' | 'query'; readonly name: string }
  /** A place in the body's JSON: names of members, indexes of elements. None: the body as a whole. */
  | { readonly from: 'body'; readonly path: readonly (string | number)[] }
  /** The time that the sender says it signed at. */
  | { readonly from: 'timestamp' }

export type TemplateRead =
  | { readonly kind: 'template'; readonly template: Template }
  | { readonly kind: 'wrong'; readonly reason: string }

const PIECE = /\{\{|\}\}|\{([^{}]*)\}|[^{}]+|[{}]/g
/** RFC 9110 §5.6.2. */
const HEADER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const STEP = /^(?:\.([^.[\]]+)|\[(\d{1,6})\])/

/** Reads `push {header.X-Event} of {body.items[0].name}`; `{{` and `}}` stand for a brace. */
export function parseTemplate(text: string): TemplateRead {
  const template: TemplatePart[] = []
  for (const [piece, place] of text.matchAll(PIECE)) {
    if (place === undefined) {
      if (piece === '{' || piece === '}')
        return { kind: 'wrong', reason: `a \`${piece}\` stands alone: write it twice where it is meant as such` }
      template.push({ from: 'text', text: piece === '{{' ? '{' : piece === '}}' ? '}' : piece })
      continue
    }
    const part = parsePlace(place)
    if (part === undefined)
      return {
        kind: 'wrong',
        reason: `\`{${place.slice(0, 40)}}\` is no place of a request: \`{header.NAME}\`, \`{query.NAME}\` and \`{body.NAME}\` are`,
      }
    template.push(part)
  }
  return { kind: 'template', template }
}

function parsePlace(place: string): TemplatePart | undefined {
  if (place === 'timestamp') return { from: 'timestamp' }
  const [, from, rest = ''] = /^(header|query|body)(.*)$/s.exec(place) ?? []
  if (from === 'body') {
    const path = parsePath(rest)
    return path && { from, path }
  }
  if (from === 'header') {
    const name = rest.slice(1)
    return rest.startsWith('.') && HEADER.test(name) ? { from, name: name.toLowerCase() } : undefined
  }
  if (from === 'query') return /^\../.test(rest) ? { from, name: rest.slice(1) } : undefined
  return undefined
}

function parsePath(text: string): (string | number)[] | undefined {
  const path: (string | number)[] = []
  for (let rest = text; rest !== ''; ) {
    const step = STEP.exec(rest)
    if (step === null) return undefined
    path.push(step[1] ?? Number(step[2]))
    rest = rest.slice(step[0].length)
  }
  return path
}
