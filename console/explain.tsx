import { useEffect, useState } from 'preact/hooks'
import type { AttemptView, DeliveryDetailView, EventDetailView, EventView } from '../contract/api.ts'
import { ask, wordsOf } from './ask.ts'
import { timeOfDay, took, visible } from './format.ts'

/** What the store knows of an event: its data, every attempt, and which clause kept it from the other Triggers. */
export function Explain({ event }: { readonly event: EventView }) {
  const { namespace, broker, seq, deliveries } = event
  const [found, setFound] = useState<EventDetailView | string>()
  // Asked again when something became of it.
  const state = deliveries.map(one => `${one.state}${one.attempts}`).join()
  useEffect(() => {
    const gone = new AbortController()
    ask<EventDetailView>(`events/${seq}?broker=${namespace}/${broker}`, gone.signal).then(setFound, error => {
      if (!gone.signal.aborted) setFound(wordsOf(error))
    })
    return () => gone.abort()
  }, [namespace, broker, seq, state])

  if (found === undefined) return null
  if (typeof found === 'string') return <p class="muted">{visible(found, 300)}</p>
  const attempts = found.deliveries.filter(one => one.attempts.length > 0)
  return (
    <div class="known">
      {found.data.text !== '' && (
        <>
          <h3>Data{found.data.encoding === 'base64' ? ' (base64)' : ''}</h3>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and must do so from the keyboard. */}
          <pre tabIndex={0}>
            {visible(found.data.text, 4000)}
            {found.data.truncated && ' …'}
          </pre>
        </>
      )}
      {attempts.length > 0 && (
        <>
          <h3>Attempts</h3>
          <ul>
            {attempts.map(one => (
              <Attempts key={one.trigger} delivery={one} />
            ))}
          </ul>
        </>
      )}
      {found.unmatched.length > 0 && (
        <>
          <h3>Not given to</h3>
          <ul>
            {found.unmatched.map(({ trigger, matchesNow, clause, words }) => (
              <li key={trigger}>
                {visible(trigger, 60)} <code>{visible(clause, 120)}</code> {visible(words, 300)}
                {matchesNow && ' (it would match now)'}
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  )
}

function Attempts({ delivery }: { readonly delivery: DeliveryDetailView }) {
  return (
    <li>
      {visible(delivery.trigger, 60)}
      <ol>
        {delivery.attempts.map(one => (
          <li key={`${one.stage}${one.number}${one.atMs}`} value={one.number}>
            {sentence(one)}
          </li>
        ))}
      </ol>
    </li>
  )
}

function sentence({ stage, atMs, tookMs, status, words, followed }: AttemptView): string {
  const answer = [status === null ? '' : String(status), visible(words, 200)].filter(
    (part, i, all) => part !== '' && all.indexOf(part) === i,
  )
  const where = stage === 'dead-letter' ? ' to the dead-letter sink' : ''
  const then = followed === 'again' ? '' : `, ${followed}`
  return `${timeOfDay(atMs)}${where}: ${answer.join(' ')} in ${took(tookMs)}${then}`
}
