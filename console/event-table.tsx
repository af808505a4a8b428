import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { BrokerView, EventView } from '../contract/api.ts'
import { readFragment, writeFragment } from './browser.ts'
import { Command } from './command.tsx'
import { EventRow } from './event-row.tsx'
import { keyOfEvent, parseEventFilter, withNews } from './events.ts'
import { plural } from './format.ts'
import { Panel } from './panel.tsx'
import { curlLine } from './teach.ts'

/** Rows drawn before a person asks for the rest. */
const ROWS_FIRST = 50

interface EventTableProps {
  readonly events: readonly EventView[]
  readonly brokers: readonly BrokerView[]
  readonly live: boolean
}

export function EventTable({ events, brokers, live }: EventTableProps) {
  const [text, setText] = useState(() => readFragment('events'))
  const [paused, setPaused] = useState(false)
  const [open, setOpen] = useState<string | undefined>()
  const [most, setMost] = useState(ROWS_FIRST)
  // Nobody can read in a list that moves: an opened event holds it still, as the button does.
  const still = paused || open !== undefined
  const held = useRef<readonly EventView[] | undefined>(undefined)
  held.current = still ? (held.current ?? events) : undefined
  const listed = useMemo(() => withNews(held.current ?? events, events), [still, events])
  const chosen = useMemo(() => listed.filter(parseEventFilter(text)), [listed, text])
  const newest = listed[0]?.seq ?? Number.NEGATIVE_INFINITY
  const missed = still ? events.filter(event => event.seq > newest).length : undefined

  function search(words: string): void {
    setText(words)
    writeFragment('events', words)
  }
  function pause(): void {
    setPaused(!still)
    setOpen(undefined)
  }

  if (listed.length === 0) return <NoEvents brokers={brokers} live={live} />
  return (
    <Panel
      title="Last events"
      note={text === '' ? String(listed.length) : `${chosen.length} of ${listed.length}`}
      tools={<Tools text={text} search={search} missed={missed} pause={pause} />}
    >
      {chosen.length === 0 ? (
        <p class="empty">
          None of the last {plural(listed.length, 'event')} fits.{' '}
          <button type="button" onClick={() => search('')}>
            Show all
          </button>
        </p>
      ) : (
        <Rows events={chosen.slice(0, most)} open={open} toggle={setOpen} />
      )}
      {chosen.length > most && (
        <button type="button" class="more" onClick={() => setMost(chosen.length)}>
          Show {plural(chosen.length - most, 'older event')}
        </button>
      )}
    </Panel>
  )
}

interface ToolsProps {
  readonly text: string
  readonly search: (words: string) => void
  /** Events that came since the pause; undefined while there is none. */
  readonly missed: number | undefined
  readonly pause: () => void
}

function Tools({ text, search, missed, pause }: ToolsProps) {
  const box = useRef<HTMLInputElement>(null)
  useShortcuts({ '/': () => box.current?.focus(), p: pause })

  function leave(event: KeyboardEvent): void {
    if (event.key !== 'Escape') return
    search('')
    box.current?.blur()
  }
  return (
    <>
      <button type="button" aria-pressed={missed !== undefined} onClick={pause} title="Key: p">
        {missed === undefined ? 'Pause' : `Paused, ${missed} new`}
      </button>
      <input
        ref={box}
        type="search"
        class="wide"
        placeholder="Filter events  ( / )"
        title="Words that must be there, in any attribute or result. In front of a word: type: source: id: subject: trigger: state: broker: or - for not."
        aria-label="Filter events"
        value={text}
        onInput={event => search(event.currentTarget.value)}
        onKeyDown={leave}
      />
    </>
  )
}

interface RowsProps {
  readonly events: readonly EventView[]
  /** Key of the event that is opened. */
  readonly open: string | undefined
  readonly toggle: (key: string | undefined) => void
}

function Rows({ events, open, toggle }: RowsProps) {
  return (
    <div class="scroll">
      <table class="events">
        <thead>
          <tr>
            <th scope="col" class="time">
              Time
            </th>
            <th scope="col" class="type">
              Type
            </th>
            <th scope="col" class="source">
              Source
            </th>
            <th scope="col" class="id">
              Id
            </th>
            <th scope="col">Deliveries</th>
          </tr>
        </thead>
        {events.map(event => (
          <EventRow key={keyOfEvent(event)} event={event} open={open === keyOfEvent(event)} toggle={toggle} />
        ))}
      </table>
    </div>
  )
}

function NoEvents({ brokers, live }: { readonly brokers: readonly BrokerView[]; readonly live: boolean }) {
  const broker = brokers.find(({ ready }) => ready)
  return (
    <Panel title="Last events" note="none yet">
      <div class="empty">
        {broker === undefined || !live ? (
          <p>Events appear here as soon as a Broker accepts one.</p>
        ) : (
          <>
            <p>Send the first one:</p>
            <Command label="Command that sends an event" text={curlLine(broker.url)} />
          </>
        )}
      </div>
    </Panel>
  )
}

/** Keys that act wherever the focus is, except where a person types. */
function useShortcuts(actions: Readonly<Record<string, () => void>>): void {
  const latest = useRef(actions)
  latest.current = actions
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.matches('input, textarea, select')
      const action = latest.current[event.key]
      if (typing || action === undefined || event.ctrlKey || event.metaKey || event.altKey) return
      event.preventDefault()
      action()
    }
    addEventListener('keydown', press)
    return () => removeEventListener('keydown', press)
  }, [])
}
