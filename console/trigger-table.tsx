import { useMemo, useState } from 'preact/hooks'
import type { TriggerView } from '../contract/api.ts'
import { readFragment, writeFragment } from './browser.ts'
import { Command } from './command.tsx'
import { count, plural } from './format.ts'
import { Panel } from './panel.tsx'
import type { Series } from './series.ts'
import { keyOf } from './state.ts'
import { triggerYaml } from './teach.ts'
import { TriggerRow } from './trigger-row.tsx'
import {
  chooseTriggers,
  isActive,
  needsAttention,
  type TriggerColumn,
  type TriggerOrder,
  type TriggerShow,
  triggerColumns,
} from './trigger-rows.ts'

/** Rows drawn before a person asks for all of them. */
const ROWS_FIRST = 100
/** Fewer than these need no search. */
const ROWS_TO_SEARCH = 8

const headings: Readonly<Record<TriggerColumn, string>> = {
  name: 'Trigger',
  backlog: 'Backlog',
  inFlight: 'In flight',
  retrying: 'Retrying',
  rate: 'Rate',
  replicas: 'Replicas',
  delivered: 'Delivered',
  parked: 'Parked',
}

interface TriggerTableProps {
  readonly triggers: readonly TriggerView[]
  readonly backlogs: ReadonlyMap<string, Series>
  /** Name of a Broker that is there, for the example. */
  readonly broker: string
}

export function TriggerTable({ triggers, backlogs, broker }: TriggerTableProps) {
  const [text, setText] = useState(() => readFragment('triggers'))
  const [show, setShow] = useState<TriggerShow>('all')
  const [order, setOrder] = useState<TriggerOrder>({ column: 'name', descending: false })
  const [all, setAll] = useState(false)
  const chosen = useMemo(() => chooseTriggers(triggers, text, show, order), [triggers, text, show, order])
  const shown = all ? chosen : chosen.slice(0, ROWS_FIRST)

  function search(words: string): void {
    setText(words)
    writeFragment('triggers', words)
  }

  const tools = (triggers.length >= ROWS_TO_SEARCH || text !== '' || show !== 'all') && (
    <>
      <ShowButtons triggers={triggers} show={show} choose={setShow} />
      <input
        type="search"
        placeholder="Find Triggers"
        aria-label="Find Triggers"
        value={text}
        onInput={event => search(event.currentTarget.value)}
      />
    </>
  )
  if (triggers.length === 0) {
    return (
      <Panel title="Triggers" note="none yet">
        <div class="empty">
          <p>A Trigger sends the events of a Broker to a subscriber. Apply one like this:</p>
          <Command label="Example of a Trigger" text={triggerYaml(broker)} />
        </div>
      </Panel>
    )
  }
  return (
    <Panel title="Triggers" note={count(triggers.length)} tools={tools}>
      <div class="scroll tall">
        <table class="rows triggers">
          <thead>
            <tr>
              {triggerColumns.map(column => (
                <SortHeading key={column} column={column} order={order} choose={setOrder} />
              ))}
              <th scope="col" class="status">
                Status
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map(trigger => (
              <TriggerRow key={keyOf(trigger)} trigger={trigger} series={backlogs.get(keyOf(trigger))} />
            ))}
          </tbody>
        </table>
      </div>
      {shown.length === 0 && <p class="empty">No Trigger fits.</p>}
      {shown.length < chosen.length && (
        <button type="button" class="more" onClick={() => setAll(true)}>
          Show all {plural(chosen.length, 'Trigger')}
        </button>
      )}
    </Panel>
  )
}

interface ShowButtonsProps {
  readonly triggers: readonly TriggerView[]
  readonly show: TriggerShow
  readonly choose: (show: TriggerShow) => void
}

function ShowButtons({ triggers, show, choose }: ShowButtonsProps) {
  const shows: readonly (readonly [TriggerShow, string])[] = [
    ['all', 'All'],
    ['active', `Active ${triggers.filter(isActive).length}`],
    ['attention', `Attention ${triggers.filter(needsAttention).length}`],
  ]
  return (
    <fieldset class="choice">
      <legend class="unseen">Which Triggers to show</legend>
      {shows.map(([which, label]) => (
        <button key={which} type="button" aria-pressed={show === which} onClick={() => choose(which)}>
          {label}
        </button>
      ))}
    </fieldset>
  )
}

interface SortHeadingProps {
  readonly column: TriggerColumn
  readonly order: TriggerOrder
  readonly choose: (order: TriggerOrder) => void
}

/** Names ascend first, numbers descend first; a second press turns the order around. */
function SortHeading({ column, order, choose }: SortHeadingProps) {
  const current = order.column === column
  const descending = current ? !order.descending : column !== 'name'
  const sorted = !current ? 'none' : order.descending ? 'descending' : 'ascending'
  return (
    <th scope="col" class={column} aria-sort={sorted}>
      <button type="button" onClick={() => choose({ column, descending })}>
        {headings[column]}
      </button>
    </th>
  )
}
