/** Who has which partition, as one member sees it. */
export interface Group {
  readonly partitions: readonly string[]
  /** Partition → who has it; without those that were given up or have expired. */
  readonly owners: ReadonlyMap<string, string>
  /** Who is there, with partitions or without. */
  readonly members: readonly string[]
  readonly me: string
}

export interface Balance {
  readonly claim: readonly string[]
  readonly giveUp: readonly string[]
}

/**
 * What a member does so that all of them have the same number of partitions, but for one. It takes only what is free, and
 * gives up what it has too much of: a partition changes hands when its events in hand are done, and none comes twice. All
 * decide alike from what they see alike; where two claim the same one, the store lets one have it. Pure.
 */
export function decideBalance({ partitions, owners, members, me }: Group): Balance {
  const known = partitions.filter(one => owners.has(one))
  const counts = new Map([...new Set([...members, ...owners.values(), me])].sort().map(member => [member, 0]))
  for (const partition of known) {
    const owner = owners.get(partition) ?? ''
    counts.set(owner, (counts.get(owner) ?? 0) + 1)
  }
  const least = Math.floor(partitions.length / counts.size)
  const most = Math.ceil(partitions.length / counts.size)
  const mine = partitions.filter(one => owners.get(one) === me)
  const free = partitions.filter(one => !owners.has(one))
  // Those that have less than the least come first; what is over goes to whoever takes it.
  const wanted = [...counts.values()].reduce((sum, count) => sum + Math.max(0, least - count), 0)
  if (mine.length < least) return { claim: rotated(free, me, counts).slice(0, least - mine.length), giveUp: [] }
  if (mine.length < most && free.length > wanted) return { claim: rotated(free, me, counts).slice(0, 1), giveUp: [] }
  return {
    claim: [],
    giveUp: mine.slice(mine.length - surplus(me, counts, { least, most, hungry: wanted - free.length })),
  }
}

/** How many `me` gives up: all above the most, and one above the least where others hunger and it is among the first to give. */
function surplus(
  me: string,
  counts: ReadonlyMap<string, number>,
  { least, most, hungry }: { readonly least: number; readonly most: number; readonly hungry: number },
): number {
  const mine = counts.get(me) ?? 0
  if (mine > most) return mine - most
  if (mine <= least || hungry <= 0) return 0
  const above = [...counts].reduce((sum, [, count]) => sum + Math.max(0, count - most), 0)
  const givers = [...counts].filter(([, count]) => count === most).map(([member]) => member)
  return givers.indexOf(me) < hungry - above ? 1 : 0
}

/** Members begin at different places, so that those that start together seldom claim the same. */
function rotated(free: readonly string[], me: string, counts: ReadonlyMap<string, number>): readonly string[] {
  const start = Math.floor(([...counts.keys()].indexOf(me) * free.length) / counts.size)
  return [...free.slice(start), ...free.slice(0, start)]
}
