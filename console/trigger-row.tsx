import { useMemo, useState } from 'preact/hooks'
import type { TriggerView } from '../contract/api.ts'
import { act, wordsOf } from './ask.ts'
import { age, count, rate, visible } from './format.ts'
import { Parked } from './parked.tsx'
import { Replicas } from './replicas.tsx'
import type { Series } from './series.ts'
import { Sparkline } from './sparkline.tsx'
import { phaseOf, remarkOf } from './trigger-rows.ts'

interface TriggerRowProps {
  readonly trigger: TriggerView
  readonly series: Series | undefined
}

/** Drawn again only when its Trigger says something new or its curve moves: there may be a thousand of them. */
export function TriggerRow({ trigger, series }: TriggerRowProps) {
  return useMemo(() => <Row trigger={trigger} series={series} />, [trigger, series])
}

function Row({ trigger, series }: TriggerRowProps) {
  const { namespace, name, broker, subscriber, replicas, oldestAgeMs, failed } = trigger
  const phase = phaseOf(trigger)
  const remark = visible(remarkOf(trigger), 400)
  const [open, setOpen] = useState(false)
  const shown = open && trigger.parked > 0
  const row = (
    <tr>
      <th scope="row" class="name">
        <span class="row-name">
          <span class="muted">{namespace}/</span>
          {name}
        </span>
        <span class="below" title={subscriber}>
          {broker} → {subscriber === '' ? 'no address' : visible(subscriber.replace(/^https?:\/\//, ''))}
        </span>
      </th>
      <td class="backlog" data-label="Backlog">
        <Sparkline series={series ?? []} />
        <Figure value={trigger.backlog} tone="lit" />
        {oldestAgeMs !== null && oldestAgeMs >= 1000 && <span class="below">oldest {age(oldestAgeMs)}</span>}
      </td>
      <td data-label="In flight">
        <Figure value={trigger.inFlight} />
      </td>
      <td data-label="Retrying">
        <Figure value={trigger.retrying} tone="warn" />
      </td>
      <td data-label="Rate">
        <span class={trigger.rate > 0 ? '' : 'nil'}>{rate(trigger.rate)}/s</span>
      </td>
      <td class="replicas" data-label="Replicas">
        {replicas === null ? <span class="nil">–</span> : <Replicas replicas={replicas} />}
      </td>
      <td data-label="Delivered">
        <Figure value={trigger.delivered} />
        {failed > 0 && <span class="below">{count(failed)} failed</span>}
      </td>
      <td data-label="Parked">
        {trigger.parked === 0 ? (
          <Figure value={0} />
        ) : (
          <button
            type="button"
            class="link bad"
            aria-expanded={shown}
            aria-label={`${trigger.parked} parked for ${name}`}
            onClick={() => setOpen(!open)}
          >
            {count(trigger.parked)}
          </button>
        )}
        {trigger.deadLettered > 0 && <span class="below">{count(trigger.deadLettered)} dead-lettered</span>}
      </td>
      <td class="status">
        <span class={`phase ${phase.tone}`}>{phase.words}</span>
        <PauseButton trigger={trigger} />
        {remark !== '' && (
          <span class="below" title={remark}>
            {remark}
          </span>
        )}
      </td>
    </tr>
  )
  return (
    <>
      {row}
      {shown && (
        <tr class="parked-row">
          <td colSpan={9}>
            <Parked trigger={trigger} />
          </td>
        </tr>
      )}
    </>
  )
}

/** Lets events wait, or go on. What it led to comes with the next state. */
function PauseButton({ trigger: { namespace, name, stopped } }: { readonly trigger: TriggerView }) {
  const [trouble, setTrouble] = useState('')
  const action = stopped === 'pause' ? 'resume' : 'pause'
  const press = () => {
    act(`triggers/${namespace}/${name}/${action}`, {}).then(
      () => setTrouble(''),
      error => setTrouble(wordsOf(error)),
    )
  }
  return (
    <>
      <button type="button" class="link small" aria-label={`${action} ${name}`} onClick={press}>
        {action}
      </button>
      {trouble !== '' && (
        <span class="below bad" role="alert">
          {trouble}
        </span>
      )}
    </>
  )
}

/** A zero is said quietly. */
function Figure({ value, tone = '' }: { readonly value: number; readonly tone?: 'lit' | 'warn' | 'bad' | '' }) {
  return <span class={value === 0 ? 'nil' : tone}>{count(value)}</span>
}
