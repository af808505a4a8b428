import type { StateView } from '../contract/api.ts'

/** Identity of a row within its table. */
export function keyOf(thing: { readonly namespace: string; readonly name: string; readonly kind?: string }): string {
  return `${thing.kind ?? ''}/${thing.namespace}/${thing.name}`
}

/** `next`, with every row that says what it said before as the same object: such a row is not drawn again. */
export function keepUnchanged(previous: StateView | undefined, next: StateView): StateView {
  if (previous === undefined) return next
  return {
    brokers: keepRows(previous.brokers, next.brokers),
    triggers: keepRows(previous.triggers, next.triggers),
    sources: keepRows(previous.sources, next.sources),
    sinks: keepRows(previous.sinks, next.sinks),
    scale: keepRows(previous.scale, next.scale),
  }
}

function keepRows<Row extends { readonly namespace: string; readonly name: string }>(
  previous: readonly Row[],
  next: readonly Row[],
): readonly Row[] {
  const before = new Map(previous.map(row => [keyOf(row), row]))
  return next.map(row => {
    const old = before.get(keyOf(row))
    return old !== undefined && JSON.stringify(old) === JSON.stringify(row) ? old : row
  })
}
