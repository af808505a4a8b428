import type { Position } from '../../clients/azure-event-hubs/checkpoints.ts'
import type { From, PartitionFacts } from '../../clients/azure-event-hubs/hub.ts'
import type { InitialPosition } from '../../crds/azure-event-hubs-source.ts'

/** Where reading goes on. */
export interface Begin {
  readonly from: From
  /** What is not as it should be there, in words. */
  readonly note: string | undefined
}

/** Where a partition is begun or gone on with, by its position and by what the hub says is there. Pure. */
export function beginAt(position: Position | undefined, initial: InitialPosition, facts: PartitionFacts): Begin {
  const at = (from: From, note?: string): Begin => ({ from, note })
  if (position === undefined) return at(fromInitial(initial, facts))
  const { sequence, offset } = position
  if (sequence === undefined) return at(offset === '' ? fromInitial(initial, facts) : { kind: 'after-offset', offset })
  if (sequence > facts.last) {
    const note = `the checkpoint is at ${sequence}, and the newest event at ${facts.last}: the hub was made anew, and is read from its beginning`
    return at({ kind: 'earliest' }, note)
  }
  const gone = facts.first - sequence - 1
  if (gone <= 0 || facts.last < 0 || sequence < 0) return at({ kind: 'after', sequence })
  return at({ kind: 'after', sequence }, `${gone} events were removed by the hub's retention before they were read`)
}

/** A partition without a checkpoint, and `latest` once it is pinned, is at the end that it has now. */
function fromInitial(initial: InitialPosition, facts: PartitionFacts): From {
  switch (initial.kind) {
    case 'earliest':
      return { kind: 'earliest' }
    case 'latest':
      return { kind: 'after', sequence: facts.last }
    case 'time':
      return { kind: 'time', timeMs: initial.timeMs }
    default:
      return initial satisfies never
  }
}

/**
 * The checkpoint that pins where a partition begins that has none, so that nothing is missed and nothing counts as waiting
 * that never will be read. Pure. @returns undefined where no number is known for it, and none is needed: a time.
 */
export function pinOf(initial: InitialPosition, facts: PartitionFacts): Position | undefined {
  const end = { sequence: facts.last, offset: facts.lastOffset }
  switch (initial.kind) {
    case 'latest':
      return end
    case 'earliest':
      return facts.empty ? end : undefined
    case 'time':
      return facts.empty || facts.lastEnqueuedMs < initial.timeMs ? end : undefined
    default:
      return initial satisfies never
  }
}
