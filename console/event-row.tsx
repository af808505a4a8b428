import { useMemo } from 'preact/hooks'
import type { DeliveryView, EventView } from '../contract/api.ts'
import { keyOfEvent, worstDeliveries } from './events.ts'
import { Explain } from './explain.tsx'
import { bytes, instant, plural, timeOfDay, took, visible } from './format.ts'

/** Of an event that goes to a thousand Triggers, these are drawn in its row, and those when it is opened. */
const CHIPS_MOST = 6
const DELIVERIES_MOST = 200

const marks: Readonly<Record<DeliveryView['state'], string>> = {
  waiting: '…',
  delivered: '✓',
  retrying: '↻',
  'dead-lettered': '↪',
  parked: '‖',
  discarded: '∅',
}

interface EventRowProps {
  readonly event: EventView
  readonly open: boolean
  readonly toggle: (key: string | undefined) => void
}

/** One event, and below it, when opened, all that is known of it. What an event says is only ever text. */
export function EventRow({ event, open, toggle }: EventRowProps) {
  return useMemo(() => <Row event={event} open={open} toggle={toggle} />, [event, open, toggle])
}

function Row({ event, open, toggle }: EventRowProps) {
  const { attributes, acceptedMs, deliveries } = event
  const press = () => toggle(open ? undefined : keyOfEvent(event))
  const shown = worstDeliveries(deliveries).slice(0, CHIPS_MOST)
  return (
    <tbody class={open ? 'open' : ''}>
      {/* For the mouse; the button in the first cell does the same from the keyboard. */}
      <tr onClick={() => getSelection()?.isCollapsed !== false && press()}>
        <td class="time">
          <button
            type="button"
            aria-expanded={open}
            title={instant(acceptedMs)}
            onClick={click => {
              click.stopPropagation()
              press()
            }}
          >
            {timeOfDay(acceptedMs)}
          </button>
        </td>
        <td class="type">{visible(attributes.type ?? '')}</td>
        <td class="source">{visible(attributes.source ?? '')}</td>
        <td class="id">{visible(attributes.id ?? '')}</td>
        <td class="results">
          <div class="chips">
            {deliveries.length === 0 && <span class="chip unmatched">no Trigger matched</span>}
            {shown.map(delivery => (
              <Chip key={delivery.trigger} delivery={delivery} />
            ))}
            {deliveries.length > shown.length && <span class="muted">+{deliveries.length - shown.length}</span>}
          </div>
        </td>
      </tr>
      {open && <Detail event={event} />}
    </tbody>
  )
}

function Chip({ delivery }: { readonly delivery: DeliveryView }) {
  const { trigger, state, attempts, last } = delivery
  const result = last !== null && state !== 'delivered' ? visible(last, 24) : ''
  return (
    <span class={`chip ${state}`} title={`${trigger}: ${sentence(delivery)}`}>
      <span aria-hidden="true">{marks[state]}</span>
      <span class="unseen">{state} </span>
      {visible(trigger, 60)}
      {attempts > 1 && <span class="muted">×{attempts}</span>}
      {result !== '' && <span class="muted">{result}</span>}
    </span>
  )
}

function Detail({ event }: { readonly event: EventView }) {
  const { namespace, broker, attributes, deliveries } = event
  return (
    <tr class="detail">
      <td colSpan={5}>
        <div>
          <dl>
            <dt>broker</dt>
            <dd>
              {namespace}/{broker}, {bytes(event.bytes)}
            </dd>
            {Object.entries(attributes).map(([name, value]) => (
              <Attribute key={name} name={name} value={value} />
            ))}
          </dl>
          <ul>
            {deliveries.length === 0 && <li>No Trigger of this Broker has a filter that lets it through.</li>}
            {worstDeliveries(deliveries)
              .slice(0, DELIVERIES_MOST)
              .map(delivery => (
                <li key={delivery.trigger}>
                  <span class={`chip ${delivery.state}`}>
                    <span aria-hidden="true">{marks[delivery.state]}</span>
                    {visible(delivery.trigger)}
                  </span>{' '}
                  {sentence(delivery)}
                </li>
              ))}
            {deliveries.length > DELIVERIES_MOST && <li>and {deliveries.length - DELIVERIES_MOST} more</li>}
          </ul>
        </div>
        <Explain event={event} />
      </td>
    </tr>
  )
}

function Attribute({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <>
      <dt>{visible(name, 40)}</dt>
      <dd>{visible(value, 2000)}</dd>
    </>
  )
}

/** A delivery in words: `retrying, 3 attempts, last 503 in 12 ms, due 10:02:15.120`. */
function sentence({ state, attempts, last, tookMs, nextDueMs }: DeliveryView): string {
  const parts: string[] = [state]
  if (attempts > 0) parts.push(plural(attempts, 'attempt'))
  if (last !== null) parts.push(`last ${visible(last)}${tookMs === null ? '' : ` in ${took(tookMs)}`}`)
  if (nextDueMs !== null && state === 'retrying') parts.push(`due ${timeOfDay(nextDueMs)}`)
  return parts.join(', ')
}
