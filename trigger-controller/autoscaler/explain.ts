import type { Limits, Seen, Terms } from './decide.ts'

/** A decision in one line for people: the number, the rule that set it, and the terms behind it. */
export function explain(replicas: number, terms: Terms, limits: Limits, seen: Seen): string {
  const terminal = reason(replicas, terms, limits, seen)
  return [`${replicas}: ${terminal}`, ...facts(terms)].join('; ')
}

function reason(replicas: number, terms: Terms, limits: Limits, seen: Seen): string {
  switch (terms.rule) {
    case 'asleep':
      return terms.waiting > 0 ? 'asleep, below the activation threshold' : 'asleep, nothing waits'
    case 'idle':
      return `idle for ${seconds(limits.cooldownMs)}`
    case 'cooling':
      return `nothing to do, zero after ${seconds(limits.cooldownMs)} of it`
    case 'needed':
      return needed(terms)
    case 'panic':
      return replicas > seen.desired ? `a burst asks for ${terms.panic}` : 'a burst has just been: no fewer yet'
    case 'window':
      return `needed within the last ${seconds(limits.profile.scaleInMs)}, now ${needed(terms)}`
    case 'busy':
      return `${seen.busy} are busy and let go one at a time, each when it has drained`
    case 'unknown':
      return 'held, because a reading is unknown'
    case 'outlet':
      return 'no more, because the Broker is behind'
    case 'min':
      return 'the fewest allowed'
    case 'max':
      return `the most allowed, ${needed(terms)}`
    default:
      return terms.rule satisfies never
  }
}

function needed(terms: Terms): string {
  const asks: string[] = []
  if (terms.declared > 0) asks.push(`the declared target asks for ${terms.declared}`)
  if (terms.assumed > 0) asks.push(`the default target asks for ${terms.assumed}`)
  if (terms.panic > Math.max(terms.stable, terms.declared, terms.assumed))
    asks.push(`the last seconds ask for ${terms.panic}`)
  if (terms.stable > 0) asks.push(`rate and service time ask for ${terms.stable}`)
  return asks.length > 0 ? asks.join(', ') : 'one is enough'
}

function facts(terms: Terms): string[] {
  const said = [`${terms.waiting} waiting`, `${terms.inFlight} in flight`]
  if (terms.stableRate > 0) said.push(`${round(terms.stableRate)}/s coming in`)
  if (terms.serviceMs !== undefined) said.push(`${round(terms.serviceMs)} ms each`)
  return [said.join(', '), ...terms.unknown.map(reason => `unknown: ${reason}`)]
}

function seconds(ms: number): string {
  return `${round(ms / 1_000)} s`
}

function round(value: number): string {
  return value >= 10 ? String(Math.round(value)) : String(Math.round(value * 10) / 10)
}
