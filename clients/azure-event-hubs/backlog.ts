import type { Clock } from '../../runtime/clock.ts'
import type { BacklogReader } from '../backlog.ts'
import { TroubleError } from '../trouble.ts'
import type { ContainerAccess, HubAccess } from './access.ts'
import { type Checkpoint, type CheckpointStore, openCheckpoints } from './checkpoints.ts'
import { type EventHub, openEventHub, type PartitionFacts } from './hub.ts'

/** The events of a hub that a consumer group has not done, by the checkpoints in a blob container. */
export interface AzureEventHubsBacklog {
  readonly system: 'azure-event-hubs'
  readonly hub: HubAccess
  readonly group: string
  readonly container: ContainerAccess
  /** Where given, no more counts than so many for each partition: a partition has one reader, however much waits. */
  readonly perPartition?: number
}

export function openAzureEventHubsBacklog(query: AzureEventHubsBacklog, clock: Clock): BacklogReader {
  const hub = openEventHub(query.hub, query.group, clock)
  const checkpoints = openCheckpoints(query.container, hub, clock)
  const { perPartition } = query
  return {
    count: signal => readLag(hub, checkpoints, perPartition, signal),
    close: async () => await hub[Symbol.asyncDispose](),
  }
}

/** @throws {TroubleError} unknown, not zero. */
export async function readLag(
  hub: Pick<EventHub, 'partitions' | 'facts'>,
  store: Pick<CheckpointStore, 'read'>,
  perPartition: number | undefined,
  signal: AbortSignal,
): Promise<number> {
  const partitions = await hub.partitions(signal)
  if (partitions.kind === 'trouble') throw new TroubleError(partitions)
  const kept = await store.read(signal)
  // Without a container nobody has ever read: all of it waits.
  const missing = kept.kind === 'trouble' && kept.what === 'missing'
  if (kept.kind === 'trouble' && !missing) throw new TroubleError(kept)
  const checkpoints = kept.kind === 'kept' ? kept.checkpoints : new Map<string, Checkpoint>()
  const lags = partitions.ids.map(async id => {
    const facts = await hub.facts(id, signal)
    if (facts.kind === 'trouble') throw new TroubleError(facts)
    const checkpoint = checkpoints.get(id)
    return lagOf(facts, isOfAnother(checkpoint, partitions.createdMs) ? undefined : checkpoint)
  })
  const lag = (await Promise.all(lags)).reduce((sum, one) => sum + one, 0)
  return perPartition === undefined ? lag : Math.min(lag, perPartition * partitions.ids.length)
}

/** Whether a checkpoint is of a hub of the same name that is gone. */
export function isOfAnother(checkpoint: Pick<Checkpoint, 'createdMs'> | undefined, createdMs: number): boolean {
  return checkpoint?.createdMs !== undefined && checkpoint.createdMs !== createdMs
}

/** Events of one partition after its checkpoint that are still kept. Pure. */
export function lagOf(facts: PartitionFacts, checkpoint: Pick<Checkpoint, 'sequence' | 'offset'> | undefined): number {
  const { first, last, empty, lastOffset } = facts
  if (empty || last < 0) return 0
  const kept = last - first + 1
  if (checkpoint === undefined) return kept
  // One ahead of the log is of a hub that was made anew: nothing of this one is done.
  const done = checkpoint.sequence ?? (checkpoint.offset === lastOffset ? last : undefined)
  if (done === undefined || done > last) return kept
  return Math.min(kept, last - done)
}
