/** A family of samples in Prometheus' text format 0.0.4. Names: `weir_…`, base units, `_total` for counters. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  /** Called at scrape. Label values come from YAML names only, never from events: cardinality stays bounded. */
  readonly read: () => Iterable<Sample>
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Where parts of the process register what they count, and what `/metrics` prints. */
export interface Metrics {
  add(family: Family): void
  /** The whole page. */
  text(): string
}

export function openMetrics(): Metrics {
  const families = new Map<string, Family>()
  return {
    add: family => void families.set(family.name, family),
    text: () => [...families.values()].map(familyText).join(''),
  }
}

function familyText(family: Family): string {
  const lines = [`# HELP ${family.name} ${escapeHelp(family.help)}`, `# TYPE ${family.name} ${family.type}`]
  for (const { labels, value } of family.read()) {
    const pairs = Object.entries(labels).map(([name, text]) => `${name}="${escapeLabel(text)}"`)
    lines.push(`${family.name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`)
  }
  return `${lines.join('\n')}\n`
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"')
}
