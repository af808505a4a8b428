import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Node,
  parseAllDocuments,
  type YAMLError,
} from 'yaml'
import { type Sheet, startOf } from './sheet.ts'

/** An object in a cluster is smaller than 1.5 MiB; a text longer than this is no manifest. */
const LONGEST_TEXT = 8 << 20
/** Nodes of one document with every alias written out. */
const MOST_NODES = 200_000
const DEEPEST = 100
/** One slip makes several syntax errors: those after the first few say nothing new. */
const MOST_SYNTAX_ERRORS = 3

/**
 * The documents of a YAML or JSON text that can be read on: well formed, no key twice in a map, aliases known, free of
 * circles and of a bounded size. The others are left out, and `sheet` has their mistakes. Empty documents are skipped.
 */
export function openDocuments(text: string, sheet: Sheet): Node[] {
  if (text.length > LONGEST_TEXT) {
    sheet.mistake(
      0,
      `this is ${Math.round(text.length / (1 << 20))} MiB of text, more than the ${LONGEST_TEXT >> 20} MiB read`,
    )
    return []
  }
  const documents = parseAllDocuments(text, {
    // What kubectl reads: `yes` and `on` are booleans and 010 is 8, but dates and 1:30 are text.
    version: '1.1',
    customTags: tags => tags.filter(tag => typeof tag === 'string' || isPlainTag(tag)),
    lineCounter: sheet.lines,
    prettyErrors: false,
    // Its check costs the square of the number of keys; `survey` does the same in one pass.
    uniqueKeys: false,
    logLevel: 'silent',
  })
  const roots: Node[] = []
  for (const document of documents) {
    const root = openDocument(document, sheet)
    if (root !== undefined) roots.push(root)
  }
  return roots
}

type Parsed = Pick<Document, 'errors' | 'warnings'> & { readonly contents: Node | null }

function isPlainTag(tag: { tag: string; format?: string }): boolean {
  const name = tag.tag.replace('tag:yaml.org,2002:', '')
  return ['map', 'seq', 'str', 'null', 'bool', 'int', 'float'].includes(name) && tag.format !== 'TIME'
}

function openDocument(document: Parsed, sheet: Sheet): Node | undefined {
  const errors: YAMLError[] = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])
  for (const error of errors.slice(0, MOST_SYNTAX_ERRORS)) sheet.mistake(error.pos[0], syntax(error))
  const root = document.contents
  if (errors.length > 0 || root === null || (isScalar(root) && root.value === null)) return undefined
  return new Survey(sheet).wellFormed(root) ? root : undefined
}

function syntax(error: YAMLError): string {
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return 'a tab cannot indent YAML, use spaces'
    case 'RESOURCE_EXHAUSTION':
      return `nested more than ${DEEPEST} levels deep`
    case 'TAG_RESOLVE_FAILED':
      return `${error.message.replace(/^Unresolved tag:/, 'unknown YAML tag')}: leave it out`
    default:
      return `not YAML: ${error.message.split('\n')[0]}`
  }
}

interface Extent {
  readonly nodes: number
  readonly depth: number
}

/** Walks a document once, in the order of the text, so that an alias always points at the anchor last seen. */
class Survey {
  readonly #sheet: Sheet
  readonly #anchors = new Map<string, { node: Node; extent: Extent | undefined }>()
  #fine = true

  constructor(sheet: Sheet) {
    this.#sheet = sheet
  }

  wellFormed(root: Node): boolean {
    const { nodes, depth } = this.#extent(root, 1)
    if (nodes > MOST_NODES) this.#mistake(root, `more than ${MOST_NODES} values once the aliases are written out`)
    if (depth > DEEPEST) this.#mistake(root, `nested more than ${DEEPEST} levels deep`)
    return this.#fine
  }

  #extent(node: Node, level: number): Extent {
    if (level > DEEPEST) return { nodes: 1, depth: DEEPEST + 1 }
    if (isAlias(node)) return this.#aliasExtent(node)
    const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined
    const entry: { node: Node; extent: Extent | undefined } = { node, extent: undefined }
    if (anchor !== undefined) this.#anchors.set(anchor, entry)
    let nodes = 1
    let depth = 1
    for (const child of this.#children(node)) {
      const extent = this.#extent(child, level + 1)
      nodes += extent.nodes
      depth = Math.max(depth, extent.depth + 1)
    }
    entry.extent = { nodes, depth }
    return entry.extent
  }

  #aliasExtent(alias: Alias): Extent {
    const entry = this.#anchors.get(alias.source)
    if (entry === undefined) {
      this.#mistake(alias, `\`*${alias.source}\` points at no \`&${alias.source}\` above it`)
    } else if (entry.extent === undefined) {
      this.#mistake(alias, `\`*${alias.source}\` contains itself`)
    } else {
      this.#sheet.point(alias, entry.node)
      return entry.extent
    }
    return { nodes: 1, depth: 1 }
  }

  *#children(node: Node): Iterable<Node> {
    if (isSeq(node)) {
      for (const item of node.items) {
        if (isPair(item)) yield* pairNodes(item)
        else yield item as Node
      }
    } else if (isMap(node)) {
      this.#checkKeys(node.items)
      for (const pair of node.items) yield* pairNodes(pair)
    }
  }

  #checkKeys(pairs: readonly { readonly key: unknown }[]): void {
    const seen = new Map<string, Node>()
    for (const { key } of pairs) {
      if (!isScalar(key)) continue
      const name = String(key.source ?? key.value)
      const first = seen.get(name)
      if (first === undefined || name === '<<') seen.set(name, key)
      else this.#mistake(key, `\`${name}\` is given twice, first in line ${this.#sheet.where(startOf(first)).line}`)
    }
  }

  #mistake(node: Node, message: string): void {
    this.#fine = false
    this.#sheet.mistake(startOf(node), message)
  }
}

function* pairNodes(pair: { readonly key: unknown; readonly value: unknown }): Iterable<Node> {
  if (pair.key !== null) yield pair.key as Node
  if (pair.value !== null) yield pair.value as Node
}
