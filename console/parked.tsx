import { useEffect, useState } from 'preact/hooks'
import type { CountView, OwedEventsView, OwedEventView, TriggerView } from '../contract/api.ts'
import { act, ask, wordsOf } from './ask.ts'
import { plural, timeOfDay, visible } from './format.ts'

/** Parked events that are drawn; the command line has the rest. */
const SHOWN = 50

/** What is parked for a Trigger, why, and what can be done with it. */
export function Parked({ trigger }: { readonly trigger: TriggerView }) {
  const { namespace, name, parked } = trigger
  const path = `triggers/${namespace}/${name}`
  const [events, setEvents] = useState<readonly OwedEventView[]>([])
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set())
  const [said, setSaid] = useState('')
  useEffect(() => {
    const gone = new AbortController()
    ask<OwedEventsView>(`${path}/parked?limit=${SHOWN}`, gone.signal).then(
      page => setEvents(page.events),
      error => !gone.signal.aborted && setSaid(wordsOf(error)),
    )
    return () => gone.abort()
  }, [path, parked])

  const seqs = events.map(one => one.seq).filter(seq => chosen.size === 0 || chosen.has(seq))
  const run = async (action: 'redrive' | 'discard', done: string) => {
    if (action === 'discard' && !confirm(`Give up ${plural(seqs.length, 'event')}? It cannot be undone.`)) return
    try {
      const { events: count } = await act<CountView>(`${path}/${action}`, { seqs })
      setChosen(new Set())
      setSaid(`${plural(count, 'event')} ${done}`)
    } catch (error) {
      setSaid(wordsOf(error))
    }
  }
  const toggle = (seq: number) => {
    const next = new Set(chosen)
    if (!next.delete(seq)) next.add(seq)
    setChosen(next)
  }
  const what = chosen.size === 0 ? `these ${events.length}` : plural(chosen.size, 'event')
  return (
    <div class="parked-list">
      <div class="tools">
        <button type="button" disabled={seqs.length === 0} onClick={() => run('redrive', 'due again')}>
          Redrive {what}
        </button>
        <button type="button" disabled={seqs.length === 0} onClick={() => run('discard', 'given up')}>
          Discard {what}
        </button>
        <span role="status">{said}</span>
        {parked > events.length && events.length > 0 && (
          <span class="muted">
            the oldest {events.length} of {parked}; weir dlq {name} has all
          </span>
        )}
      </div>
      <ul>
        {events.map(({ seq, acceptedMs, attributes, delivery }) => (
          <li key={seq}>
            <label>
              <input type="checkbox" checked={chosen.has(seq)} onChange={() => toggle(seq)} />{' '}
              <span class="muted">{timeOfDay(acceptedMs)}</span> {visible(attributes.type ?? '', 80)}{' '}
              <code>{visible(attributes.id ?? '', 60)}</code>{' '}
              <span class="bad">
                {delivery.failure?.code} {visible(delivery.failure?.data ?? '', 160)}
              </span>
            </label>
          </li>
        ))}
      </ul>
    </div>
  )
}
