import type { CloudEvent } from '../../event/event.ts'
import { compilePredicate, evaluate } from './evaluate.ts'
import { type Expression, typeOf } from './expression.ts'
import { describeMissing, findFunction } from './functions.ts'
import { parseCesql, placed, type Remark } from './parse.ts'

export type CesqlFilter =
  | {
      readonly kind: 'filter'
      readonly expression: Expression
      /** What is legal and seldom meant, in words with its place. */
      readonly hints: readonly string[]
    }
  /** In words with its place, as `character 8: …`. */
  | { readonly kind: 'mistake'; readonly words: string }

/**
 * Reads an expression that is to be a filter. What could never let an event pass is a mistake already here (CESQL 1.0
 * §3.3): text that does not parse, functions that do not exist, and an expression that gives no Boolean. Never throws.
 */
export function readCesqlFilter(text: string): CesqlFilter {
  const parsed = parseCesql(text)
  if (parsed.kind === 'mistake') return { kind: 'mistake', words: placed(text, parsed.mistake) }
  const { expression } = parsed
  const wrong = strangeCall(expression) ?? strangeType(expression)
  if (wrong !== undefined) return { kind: 'mistake', words: placed(text, wrong) }
  return { kind: 'filter', expression, hints: parsed.hints.map(hint => placed(text, hint)) }
}

/** The predicate of a filter: false on any error (CESQL 1.0 §1.2). Undefined where the text is a mistake. */
export function compileCesql(text: string): ((event: CloudEvent) => boolean) | undefined {
  const read = readCesqlFilter(text)
  return read.kind === 'mistake' ? undefined : compilePredicate(read.expression)
}

/** Why an event does not pass, for people. */
export interface WhyNot {
  /** Of conditions joined by AND the first that is not true, as it is written. Undefined where there is but one. */
  readonly part: string | undefined
  /** What went wrong in it; undefined where it is false. */
  readonly error: string | undefined
}

/** Says why `event` does not pass the filter `text`. Undefined where it passes, or the text is a mistake. */
export function whyNot(text: string, event: CloudEvent): WhyNot | undefined {
  const read = readCesqlFilter(text)
  if (read.kind === 'mistake') return undefined
  const { value, error } = evaluate(read.expression, event)
  if (value === true && error === undefined) return undefined
  for (const part of partsByAnd(text, read.expression)) {
    const inner = readCesqlFilter(part)
    // Parentheses around several of them: then there is no telling which one.
    if (inner.kind === 'mistake') break
    const found = evaluate(inner.expression, event)
    if (found.value !== true || found.error !== undefined) return { part, error: found.error?.message }
  }
  return { part: undefined, error: error?.message }
}

/** The texts between the ANDs of the top level; none where there is no AND. */
function partsByAnd(text: string, expression: Expression): string[] {
  const parts: string[] = []
  let [node, end] = [expression, text.length]
  for (; node.kind === 'logic' && node.operator === 'AND'; node = node.left) {
    parts.unshift(text.slice(node.at + 'AND'.length, end).trim())
    end = node.at
  }
  return parts.length === 0 ? parts : [text.slice(0, end).trim(), ...parts]
}

/**
 * The exact attributes without which no event passes: those compared with `=` to a string, alone or joined by ANDs.
 * Empty where the text is a mistake.
 */
export function cesqlEqualities(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const read = readCesqlFilter(text)
  if (read.kind === 'filter') collectEqualities(read.expression, found)
  return found
}

function collectEqualities(node: Expression, found: Map<string, string>): void {
  if (node.kind === 'logic' && node.operator === 'AND') {
    collectEqualities(node.left, found)
    collectEqualities(node.right, found)
  }
  if (node.kind !== 'equality' || node.operator !== '=') return
  const [one, other] = node.left.kind === 'attribute' ? [node.left, node.right] : [node.right, node.left]
  if (one.kind !== 'attribute' || other.kind !== 'literal' || typeof other.value !== 'string') return
  if (!found.has(one.name)) found.set(one.name, other.value)
}

function strangeCall(node: Expression): Remark | undefined {
  if (node.kind === 'call' && findFunction(node.name, node.arguments.length) === undefined)
    return { at: node.at, message: describeMissing(node.name, node.arguments.length) }
  for (const part of partsOf(node)) {
    const wrong = strangeCall(part)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

function strangeType(expression: Expression): Remark | undefined {
  const type = typeOf(expression)
  if (type === 'Boolean') return undefined
  const advice =
    expression.kind === 'attribute'
      ? `: attributes are Strings, so compare it, as in ${expression.name} = TRUE, or ask EXISTS ${expression.name}`
      : ''
  return { at: expression.at, message: `a filter must give a Boolean, and this gives a value of type ${type}${advice}` }
}

function partsOf(node: Expression): readonly Expression[] {
  switch (node.kind) {
    case 'literal':
    case 'attribute':
    case 'exists':
      return []
    case 'not':
    case 'negate':
    case 'like':
      return [node.operand]
    case 'logic':
    case 'equality':
    case 'order':
    case 'arithmetic':
      return [node.left, node.right]
    case 'in':
      return [node.operand, ...node.elements]
    case 'call':
      return node.arguments
    default:
      return node satisfies never
  }
}
