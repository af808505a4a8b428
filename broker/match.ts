import { compileFilters, indexKey, type Predicate } from '../contract/filter.ts'
import type { BrokerId, TriggerId } from '../contract/ids.ts'
import type { BrokerRoute, TriggerRoute } from '../contract/routes.ts'
import type { CloudEvent } from '../event/event.ts'
import type { Match } from './store.ts'

/**
 * Which Triggers want an event, in the order of the routes. Triggers that ask for an exact `type` or `source` are found
 * through an index on them, so that the others cost nothing: one match among a thousand costs what one costs.
 * @param onNoAnswer is told of a Trigger whose condition on data has no answer for an event, and why.
 */
export function buildMatch(
  brokers: readonly BrokerRoute[],
  onNoAnswer: (trigger: TriggerId, words: string) => void = () => {},
): Match {
  const indexes = new Map(brokers.map(broker => [broker.id, buildIndex(broker.triggers, onNoAnswer)]))
  return (broker: BrokerId, event: CloudEvent) => {
    const index = indexes.get(broker)
    return index === undefined ? NOBODY : lookUp(index, event)
  }
}

interface Candidate {
  /** Place in the routes. */
  readonly order: number
  readonly id: TriggerId
  readonly wants: Predicate
}

/** Candidates by the exact source they ask for; `undefined` for those that ask for none. */
type BySource = Map<string | undefined, Candidate[]>
/** The same by the exact type. */
type Index = Map<string | undefined, BySource>

const NOBODY: readonly TriggerId[] = []

function buildIndex(triggers: readonly TriggerRoute[], onNoAnswer: (trigger: TriggerId, words: string) => void): Index {
  const index: Index = new Map()
  for (const [order, { id, filters }] of triggers.entries()) {
    const { type, source } = indexKey(filters)
    const bySource: BySource = index.get(type) ?? new Map()
    const candidates = bySource.get(source) ?? []
    index.set(type, bySource.set(source, candidates))
    candidates.push({ order, id, wants: compileFilters(filters, words => onNoAnswer(id, words)) })
  }
  return index
}

function lookUp(index: Index, event: CloudEvent): readonly TriggerId[] {
  const found: Candidate[] = []
  const typed = index.get(event.attributes.type ?? '')
  const untyped = index.get(undefined)
  const source = event.attributes.source ?? ''
  let places = 0
  for (const bySource of typed === undefined ? [untyped] : [typed, untyped]) {
    if (bySource === undefined) continue
    places += collect(bySource.get(source), event, found)
    places += collect(bySource.get(undefined), event, found)
  }
  if (found.length === 0) return NOBODY
  if (places > 1) found.sort((a, b) => a.order - b.order)
  return found.map(candidate => candidate.id)
}

/** Adds the candidates that want `event`; 1 where there were any, for they stand in order only among themselves. */
function collect(candidates: readonly Candidate[] | undefined, event: CloudEvent, found: Candidate[]): number {
  const before = found.length
  for (const candidate of candidates ?? []) if (candidate.wants(event)) found.push(candidate)
  return found.length > before ? 1 : 0
}
