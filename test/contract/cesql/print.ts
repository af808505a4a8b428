import type { Expression, Value } from '../../../contract/cesql/expression.ts'

/** The text of an expression, with no parentheses but the needed ones: what a parser must read the same again. */
export function printCesql(node: Expression): string {
  switch (node.kind) {
    case 'literal':
      return printValue(node.value)
    case 'attribute':
      return node.name
    case 'exists':
      return `EXISTS ${node.name}`
    case 'not':
      return `NOT ${within(node.operand, 6)}`
    case 'negate':
      // A minus that touches digits would be their sign.
      return `- ${within(node.operand, 6)}`
    case 'like':
      return `${within(node.operand, 5)}${node.negated ? ' NOT' : ''} LIKE ${printValue(node.pattern)}`
    case 'in':
      return `${within(node.operand, 5)}${node.negated ? ' NOT' : ''} IN (${node.elements.map(printCesql).join(', ')})`
    case 'call':
      return `${node.name}(${node.arguments.map(printCesql).join(', ')})`
    default: {
      const level = levelOf(node)
      return `${within(node.left, level)} ${node.operator} ${within(node.right, level + 1)}`
    }
  }
}

export function printValue(value: Value): string {
  if (typeof value !== 'string') return String(value).toUpperCase()
  return value.includes("'") ? `"${value.replaceAll('"', '\\"')}"` : `'${value}'`
}

function within(node: Expression, level: number): string {
  return levelOf(node) < level ? `(${printCesql(node)})` : printCesql(node)
}

function levelOf(node: Expression): number {
  switch (node.kind) {
    case 'logic':
      return 1
    case 'equality':
    case 'order':
      return 2
    case 'arithmetic':
      return node.operator === '+' || node.operator === '-' ? 3 : 4
    case 'like':
    case 'in':
      return 5
    case 'not':
    case 'negate':
      return 6
    default:
      return 7
  }
}
