import type { TriggerView } from '../contract/api.ts'

/** What a Trigger is doing, in a word or two, and how much that matters to a person. */
export interface Phase {
  readonly words: string
  readonly tone: 'bad' | 'warn' | 'busy' | 'calm'
}

export function phaseOf(trigger: TriggerView): Phase {
  const { backlog, inFlight, retrying, parked, replicas } = trigger
  if (!trigger.ready) return { words: 'Not ready', tone: 'bad' }
  if (trigger.stopped === 'pause') return { words: 'Paused', tone: 'warn' }
  if (trigger.stopped !== null) return { words: 'Sparing it', tone: 'warn' }
  if (retrying > 0 && inFlight === 0 && backlog === 0) return { words: 'Retrying', tone: 'warn' }
  if (backlog > 0 && replicas !== null && replicas.ready === 0) {
    return replicas.desired > 0 ? { words: 'Waking', tone: 'busy' } : { words: 'Held', tone: 'warn' }
  }
  if (backlog > 0 && replicas !== null && replicas.ready >= replicas.max) return { words: 'At max', tone: 'warn' }
  if (backlog > 0 || inFlight > 0) return { words: 'Working', tone: 'busy' }
  if (parked > 0) return { words: 'Parked', tone: 'warn' }
  if (replicas !== null && replicas.ready === 0 && replicas.desired === 0) return { words: 'Asleep', tone: 'calm' }
  return { words: 'Idle', tone: 'calm' }
}

/** The sentence below the phase: why it is not ready, what went wrong last, or what Weir wants to be known. */
export function remarkOf(trigger: TriggerView): string {
  if (!trigger.ready) return trigger.reason
  if (trigger.retrying > 0 || trigger.parked > 0) return trigger.lastError ?? trigger.notice ?? ''
  return trigger.notice ?? ''
}

export type TriggerShow = 'all' | 'active' | 'attention'

export function isActive({ backlog, inFlight, retrying, rate }: TriggerView): boolean {
  return backlog > 0 || inFlight > 0 || retrying > 0 || rate > 0
}

export function needsAttention(trigger: TriggerView): boolean {
  return trigger.parked > 0 || ['bad', 'warn'].includes(phaseOf(trigger).tone)
}

export const triggerColumns = [
  'name',
  'backlog',
  'inFlight',
  'retrying',
  'rate',
  'replicas',
  'delivered',
  'parked',
] as const
export type TriggerColumn = (typeof triggerColumns)[number]
export interface TriggerOrder {
  readonly column: TriggerColumn
  readonly descending: boolean
}

/** The rows that a person asked to see, in the order asked for; equal ones by name, so that no row jumps about. */
export function chooseTriggers(
  triggers: readonly TriggerView[],
  text: string,
  show: TriggerShow,
  order: TriggerOrder,
): readonly TriggerView[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const wanted = triggers.filter(trigger => {
    if (show === 'active' && !isActive(trigger)) return false
    if (show === 'attention' && !needsAttention(trigger)) return false
    const { namespace, name, broker, subscriber, reason } = trigger
    const haystack = `${namespace}/${name} ${broker} ${subscriber} ${reason}`.toLowerCase()
    return words.every(word => haystack.includes(word))
  })
  const turn = order.descending ? -1 : 1
  if (order.column === 'name') return wanted.sort((a, b) => turn * byName(a, b))
  const column = order.column
  return wanted.sort((a, b) => turn * (weight(a, column) - weight(b, column)) || byName(a, b))
}

function weight(trigger: TriggerView, column: Exclude<TriggerColumn, 'name'>): number {
  return column === 'replicas' ? (trigger.replicas?.ready ?? -1) : trigger[column]
}

const collator = new Intl.Collator('en', { numeric: true })

function byName(a: TriggerView, b: TriggerView): number {
  return collator.compare(a.namespace, b.namespace) || collator.compare(a.name, b.name)
}
