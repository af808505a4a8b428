import type { ComponentChildren } from 'preact'
import type { StateView } from '../contract/api.ts'
import { count, plural, rate } from './format.ts'
import { totalsOf } from './totals.ts'

/** The totals in the order in which events flow: from the queue upstream to what became of them. */
export function Flow({ state }: { readonly state: StateView }) {
  const totals = totalsOf(state)
  const { lag } = totals
  return (
    <section class="flow" aria-label="Totals">
      <Step name="Upstream" figure={lag === null ? '–' : lagFigure(lag)}>
        {lag === null ? 'no sources' : `${count(totals.held)} held · ${plural(state.sources.length, 'source')}`}
      </Step>
      <Step name="Accepted" figure={count(totals.accepted)}>
        <Warn when={totals.unmatched > 0}>{count(totals.unmatched)} unmatched</Warn>
      </Step>
      <Step name="Waiting" figure={count(totals.backlog)} lit={totals.backlog > 0}>
        {count(totals.inFlight)} in flight · <Warn when={totals.retrying > 0}>{count(totals.retrying)} retrying</Warn>
      </Step>
      <Step name="Replicas" figure={count(totals.replicasReady)} lit={totals.replicasReady > 0}>
        {totals.replicasDesired === totals.replicasReady ? 'as desired' : `→ ${count(totals.replicasDesired)} desired`}
      </Step>
      <Step name="Delivered" figure={count(totals.delivered)}>
        {rate(totals.rate)}/s
      </Step>
      <Step name="Parked" figure={count(totals.parked)} bad={totals.parked > 0}>
        {count(totals.deadLettered)} dead-lettered
      </Step>
    </section>
  )
}

interface StepProps {
  readonly name: string
  readonly figure: string
  readonly lit?: boolean
  readonly bad?: boolean
  readonly children: ComponentChildren
}

function Step({ name, figure, lit = false, bad = false, children }: StepProps) {
  return (
    <div class="step">
      <h2>{name}</h2>
      <p class={`figure${lit ? ' lit' : ''}${bad ? ' bad' : ''}`}>{figure}</p>
      <p class="muted">{children}</p>
    </div>
  )
}

function Warn({ when, children }: { readonly when: boolean; readonly children: ComponentChildren }) {
  return <span class={when ? 'warn' : ''}>{children}</span>
}

/** What is not known is added to no sum, and not left out of it either. */
function lagFigure({ known, unknown }: { readonly known: number; readonly unknown: number }): string {
  if (unknown === 0) return count(known)
  return known === 0 ? '?' : `${count(known)} + ?`
}
