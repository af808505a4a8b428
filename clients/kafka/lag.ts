import type { PartitionPosition } from './positions.ts'

/** What counts. Plain data. */
export interface LagRules {
  /** Undefined: all. */
  readonly only?: readonly number[] | undefined
  /**
   * What a partition counts of which the group has read nothing: `all` that is in it; `one`, so that somebody begins to read
   * (KEDA); `none`; `pinned`: all, but one where it has read nothing of the topic, so that somebody pins its end.
   */
  readonly unread: 'all' | 'one' | 'none' | 'pinned'
  /** How much is worth another replica at most; undefined: there is no such limit. */
  readonly cap?: LagCap | undefined
  /** A partition that has not been read since the last count is stuck, and more replicas do not help: it counts nothing. */
  readonly excludeStuck?: boolean | undefined
  /** Neither the cap nor what is stuck takes the count down to this, where all that waits is more. */
  readonly activation?: number | undefined
}

export interface LagCap {
  readonly perReplica: number
  /** More replicas than partitions, or than partitions with lag, are idle; only divisors of their number share them evenly. */
  readonly replicas: 'partitions' | 'partitions-with-lag' | 'divisors'
}

/**
 * The lag of a group (KEDA, scaler kafka), never less than 0.
 * @param before the last count's positions.
 */
export function countLag(
  all: readonly PartitionPosition[],
  before: readonly PartitionPosition[] | undefined,
  rules: LagRules,
): number {
  const partitions = all.filter(({ partition }) => rules.only?.includes(partition) ?? true)
  const readTopics = new Set(partitions.filter(one => one.committed !== undefined).map(({ topic }) => topic))
  const lags = partitions.map(one => ({ one, lag: lagOf(one, readTopics.has(one.topic), rules) }))
  const last = new Map(rules.excludeStuck ? before?.map(one => [keyOf(one), one.committed]) : [])
  const isStuck = (one: PartitionPosition) => last.has(keyOf(one)) && last.get(keyOf(one)) === one.committed
  const moving = sum(lags.filter(({ one }) => !isStuck(one)))
  return Math.max(capped(moving, lags, rules.cap), Math.min(sum(lags), (rules.activation ?? 0) + 1))
}

interface Lag {
  readonly one: PartitionPosition
  readonly lag: number
}

function lagOf({ low, high, committed }: PartitionPosition, topicIsRead: boolean, { unread }: LagRules): number {
  if (committed === undefined && unread === 'none') return 0
  if (committed === undefined && (unread === 'one' || (unread === 'pinned' && !topicIsRead))) return 1
  // What retention has removed cannot be read; a topic that was made anew ends before what was committed in the old one.
  const from = committed === undefined || committed < low ? low : committed
  return high > from ? Number(high - from) : 0
}

function capped(lag: number, lags: readonly Lag[], cap: LagCap | undefined): number {
  if (cap === undefined) return lag
  const partitions = cap.replicas === 'partitions-with-lag' ? lags.filter(one => one.lag > 0).length : lags.length
  if (lag >= partitions * cap.perReplica) return partitions * cap.perReplica
  if (cap.replicas !== 'divisors' || lag === 0) return lag
  for (let replicas = 1; replicas <= partitions; replicas++)
    if (partitions % replicas === 0 && replicas * cap.perReplica >= lag) return replicas * cap.perReplica
  return lag
}

function sum(lags: readonly Lag[]): number {
  return lags.reduce((total, { lag }) => total + lag, 0)
}

function keyOf({ topic, partition }: PartitionPosition): string {
  return `${topic}/${partition}`
}
