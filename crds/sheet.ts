import { type Alias, LineCounter, type Node } from 'yaml'
import type { Mistake, Where } from './resource.ts'

/** Mistakes and notices listed for one text; the rest is counted. */
const MOST_LISTED = 200

/** One text while it is read: where things stand, what aliases mean, and what was found wrong so far. */
export class Sheet {
  readonly file: string
  readonly lines = new LineCounter()
  readonly #targets = new Map<Alias, Node>()
  readonly #mistakes = new Map<string, Mistake>()
  readonly #notices = new Map<string, Mistake>()

  constructor(file: string) {
    this.file = file
  }

  where(offset: number): Where {
    const { line, col } = this.lines.linePos(offset)
    return { file: this.file, line: Math.max(1, line), column: Math.max(1, col) }
  }

  mistake(offset: number, message: string): undefined {
    add(this.#mistakes, this.where(offset), message)
  }

  notice(offset: number, message: string): undefined {
    add(this.#notices, this.where(offset), message)
  }

  get mistakes(): readonly Mistake[] {
    return listed(this.#mistakes, 'mistakes')
  }

  get notices(): readonly Mistake[] {
    return listed(this.#notices, 'notices')
  }

  /** What `alias` stands for. Every alias of a document that `openDocuments` returned stands for something. */
  target(alias: Alias): Node | undefined {
    return this.#targets.get(alias)
  }

  point(alias: Alias, target: Node): void {
    this.#targets.set(alias, target)
  }
}

function add(list: Map<string, Mistake>, where: Where, message: string): void {
  // What an alias repeats is read more than once and is still one mistake.
  list.set(`${where.line}:${where.column}:${message}`, { ...where, message })
}

function listed(list: Map<string, Mistake>, what: string): readonly Mistake[] {
  const all = [...list.values()].sort((a, b) => a.line - b.line || a.column - b.column)
  const last = all[MOST_LISTED - 1]
  if (last === undefined || all.length === MOST_LISTED) return all
  return [...all.slice(0, MOST_LISTED), { ...last, message: `and ${all.length - MOST_LISTED} more ${what}` }]
}

/** Offset of a node's first character. */
export function startOf(node: Node): number {
  return node.range?.[0] ?? 0
}
