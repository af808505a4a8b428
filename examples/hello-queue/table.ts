import type { SourceView, StateView, TriggerView } from '../../contract/api.ts'

/** What the table is made of. */
export type Seen = Pick<StateView, 'triggers' | 'sources'>

/** The state as the lines of a table, each at most `width` characters wide. Pure. */
export function tableLines(state: Seen, elapsedMs: number, width: number): string[] {
  const head = ['', 'waiting', 'in flight', 'replicas', 'per second', 'done', 'parked']
  const rows = [head, ...state.sources.map(sourceRow), ...state.triggers.map(triggerRow)]
  const widths = head.map((_, column) => Math.max(...rows.map(row => (row[column] ?? '').length)))
  const lines = rows.map(row =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))),
  )
  const bars = ['', ...state.sources.map(() => ''), ...state.triggers.map(barOf)]
  const body = lines.map((cells, index) => `  ${cells.join('  ')}  ${bars[index] ?? ''}`.trimEnd())
  return ['', ...body, '', `  ${(elapsedMs / 1000).toFixed(0)} s`].map(line => line.slice(0, Math.max(20, width)))
}

/** The same in one line, for a pipe. Pure. */
export function plainLine(state: Seen, elapsedMs: number): string {
  const sources = state.sources.map(
    one => `${one.name} lag=${one.lag ?? '?'} held=${one.held} adapters=${one.replicas.ready}/${one.replicas.desired}`,
  )
  const triggers = state.triggers.map(
    one =>
      `${one.name} backlog=${one.backlog} inflight=${one.inFlight} replicas=${replicas(one)} ` +
      `rate=${one.rate.toFixed(0)}/s delivered=${one.delivered} parked=${one.parked}`,
  )
  return [`${(elapsedMs / 1000).toFixed(1).padStart(5)}s`, ...sources, ...triggers].join(' | ')
}

function sourceRow(source: SourceView): string[] {
  const { ready, desired } = source.replicas
  return [
    `queue ${source.name}`,
    source.lag === null ? '?' : String(source.lag),
    String(source.held),
    `${ready}/${desired}`,
    source.rate.toFixed(0),
    String(source.emitted),
    '',
  ]
}

function triggerRow(trigger: TriggerView): string[] {
  return [
    `  → ${trigger.name}`,
    String(trigger.backlog),
    String(trigger.inFlight),
    replicas(trigger),
    trigger.rate.toFixed(0),
    String(trigger.delivered),
    String(trigger.parked),
  ]
}

function replicas({ replicas: seen }: TriggerView): string {
  return seen === null ? '-' : `${seen.ready}/${seen.desired}`
}

/** One block for each replica: full when it is ready, light while it starts, and a dot for those that could still come. */
function barOf({ replicas: seen }: TriggerView): string {
  if (seen === null || seen.max > 32) return ''
  const starting = Math.max(0, seen.desired - seen.ready)
  return '█'.repeat(seen.ready) + '░'.repeat(starting) + '·'.repeat(Math.max(0, seen.max - seen.ready - starting))
}
